# SPDX-License-Identifier: Apache-2.0
"""Who programs in a sandbox trust: the authority of the interception, without being told so, and the host's authorities on demand.

The programs are the host's, as many as it has: its /usr is in the place of the sandbox's.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import LIMIT, MSB, ROOT, Msb, children, reap, wait_gone
from test_tls import HOST_BUNDLE, LOADER, PYTHON, Server, authority

sys.path.insert(0, str(ROOT / "tests/lib"))
import netbed  # noqa: E402

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

pytestmark = [
    pytest.mark.skipif(netbed.possible() is not None, reason=str(netbed.possible())),
    pytest.mark.skipif(not (LOADER.exists() and PYTHON.exists() and shutil.which("openssl") and HOST_BUNDLE.exists()),
                       reason="the test needs Debian's python3, openssl and ca-certificates"),
]


class Box:
    def __init__(self, place, engine):
        self.bed = netbed.Bed()
        self.msb = Msb(place / "home", engine)
        self.ca, context = authority(place, "World CA")
        self.bed.names.table["www.example"] = [netbed.PUBLIC4]
        self.www = Server(self.bed, netbed.PUBLIC4, context("www.example"))

    def call(self, *argv):
        return subprocess.run([MSB, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.msb.env,
                              timeout=LIMIT, check=False, preexec_fn=self.bed.preexec)

    def ok(self, *argv):
        r = self.call(*argv)
        assert r.returncode == 0, r.stdout.decode(errors="replace")
        return r.stdout.decode()

    def until(self, *argv, wanted):
        """What a command says once that is in it: events come by another way than output."""
        deadline = time.monotonic() + 60
        while wanted not in (out := self.ok(*argv)):
            assert time.monotonic() < deadline, out
            time.sleep(0.05)
        return out

    def ask(self, *program, env=()):
        """What a program in the sandbox says, and the lines of the requests that the server heard of it."""
        before = len(self.www.heard)
        r = self.call("exec", *(w for e in env for w in ("-e", e)), "box", "--", *program)
        return r.returncode, r.stdout.decode(errors="replace"), [h.split(b"\r\n")[0].decode() for h in self.www.heard[before:]]


@pytest.fixture(scope="module")
def box(tmp_path_factory, engine):
    place = tmp_path_factory.mktemp("trust")
    before = {pid for pid, _ in children()}
    b = Box(place, engine)
    b.ok("create", "--name", "box", "-m", "768M", "-v", "/usr:/usr:ro", "--tls-upstream-ca-cert", str(b.ca), "--trust-host-cas")
    # What a Debian without separate /usr has, but for the sandbox's own /bin.
    b.ok("exec", "box", "--", "sh", "-c", "ln -s usr/lib64 /lib64; ln -s usr/lib /lib; echo root:x:0:0::/root:/bin/sh > /etc/passwd")
    yield b
    b.ok("rm", "-f", "box")
    reap()
    assert not wait_gone(before)
    b.bed.close()


URLLIB = "import urllib.request; print(urllib.request.urlopen('https://www.example/python', timeout=60).read().decode())"
# The one of Debian, or the one that pip brings along.
IMPORT = "try:\n import requests\nexcept ImportError:\n from pip._vendor import requests\n"
REQUESTS = IMPORT + "print(requests.get('https://www.example/requests', timeout=60).text)"
FETCH = "fetch('https://www.example/node').then(r => r.text()).then(console.log)"
PROGRAMS = {
    "python": (("/usr/bin/python3", "-c", URLLIB), "GET /python "),
    "requests": (("/usr/bin/python3", "-c", REQUESTS), "GET /requests "),
    "curl": (("/usr/bin/curl", "-sS", "https://www.example/curl"), "GET /curl "),
    "wget": (("/usr/bin/wget", "-qO-", "https://www.example/wget"), "GET /wget "),
    "git": (("/usr/bin/git", "ls-remote", "https://www.example/git"), "GET /git/info/refs?service=git-upload-pack "),
    "node": (("/usr/bin/node", "-e", FETCH), "GET /node "),
}


def missing(name):
    """None, or why this program cannot be asked."""
    program = PROGRAMS[name][0]
    if not Path(program[0]).exists():
        return f"this host has no {program[0]}"
    if name == "requests" and subprocess.run([str(PYTHON), "-c", IMPORT], capture_output=True, check=False).returncode != 0:
        return "the python of this host has no requests and no pip"
    return None


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_trusts_the_interception(box, name):
    why = missing(name)
    if why:
        pytest.skip(why)
    program, line = PROGRAMS[name]
    status, out, heard = box.ask(*program)
    assert heard and heard[0].startswith(line), out
    # Of the server's answer git can make nothing.
    assert name == "git" or (status == 0 and "hello" in out), out


# A proxy of the guest's own would carry TLS past the interception.
CONNECT = """
import socket
with socket.create_connection(("www.example", 443), 60) as s:
    s.sendall(b"CONNECT other.example:443 HTTP/1.1\\r\\nHost: other.example:443\\r\\n\\r\\n")
    print(s.recv(65536).decode())
