# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 through the interception of TLS, between a client inside a sandbox and a server outside.

The programs that speak are Debian's python3-h2 and curl; the sandbox has them with the host's /usr.
"""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from conftest import LIMIT, MSB, ROOT
from test_tls import LOADER, PYTHON, authority

sys.path.insert(0, str(ROOT / "tests/lib"))
import netbed  # noqa: E402

TOOLS = ROOT / "tests/tools"
VALUE = "sk-5d1ee0-the-value-that-must-not-be-seen"

pytestmark = [
    pytest.mark.skipif(netbed.possible() is not None, reason=str(netbed.possible())),
    pytest.mark.skipif(not (LOADER.exists() and shutil.which("openssl") and Path("/usr/bin/curl").exists()
                            and Path("/usr/lib/python3/dist-packages/h2").exists()),
                       reason="the test needs Debian's python3-h2, curl and openssl"),
]


class Server:
    """h2-server.py in the world, and what it has said so far."""

    def __init__(self, bed, where):
        bed.context("www.example")
        self.said = []
        self.news = threading.Condition()
        self.process = subprocess.Popen([PYTHON, TOOLS / "h2-server.py", netbed.PUBLIC4, "443", where / "www.example.crt",
                                         where / "www.example.key"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
                                        preexec_fn=bed.preexec)
        self.reader = threading.Thread(target=self.read)
        self.reader.start()
        self.until(lambda line: "ready" in line)

    def read(self):
        for line in self.process.stdout:
            with self.news:
                self.said.append(json.loads(line))
                self.news.notify_all()

    def until(self, wanted):
        with self.news:
            assert self.news.wait_for(lambda: any(wanted(line) for line in self.said), LIMIT), self.said

    def heads(self):
        with self.news:
            return [line["fields"] for line in self.said if "fields" in line]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()


@pytest.fixture
def world(tmp_path):
    bed = netbed.Bed()
    bed.ca, bed.context = authority(tmp_path, "World CA")
    bed.names.table["www.example"] = [netbed.PUBLIC4]
    server = Server(bed, tmp_path)
    bed.server = server
    yield bed
    server.close()
    bed.close()


@pytest.fixture
def call(world, msb):
    def go(*argv, check=True, **env):
        r = subprocess.run([MSB, *argv], stdin=subprocess.DEVNULL, capture_output=True, env={**msb.env, **env}, timeout=LIMIT, check=False,
                           preexec_fn=world.preexec)
        assert not check or r.returncode == 0, r
        return r.stdout.decode()
    yield go
    if "dev" in msb.sandboxes():
        go("rm", "-f", "dev", check=False)


HOSTS = f"/h/usr/lib/x86_64-linux-gnu/{LOADER.name} --library-path /h/usr/lib/x86_64-linux-gnu /h/usr/bin"


def ledger(call, path):
    """All requests, once the one for @path is among them: they come by another way than the command's output."""
    deadline = time.monotonic() + LIMIT
    while True:
        events = [json.loads(line) for line in call("net", "events", "--format", "json", "dev").splitlines()]
        requests = [e for e in events if e["event"] == "http"]
        if any(e["path"] == path for e in requests):
            return requests
        assert time.monotonic() < deadline, events
        time.sleep(0.05)


def test_http2_through_the_interception(world, call):
    basic = base64.b64encode(b"user:$MSB_KEY").decode()
    call("create", "--name", "dev", "-m", "512M", "-v", "/usr:/h/usr:ro", "-v", f"{TOOLS}:/t:ro", "--secret", "KEY@www.example",
         "--secret", "BODY@www.example", "--secret-inject", "BODY=body", "--tls-upstream-ca-cert", str(world.ca), KEY=VALUE, BODY=VALUE)
    out = call("exec", "dev", "--", "sh", "-c", f"echo $KEY; PYTHONHOME=/h/usr PYTHONPATH=/h/usr/lib/python3/dist-packages "
               f"BASIC='Basic {basic}' {HOSTS}/python3 -S /t/h2-client.py www.example")
    assert out.startswith("$MSB_KEY\n") and VALUE not in out
    seen = json.loads(out.splitlines()[1])
    assert seen["alpn"] == "h2" and seen["get"]["status"] == "200" and seen["get"]["data"] == "hello"
    assert seen["other"]["status"] == "421" and seen["key"]["status"] == "200" and seen["stolen"]["status"] == "403"
    assert seen["sum"] and seen["many"] == [1000 * i for i in range(50)]
    assert seen["grpc"]["data"] == "\0\0\0\0\5hello" and seen["grpc"]["trailers"] == {"grpc-status": "0", "grpc-message": "fine"}
    assert seen["events"] == [False, False, "data: 1\n\ndata: 2\n\ndata: 3\n\n"]
    assert seen["reset"] == 11 and seen["goaway"] == "bye" and seen["gone"]

    heads = world.server.heads()
    assert all([":authority", "www.example"] in h for h in heads)
    assert {"trailers": [["x-sum", "1"]]} in world.server.said
    with_key = next(h for h in heads if [":path", "/key"] in h)
    assert ["x-key", VALUE] in with_key
    assert ["authorization", "Basic " + base64.b64encode(f"user:{VALUE}".encode()).decode()] in with_key

    body = f"before {VALUE} after".encode()
    assert seen["filled"] == f"{len(body)} {hashlib.sha256(body).hexdigest()}"

    page = call("exec", "dev", "--", "sh", "-c", f"{HOSTS}/curl -sS --http2 -w ' %{{http_version}}' https://www.example/curl")
    assert page == "hello 2"

    requests = ledger(call, "/curl")
    assert {(e["method"], e["path"], e.get("status")) for e in requests} >= {("GET", "/", 200), ("POST", "/sum", 200), ("GET", "/curl", 200)}
    assert 1 << 20 in {e.get("sent") for e in requests if e["path"] == "/sum"}
    assert next(e for e in requests if e["path"] == "/key")["secret"] == "KEY"
    log = call("logs", "--source", "network", "dev")
    assert "its :authority is another one than the connection's" in log and "secret KEY: " in log
    assert VALUE not in log and VALUE not in json.dumps(requests)
