# SPDX-License-Identifier: Apache-2.0
"""msb-tls as a process between clients and a server of HTTP/2 that Debian has: h2load and nghttpd."""

import array
import json
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lib"))
import netbed  # noqa: E402

TLS = Path(os.environ["MSB_LIB"]) / "msb-tls" if "MSB_LIB" in os.environ else ROOT / "build/src/net/intercept/msb-tls"
LIMIT = int(os.environ.get("MSB_TEST_LIMIT", "120"))
HOST, BIG = "www.example", 8 << 20

pytestmark = [
    pytest.mark.skipif(netbed.possible() is not None, reason=str(netbed.possible())),
    pytest.mark.skipif(not (shutil.which("nghttpd") and shutil.which("h2load") and shutil.which("openssl")),
                       reason="the test needs Debian's nghttp2-server, nghttp2-client and openssl"),
]


class Interceptor:
    """Whoever connects to HOST is given to msb-tls with a connection to the server: what msb-net does."""

    def __init__(self, bed, where):
        subprocess.run([TLS, "make-ca", where / "tls"], check=True)
        config = {"tls": {"allow_quic": False, "ports": [], "bypass": [], "no_verify": [], "upstream_ca": [str(where / "server.crt")],
                          "upstream_ca_for": [], "ca_cert": str(where / "tls/ca.crt"), "ca_key": str(where / "tls/ca.key")}}
        self.bed, self.number = bed, 0
        self.flows, flows = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        file = os.memfd_create("config", 0)
        os.write(file, json.dumps(config).encode())
        fds = {3: flows.fileno(), 4: file}
        high = {target: os.dup2(fd, 100 + target) for target, fd in fds.items()}

        def place():
            for target, fd in high.items():
                os.dup2(fd, target)
                os.close(fd)
        self.process = subprocess.Popen([TLS, "serve"], preexec_fn=place, close_fds=False, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for fd in (*high.values(), file):
            os.close(fd)
        flows.close()
        bed.serve(netbed.PUBLIC4, 443, self.hand_over)

    def hand_over(self, client, _peer):
        server = netbed.inside(self.bed.fd, lambda: socket.create_connection((netbed.PUBLIC4_OTHER, 443)))
        client.setblocking(False)
        server.setblocking(False)
        self.number += 1
        # struct intercept_flow
        peer = struct.pack("<B4s12xxH", 4, socket.inet_aton(netbed.PUBLIC4), 443)
        flow = struct.pack("<4BH2xQ20s20s48s254s2x", 1, 0, 1, 0, 443, self.number, peer, peer, netbed.PUBLIC4.encode(), HOST.encode())
        self.flows.sendmsg([flow], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [client.fileno(), server.fileno()]))])
        server.close()
        # Whoever called us would shut it down.
        os.close(client.detach())

    def memory(self):
        return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())[1]) << 10

    def close(self):
        self.flows.close()
        assert self.process.wait(LIMIT) == 0, self.process.stderr.read()
        self.process.stderr.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    where = tmp_path_factory.mktemp("h2")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "server.key", "-out",
                    "server.crt", "-days", "2", "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"], check=True,
                   capture_output=True, cwd=where)
    (where / "www").mkdir()
    (where / "www/small").write_bytes(b"x" * 1000)
    (where / "www/big").write_bytes(b"x" * BIG)
    bed = netbed.Bed()
    bed.names.table[HOST] = [netbed.PUBLIC4]
    server = subprocess.Popen(["nghttpd", "-v", "-a", netbed.PUBLIC4_OTHER, "-d", where / "www", "443", "server.key", "server.crt"], cwd=where,
                              preexec_fn=bed.preexec, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for line in server.stdout:
        if b"listen" in line:
            break
    reader = threading.Thread(target=lambda: [None for _ in server.stdout])
    reader.start()
    bed.where = where
    bed.tls = Interceptor(bed, where)
    yield bed
    server.kill()
    server.wait()
    reader.join()
    server.stdout.close()
    bed.tls.close()
    bed.close()


def test_requests_of_many_clients(world):
    """None of them is lost, and what they need is given back."""
    def load(*words):
        r = subprocess.run(["h2load", *words], preexec_fn=world.preexec, capture_output=True, text=True, timeout=LIMIT, check=True)
        return r.stdout
    out = load("-n", "5000", "-c", "10", "-m", "32", f"https://{HOST}/small")
    assert "5000 succeeded, 0 failed, 0 errored, 0 timeout" in out, out
    out = load("-n", "20", "-c", "2", "-m", "10", f"https://{HOST}/big")
    assert "20 succeeded, 0 failed, 0 errored, 0 timeout" in out, out


def frame(kind, flags, stream, payload=b""):
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def test_a_client_that_opens_no_window(world):
    """A hundred answers of 8 MiB wait, and msb-tls holds no more than the windows that it has given for them."""
    settings, headers, ping = 4, 1, 6
    context = ssl.create_default_context(cafile=world.where / "tls/ca.crt")
    context.set_alpn_protocols(["h2"])
    raw = netbed.inside(world.fd, lambda: socket.create_connection((netbed.PUBLIC4, 443), LIMIT))
    before = world.tls.memory()
    with context.wrap_socket(raw, server_hostname=HOST) as s:
        assert s.selected_alpn_protocol() == "h2"
        # GET, https, :authority and :path, not indexed; a window of 0 for every stream.
        block = b"\x82\x87\x01" + bytes([len(HOST)]) + HOST.encode() + b"\x04\x04/big"
        s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(settings, 0, 0, struct.pack("!HI", 4, 0))
                  + b"".join(frame(headers, 5, 2 * i + 1, block) for i in range(100)))
        answers, pongs, data = set(), 0, b""
        while pongs < 50:
            data += s.recv(65536)
            while len(data) >= 9 and len(data) >= 9 + (n := int.from_bytes(data[:3], "big")):
                kind, flags, stream = struct.unpack("!BBI", data[3:9])
                assert kind != 0 or n == 0, "data without a window"
                data = data[9 + n:]
                if kind == headers:
                    answers.add(stream)
                if kind == settings and not flags & 1:
                    s.sendall(frame(settings, 1, 0))
                if (kind == headers and len(answers) == 100) or (kind == ping and flags & 1):
                    pongs += kind == ping
                    s.sendall(frame(ping, 0, 0, b"12345678"))
        assert len(answers) == 100
        assert world.tls.memory() - before < 100 * 65536 + (8 << 20)