"""


def test_a_tunnel_at_an_intercepted_port_is_refused(box):
    for target in ("other.example", "www.example"):
        status, out, heard = box.ask("/usr/bin/python3", "-c", CONNECT.replace("other.example", target))
        assert status == 0 and "405" in out and not heard, out
    assert "CONNECT within an intercepted connection" in box.until("logs", "--source", "network", "box", wanted="CONNECT within")


def test_the_process_with_the_key_is_jailed(box):
    """It has no right, no file but its sockets, and nobody reads its memory."""
    pid = json.loads((box.msb.home / "sandboxes/box/state.json").read_text())["pid"]
    children_of = [c for t in Path(f"/proc/{pid}/task").iterdir() for c in (t / "children").read_text().split()]
    found = [c for c in children_of if Path(f"/proc/{c}/comm").read_text() == "msb-tls\n"]
    assert len(found) == 1, children_of
    proc = Path(f"/proc/{found[0]}")
    status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines() if ":\t" in line)
    assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1"
    assert all(int(status[c], 16) == 0 for c in ("CapInh", "CapPrm", "CapEff", "CapAmb"))
    assert "0" not in status["Uid"].split() + status["Gid"].split()
    core = next(line for line in (proc / "limits").read_text().splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]
    for space in ("mnt", "net"):
        assert os.readlink(proc / "ns" / space) != os.readlink(f"/proc/{pid}/ns/{space}"), space
    # Its last words go into a pipe.
    kinds = {os.readlink(fd).split(":")[0] for fd in (proc / "fd").iterdir() if fd.name != "2"}
    assert kinds <= {"socket", "anon_inode", "/dev/null"}, kinds
    assert os.readlink(proc / "fd/2").split(":")[0] in ("pipe", "/dev/null")
    # Not dumpable: its files in /proc are root's, whoever it is.
    assert (proc / "mem").stat().st_uid == 0


def test_what_the_user_says_wins(box):
    status, out, heard = box.ask("/usr/bin/python3", "-c", URLLIB, env=("SSL_CERT_FILE=/dev/null",))
    assert status != 0 and "CERTIFICATE_VERIFY_FAILED" in out and not heard, out
    assert "GIT_SSL_CAINFO=/mine\n" in box.ok("exec", "-e", "GIT_SSL_CAINFO=/mine", "box", "--", "env")


def test_the_authorities_of_the_host(box):
    count = HOST_BUNDLE.read_text().count("-----BEGIN CERTIFICATE-----")
    inside = box.ok("exec", "box", "--", "cat", BUNDLE)
    # The image has none of its own.
    assert inside.count("-----BEGIN CERTIFICATE-----") == count + 1
    assert inside.count("# microsandbox: added") == 1
    assert json.loads((box.msb.home / "sandboxes/box/spec.json").read_text())["network"]["trust_host_cas"] is True


# Everything that can be said to the network, with what moves a cursor, sets a title or turns text around in it.
HOSTILE = r"""
import socket, ssl, struct
ESC = b"\x1b[2J\x1b]0;x\x07\r\xc2\x9b\xe2\x80\xae"

