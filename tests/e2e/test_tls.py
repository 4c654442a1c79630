# SPDX-License-Identifier: Apache-2.0
"""Interception of TLS, seen from inside a sandbox and from a server outside.

The clients are the host's: its /usr is shared with the sandbox, and its programs run there with their own libraries.
"""

import hashlib
import json
import os
import shlex
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import LIMIT, MSB, ROOT
from test_net_proxy import PROXY, Proxy, http, socks5

sys.path.insert(0, str(ROOT / "tests/lib"))
import netbed  # noqa: E402

LOADER = Path("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
PYTHON = Path("/usr/bin/python3")
HOST_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")

pytestmark = [
    pytest.mark.skipif(netbed.possible() is not None, reason=str(netbed.possible())),
    pytest.mark.skipif(not (LOADER.exists() and PYTHON.exists() and shutil.which("openssl") and HOST_BUNDLE.exists()),
                       reason="the test needs Debian's python3, openssl and ca-certificates"),
]

# Says what it sees as it sees it, so that a test can look for it.
CLIENT = """
import os, socket, ssl, sys
host, request = sys.argv[1], sys.argv[2].encode().decode("unicode_escape").encode("latin-1")
alpn = os.environ.get("ALPN", "")
context = ssl.create_default_context()
if alpn:
    context.set_alpn_protocols(alpn.split(","))
try:
    s = context.wrap_socket(socket.create_connection((host, 443), 60), server_hostname=os.environ.get("SNI", host))
    print("issuer", dict(x[0] for x in s.getpeercert()["issuer"])["commonName"], "alpn", s.selected_alpn_protocol(), flush=True)
    s.sendall(request)
    while True:
        data = s.recv(65536)
        if not data:
            break
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    print("\\nend")
except Exception as e:
    print("error", e)
"""


def authority(where, name):
    """A certificate authority, and a function that makes servers' contexts for names."""
    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=where)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.crt",
            "-days", "2", "-subj", f"/CN={name}")

    def context(host):
        (where / "ext").write_text(f"subjectAltName=DNS:{host}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{host}.key", "-out", f"{host}.csr",
                "-subj", f"/CN={host}")
        openssl("x509", "-req", "-in", f"{host}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-out",
                f"{host}.crt", "-extfile", "ext")
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.set_alpn_protocols(["http/1.1"])
        c.load_cert_chain(where / f"{host}.crt", where / f"{host}.key")
        return c
    return where / "ca.crt", context


class Server:
    """HTTPS at one address: what it heard, and one answer to everything."""

    def __init__(self, bed, address, context):
        self.heard = []
        self.alpn = []
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
        self.context = context
        bed.serve(address, 443, self.handle)

    def handle(self, sock, _peer):
        try:
            with self.context.wrap_socket(sock, server_side=True) as s:
                self.alpn.append(s.selected_alpn_protocol())
                data = b""
                while b"\r\n\r\n" not in data:
                    more = s.recv(65536)
                    if not more:
                        break
                    data += more
                if not data:
                    return
                self.heard.append(data)
                s.sendall(self.answer)
                s.unwrap()
        except OSError:
            pass


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    where = tmp_path_factory.mktemp("tls")
    bed = netbed.Bed()
    bed.ca, bed.context = authority(where, "World CA")
    bed.names.table["www.example"] = [netbed.PUBLIC4]
    bed.names.table["other.example"] = [netbed.PUBLIC4_OTHER]
    bed.www = Server(bed, netbed.PUBLIC4, bed.context("www.example"))
    bed.other = Server(bed, netbed.PUBLIC4_OTHER, bed.context("other.example"))
    (where / "client.py").write_text(CLIENT)
    bed.where = where
    yield bed
    bed.close()


@pytest.fixture
def guest(world, msb):
    """Runs a shell command in a sandbox that has the host's programs."""
    def go(command, *options, **env):
        r = subprocess.run([MSB, "run", *options, "-v", "/usr:/h/usr:ro", "-v", f"{world.where}:/w:ro", "-m", "512M", "--", "sh", "-c", command],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**msb.env, **env}, timeout=LIMIT, check=False, preexec_fn=world.preexec)
        assert r.returncode == 0, r.stdout.decode(errors="replace")
        return r.stdout.decode()
    return go


def client(host, request="GET / HTTP/1.1\\r\\nHost: www.example\\r\\nConnection: close\\r\\n\\r\\n", **env):
    words = " ".join(f"{k}={shlex.quote(v)}" for k, v in env.items())
    return (f"PYTHONHOME=/h/usr {words} /h/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 --library-path /h/usr/lib/x86_64-linux-gnu "
            f"/h/usr/bin/python3 -S -E /w/client.py {host} {shlex.quote(request)}; ").replace("-S -E", "-S")


