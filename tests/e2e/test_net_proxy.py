# SPDX-License-Identifier: Apache-2.0
"""Connections of a sandbox through a proxy of the user's: what the proxy is told, what goes past it (nothing), who knows its password."""

import base64
import json
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from conftest import LIMIT, MSB, ROOT

sys.path.insert(0, str(ROOT / "tests/lib"))
import netbed  # noqa: E402

pytestmark = pytest.mark.skipif(netbed.possible() is not None, reason=str(netbed.possible()))

PROXY = "192.168.7.7"
PORT = 1080
SECRET = "correct-horse-battery"


def exactly(s, n):
    data = b""
    while len(data) < n:
        part = s.recv(n - len(data))
        assert part, "the sandbox hung up on the proxy"
        data += part
    return data


class Proxy:
    """A proxy of the namespace for connections to netbed.PUBLIC4; `asked` is what it was told."""

    def __init__(self, bed, talk, port=PORT):
        self.bed, self.talk, self.asked = bed, talk, []
        self.peers = bed.serve(PROXY, port, self.handle)

    def handle(self, s, _peer):
        port = self.talk(s, self.asked)
        if port is None:
            return
        up = netbed.inside(self.bed.fd, lambda: socket.create_connection((netbed.PUBLIC4, port), timeout=60))
        with up:
            t = threading.Thread(target=self.copy, args=(s, up), daemon=True)
            t.start()
            self.copy(up, s)
            t.join(60)

    @staticmethod
    def copy(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def socks5(s, asked):
    version, n = exactly(s, 2)
    methods = exactly(s, n)
    if b"\2" in methods:
        s.sendall(b"\5\2")
        _, n = exactly(s, 2)
        user = exactly(s, n)
        password = exactly(s, exactly(s, 1)[0])
        asked.append((user, password))
        s.sendall(b"\1\0")
    else:
        s.sendall(b"\5\0")
    _, _, _, kind = exactly(s, 4)
    host = exactly(s, exactly(s, 1)[0]).decode() if kind == 3 else socket.inet_ntoa(exactly(s, 4))
    port = struct.unpack("!H", exactly(s, 2))[0]
    asked.append((host, port))
    if port == 81:
        s.sendall(b"\5\5\0\1\0\0\0\0\0\0")
        return None
    s.sendall(b"\5\0\0\1\0\0\0\0\0\0")
    return port


def socks4(s, asked):
    """And 4a: an address that begins with 0.0.0 stands for the name behind the user."""
    def text():
        data = b""
        while not data.endswith(b"\0"):
            data += exactly(s, 1)
        return data[:-1].decode()

    version, command, port = struct.unpack("!BBH", exactly(s, 4))
    address = exactly(s, 4)
    user = text()
    asked.append((version, command, user, text() if address[:3] == b"\0\0\0" else socket.inet_ntoa(address), port))
    s.sendall(b"\0\x5a" + bytes(6))
    return port


def http(s, asked):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += exactly(s, 1)
    lines = head.decode().split("\r\n")
    asked.append((lines[0], [line for line in lines if line.startswith("Proxy-Authorization")]))
    s.sendall(b"HTTP/1.1 200 fine\r\nVia: x\r\n\r\n")
    return int(lines[0].split()[1].rsplit(":", 1)[1])


def page(s, _peer):
    s.recv(4096)
    s.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")


@pytest.fixture
def bed():
    b = netbed.Bed()
    b.names.table["www.example"] = [netbed.PUBLIC4]
    yield b
    b.close()


def call(bed, msb, *argv, env=None):
    return subprocess.run([MSB, *argv], stdin=subprocess.DEVNULL, capture_output=True, env={**msb.env, **(env or {})}, timeout=LIMIT, check=False,
                          preexec_fn=bed.preexec)


def test_socks5_gets_everything_and_keeps_its_password(bed, msb):
    proxy = Proxy(bed, socks5)
    direct = bed.serve(netbed.PUBLIC4, 80, page)
    options = ("--proxy", f"socks5://{PROXY}:{PORT}", "--socks5-username", "me", "--socks5-password-env", "PROXY_PASSWORD",
               "--net-rule", "deny@93.184.215.14:tcp:82")
    r = call(bed, msb, "create", "--name", "dev", *options)
    assert r.returncode != 0 and b"'PROXY_PASSWORD'" in r.stderr
    secret = {"PROXY_PASSWORD": SECRET}
    r = call(bed, msb, "create", "--name", "dev", *options, env=secret)
    assert r.returncode == 0, r
    try:
        r = call(bed, msb, "exec", "dev", "--", "sh", "-c",
                 f"wget -qO- http://www.example/; nc -w 60 {netbed.PUBLIC4} 81 </dev/null 2>&1; nc -w 60 {netbed.PUBLIC4} 82 </dev/null 2>&1; "
                 f"ping -c 1 -w 1 {netbed.PUBLIC4} 2>/dev/null; nslookup www.example {netbed.RESOLVER} 2>&1; env")
        out = r.stdout.decode()
        assert out.startswith("hello\n") and out.count("Connection refused") == 2 and SECRET not in out, r
        # Asked by the name it was looked up by; what the policy denies is not asked for at all.
        assert proxy.asked == [(b"me", SECRET.encode()), ("www.example", 80), (b"me", SECRET.encode()), ("www.example", 81)]
        assert len(direct) == 1 and direct[0][0] != PROXY
        logged = call(bed, msb, "logs", "--source", "network", "dev").stdout.decode()
        assert "the proxy carries TCP only" in logged and "only the gateway is asked where there is a proxy" in logged
        pids = [p.name for p in Path("/proc").iterdir() if p.name.isdigit()]
        for pid in pids:
            for name in ("cmdline", "environ"):
                try:
                    data = Path(f"/proc/{pid}/{name}").read_bytes()
                except OSError:
                    continue
                assert SECRET.encode() not in data or pid == str(Path("/proc/self").resolve().name), (pid, name)
        for f in (msb.home / "sandboxes/dev").rglob("*"):
            if f.is_file() and f.suffix != ".ext4":
                assert SECRET.encode() not in f.read_bytes(), f
        spec = json.loads((msb.home / "sandboxes/dev/spec.json").read_text())
        assert spec["network"]["proxy"] == {"kind": "socks5", "address": PROXY, "port": PORT, "user": "me", "password_env": "PROXY_PASSWORD"}
        # The next start wants it again.
        assert call(bed, msb, "stop", "dev").returncode == 0
        assert call(bed, msb, "start", "dev").returncode != 0
        assert call(bed, msb, "start", "dev", env=secret).returncode == 0
        r = call(bed, msb, "exec", "dev", "--", "wget", "-qO-", f"http://{netbed.PUBLIC4}/")
        assert r.stdout == b"hello\n" and proxy.asked[-1] == (netbed.PUBLIC4, 80)
    finally:
        call(bed, msb, "rm", "-f", "dev")


def test_http_connect(bed, msb):
    proxy = Proxy(bed, http)
    bed.serve(netbed.PUBLIC4, 80, page)
    r = call(bed, msb, "run", "--proxy", f"http://{PROXY}:{PORT}", "--proxy-username", "me", "--proxy-password-env", "PROXY_PASSWORD", "--",
             "wget", "-qO-", "http://www.example/", env={"PROXY_PASSWORD": SECRET})
    assert r.stdout == b"hello\n", r
    login = base64.b64encode(f"me:{SECRET}".encode()).decode()
    assert proxy.asked == [("CONNECT www.example:80 HTTP/1.1", [f"Proxy-Authorization: Basic {login}"])]


def test_socks4(bed, msb):
    proxy = Proxy(bed, socks4)
    bed.serve(netbed.PUBLIC4, 80, page)
    r = call(bed, msb, "run", "--proxy", f"socks4://{PROXY}:{PORT}", "--socks4-user-id", "me", "--", "sh", "-c",
             f"wget -qO- http://www.example/ && wget -qO- http://{netbed.PUBLIC4}/")
    assert r.stdout == b"hello\nhello\n", r
    # There is one address for the name, and SOCKS4 knows addresses only; without a name it is the address, too.
    assert [(v, c, u, port) for v, c, u, _, port in proxy.asked] == [(4, 1, "me", 80)] * 2
    assert all(host == netbed.PUBLIC4 for *_, host, _ in proxy.asked), proxy.asked


def test_a_proxy_that_is_not_there(bed, msb):
    r = call(bed, msb, "run", "--proxy", f"socks4://{PROXY}:{PORT}", "--", "sh", "-c", f"nc -w 60 {netbed.PUBLIC4} 80 </dev/null 2>&1; true")
    assert b"Connection refused" in r.stdout, r
    r = call(bed, msb, "run", "--proxy", f"socks5://me:pw@{PROXY}:{PORT}", "--", "true")
    assert r.returncode == 2 and b"--socks5-password-env" in r.stderr