def say(port, data, name="www.example"):
    try:
        with socket.create_connection((name, port), 30) as s:
            s.sendall(data)
            while s.recv(4096):
                pass
    except OSError as e:
        print(port, e)

def hello(name):
    out = ssl.MemoryBIO()
    c = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    try:
        c.do_handshake()
    except ssl.SSLWantReadError:
        return out.read()

def lookup(label):
    q = struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + bytes([len(label)]) + label + b"\x07example\0" + struct.pack("!HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(30)
        s.sendto(q, ("172.16.0.1", 53))
        try:
            s.recv(4096)
        except OSError as e:
            print("lookup", e)

lookup(ESC)
say(443, hello("a" * len(ESC) + ".example").replace(b"a" * len(ESC), ESC))
for port in (80, 443):
    for host in (b"www.example", ESC):
        say(port, b"GET /" + ESC + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
say(443, b"GET /\xc2\x9b31m\xe2\x80\xaetxt HTTP/1.1\r\nHost: www.example\r\n\r\n")
say(81, b"", "end.of.it")
print("said")
"""


def harmless(text):
    return not any(c != "\n" and (ord(c) < 0x20 or 0x7f <= ord(c) <= 0x9f or 0x200b <= ord(c) <= 0x206f) for c in text)


def test_what_a_guest_says_moves_no_cursor(box):
    status, out, _ = box.ask("/usr/bin/python3", "-c", HOSTILE)
    assert status == 0 and "said" in out, out
    lines = box.until("net", "events", "--format", "json", "box", wanted="end.of.it")
    events = [json.loads(line) for line in lines.splitlines()]
    assert len(events) > 10 and harmless(lines)
    shown, logged = box.ok("net", "events", "box"), box.ok("logs", "--source", "network", "box")
    assert "egress tcp" in shown and "egress tcp" in logged
    for text in (shown, logged, box.ok("ps"), box.ok("ls"), box.ok("inspect", "box")):
        assert harmless(text), [line for line in text.splitlines() if not harmless(line)]
    json.loads(box.ok("logs", "--source", "network", "--json", "box").splitlines()[0])
    # Nor does a message that repeats what a guest, or somebody else, has said.
    box.ok("exec", "box", "--", "sh", "-c", "mkdir $(printf '/tmp/d\\033[2Jx')")
    for argv in (("exec", "box", "--", "\x1b[2Jx"), ("cp", "box:/tmp/d\x1b[2Jx/none", "/tmp/x")):
        r = box.call(*argv)
        assert r.returncode != 0 and b"[2Jx" in r.stdout and harmless(r.stdout.decode()), r


def test_another_authority_after_a_rotation(box):
    """What runs goes on with the old one; after a restart nobody trusts that any more."""
    ca = box.msb.home / "tls/ca.crt"
    old = ca.read_text()
    said = box.ok("net", "ca", "rotate", "--format", "text")
    assert "these keep the old authority until they are restarted: box" in said
    assert ca.read_text() != old
    status, out, _ = box.ask("/usr/bin/python3", "-c", URLLIB)
    assert status == 0 and "hello" in out, out
    box.ok("restart", "box")
    inside = box.ok("exec", "box", "--", "cat", BUNDLE, "/.msb/tls/ca.pem")
    assert inside.count(ca.read_text()) == 2 and old not in inside
    status, out, _ = box.ask("/usr/bin/python3", "-c", URLLIB)
    assert status == 0 and "hello" in out, out