def test_a_page_through_the_interception(world, guest, msb):
    out = guest(client("www.example", ALPN="h2,http/1.1") + client("other.example") + "env | grep -c -e SSL_CERT_FILE -e NODE_EXTRA_CA",
                "--tls-intercept", "--tls-upstream-ca-cert-for", f"*.example={world.ca}", "--tls-bypass", "other.example")
    assert out.count("\nend\n") == 1, out
    first, second = out.split("\nend\n", 1)
    assert first.startswith("issuer microsandbox CA alpn http/1.1\nHTTP/1.1 200 OK\r\n") and first.endswith("hello"), out
    assert second.startswith("error") and "certificate verify failed" in second and second.endswith("\n2\n"), out
    assert world.www.heard[-1].startswith(b"GET / HTTP/1.1\r\n")
    key = Path(msb.env["MSB_HOME"]) / "tls/ca.key"
    assert key.stat().st_mode & 0o777 == 0o600


def ca(msb, *words):
    r = subprocess.run([MSB, "net", "ca", *words], capture_output=True, env=msb.env, timeout=LIMIT, check=False)
    assert b"PRIVATE" not in r.stdout + r.stderr
    return r


def test_the_authority_of_the_installation(msb):
    """Is made when it is asked for, is shown in three forms, can be replaced; its key is never seen."""
    place = Path(msb.env["MSB_HOME"]) / "tls"
    assert ca(msb, "path").stdout.decode() == f"{place}/ca.crt\n"
    pem = ca(msb).stdout
    assert pem == (place / "ca.crt").read_bytes() and pem.startswith(b"-----BEGIN CERTIFICATE-----\n")
    said = json.loads(ca(msb, "show", "--format", "json").stdout)
    der = ssl.PEM_cert_to_DER_cert(pem.decode())
    assert said["sha256"].replace(":", "").lower() == hashlib.sha256(der).hexdigest() and said["pem"] == pem.decode()
    assert said["path"] == f"{place}/ca.crt" and said["not_before"] < said["not_after"] and "microsandbox" in said["subject"]
    assert said["sha256"] in ca(msb, "--format", "text").stdout.decode()
    key = (place / "ca.key").read_bytes()
    other = json.loads(ca(msb, "rotate", "--format", "json").stdout)
    assert other["sha256"] != said["sha256"] and other["pem"].encode() == (place / "ca.crt").read_bytes()
    assert (place / "ca.key").read_bytes() != key
    assert (place / "ca.key").stat().st_mode & 0o777 == 0o600 and place.stat().st_mode & 0o777 == 0o700
    (place / "ca.key").unlink()
    r = ca(msb)
    assert r.returncode == 125 and b"ca.key" in r.stderr
    assert ca(msb, "rotate").returncode == 0
    assert ca(msb, "burn").returncode == 2


def test_requests_of_a_connection(world, guest, msb):
    """Only for the host that the connection is for, and nothing that is read in two ways."""
    www = "Host: www.example\\r\\n"
    heard = len(world.www.heard)
    out = guest(client("www.example", "GET / HTTP/1.1\\r\\nHost: other.example\\r\\n\\r\\n")
                + client("www.example", f"POST / HTTP/1.1\\r\\n{www}Content-Length: 4\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n")
                + client("www.example", f"POST /path?query HTTP/1.1\\r\\n{www}Content-Length: 3\\r\\n\\r\\nabc"),
                "--tls-upstream-ca-cert", str(world.ca))
    parts = out.split("\nend\n")
    assert "HTTP/1.1 421 " in parts[0] and "HTTP/1.1 400 " in parts[1] and "HTTP/1.1 200 " in parts[2], out
    assert len(world.www.heard) == heard + 1


def test_a_server_nobody_trusts(world, guest):
    """Its client sees a failed handshake, and the server no request."""
    heard = len(world.www.heard)
    out = guest(client("www.example"), "--tls-intercept")
    assert out.startswith("error") and "handshake failure" in out, out
    # What is said about one host counts more than what is said about all of them.
    out = guest(client("www.example") + client("other.example"), "--tls-no-verify-upstream-for", "*.example",
                "--tls-upstream-ca-cert-for", f"other.example={HOST_BUNDLE}")
    assert "HTTP/1.1 200 OK" in out and "handshake failure" in out and len(world.www.heard) == heard + 1, out


def test_behind_a_proxy_of_the_user(world, guest):
    """The proxy is asked for the server, and carries TLS that msb-tls speaks with it."""
    for port, talk, kind in ((1080, socks5, "socks5"), (3128, http, "http")):
        proxy = Proxy(world, talk, port)
        heard = len(world.www.heard)
        out = guest(client("www.example"), "--tls-upstream-ca-cert", str(world.ca), "--proxy", f"{kind}://{PROXY}:{port}")
        assert out.startswith("issuer microsandbox CA ") and "HTTP/1.1 200 OK" in out and len(world.www.heard) == heard + 1, out
        assert proxy.asked == [("www.example", 443) if kind == "socks5" else ("CONNECT www.example:443 HTTP/1.1", [])]
