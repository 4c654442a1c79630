# SPDX-License-Identifier: Apache-2.0
"""Sockets of the host that a sandbox may reach (--vsock)."""

import json
import os
import shutil
import signal
import socket
import threading
import time

import pytest

from conftest import BUILD, Msb, children, reap, wait_gone

TALK = BUILD / "tests/tools/vsock-talk"
WAIT = 60  # seconds that anything may take on a busy machine


def pattern(n):
    """The bytes that vsock-talk sends and expects."""
    return bytes((((i * 2654435761) >> 7) ^ (i >> 16)) & 0xFF for i in range(n))


class Service:
    """A Unix socket; each connection is served by a thread of this process."""

    def __init__(self, path, serve):
        self.accepted = 0
        self.seen = []
        self.serve = serve
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(512)
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def loop(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            s.settimeout(WAIT)
            threading.Thread(target=self.one, args=(s,), daemon=True).start()

    def one(self, s):
        with s:
            try:
                self.seen.append(self.serve(s))
            except OSError as e:
                self.seen.append(e)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(WAIT)


def read_all(s):
    parts = []
    while part := s.recv(65536):
        parts.append(part)
    return b"".join(parts)


def serve_echo(s):
    while part := s.recv(65536):
        s.sendall(part)


def serve_count(s):
    data = read_all(s)
    s.sendall(f"{len(data)} {'right' if data == pattern(len(data)) else 'wrong'}\n".encode())


def serve_give(s):
    s.sendall(pattern(1_000_000))
    s.shutdown(socket.SHUT_WR)
    return read_all(s)


def serve_never(s):
    """Reads nothing until the test is over."""
    OVER.wait(10 * WAIT)


OVER = threading.Event()


class Box:
    """One sandbox with a socket of each kind of service."""

    def __init__(self, place, engine):
        self.msb = Msb(place / "home", engine)
        self.place = place
        (place / "writable").mkdir()
        shutil.copy(TALK, place / "writable/talk")
        self.services = {
            5000: Service(place / "echo.sock", serve_echo),
            5001: Service(place / "count.sock", serve_count),
            5002: Service(place / "give.sock", serve_give),
            5003: Service(place / "never.sock", serve_never),
            5006: Service(place / "quiet.sock", serve_echo),
        }
        r = self.msb("create", "--name", "box", "-v", f"{place}/writable:/x",
                     "--vsock", f"{place}/echo.sock:5000", "--vsock", f"{place}/count.sock:5001/stream",
                     "--vsock", f"{place}/give.sock:5002", "--vsock", f"{place}/never.sock:5003",
                     "--vsock", f"{place}/late.sock:5004", "--vsock", f"{place}/writable/theirs.sock:5005",
                     "--vsock", f"{place}/quiet.sock:5006")
        assert r.returncode == 0, r.stderr.decode(errors="replace")

    def talk(self, *words):
        r = self.msb("exec", "box", "--", "/x/talk", *map(str, words))
        return r.returncode, r.stdout.decode()

    def close(self):
        OVER.set()
        r = self.msb("rm", "-f", "box")
        for s in self.services.values():
            s.close()
        self.msb.close()
        assert r.returncode == 0, r.stderr


@pytest.fixture(scope="module")
def box(tmp_path_factory, engine):
    before = {pid for pid, _ in children()}
    OVER.clear()
    b = Box(tmp_path_factory.mktemp("vs"), engine)
    yield b
    b.close()
    reap()
    assert not wait_gone(before)


def test_ten_megabytes_both_ways(box):
    assert box.talk(5000, "echo", 10_000_000) == (0, "echo 10000000\n")


def test_the_guest_has_said_all(box):
    assert box.talk(5001, "send", 1_000_000) == (0, "1000000 right\n")


def test_the_service_has_said_all(box):
    assert box.talk(5002, "recv") == (0, "recv 1000000 right\n")
    deadline = time.monotonic() + WAIT
    while not box.services[5002].seen and time.monotonic() < deadline:
        time.sleep(0.02)
    assert box.services[5002].seen == [b"thanks"]


def test_who_does_not_read_is_not_sent_more(box):
    """What waits on its way is bounded: here, in both kernels, and in the guest's own socket."""
    status, said = box.talk(5003, "fill")
    assert status == 0
    assert 64 * 1024 <= int(said.split()[1]) < 2_000_000


def test_many_connections_of_a_port(box):
    assert box.talk(5000, "many", 300) == (0, "open 256 refused 44\nagain\n")


def test_a_service_that_comes_later_and_goes(box):
    path = box.place / "late.sock"
    assert box.talk(5004, "connect") == (1, "connect: Connection reset by peer\n")
    service = Service(path, serve_echo)
    assert box.talk(5004, "echo", 1000) == (0, "echo 1000\n")
    service.close()
    assert box.talk(5004, "connect")[0] == 1
    path.unlink()
    service = Service(path, serve_echo)
    assert box.talk(5004, "echo", 1000) == (0, "echo 1000\n")
    service.close()
    path.unlink()


def test_a_link_leads_nowhere(box):
    """The guest can write where this socket would be, and puts links to others there."""
    link = box.place / "writable/theirs.sock"
    link.symlink_to(box.place / "echo.sock")
    assert box.talk(5005, "connect") == (1, "connect: Connection reset by peer\n")
    link.unlink()
    service = Service(link, serve_echo)
    assert box.talk(5005, "echo", 1000) == (0, "echo 1000\n")
    service.close()
    link.unlink()


@pytest.mark.parametrize("words", [(5999, "connect"), (1, "connect"), (5006, "cid", 3), (5006, "cid", 77),
                                   (5006, "connect", "dgram"), (5006, "connect", "seqpacket")])
def test_nothing_else_is_reached(box, words):
    status, said = box.talk(*words)
    assert status == 1 and said.startswith("connect: ")
    assert box.services[5006].accepted == 0


def test_inspect_shows_them(box):
    r = box.msb("inspect", "box")
    assert f"{box.place}/echo.sock:5000" in r.stdout.decode()
    r = box.msb("inspect", "--format", "json", "box")
    listed = json.loads(r.stdout)["config"]["vsock"]
    assert listed[0] == {"path": f"{box.place}/echo.sock", "port": 5000, "kind": "stream"}


def helpers_of(words):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                argv = f.read().split(b"\0")
        except OSError:
            continue
        if argv[0] == b"msb-vsock" and words in argv:
            found.append(int(pid))
    return found


def status(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def test_both_processes_are_jailed(box):
    dialler = helpers_of(f"{box.place}/quiet.sock".encode())
    device = helpers_of(b"5006")
    assert len(dialler) == 1 and len(device) == 1
    for pid in dialler + device:
        s = status(pid)
        assert s["NoNewPrivs"] == "1" and int(s["CapEff"], 16) == 0 and s["Seccomp"] == "2", s
    # Nothing of the host is left to the one that hears the guest.
    assert os.listdir(f"/proc/{device[0]}/root") == []
    assert os.readlink(f"/proc/{device[0]}/ns/net") != os.readlink("/proc/self/ns/net")
    opened = {os.readlink(f"/proc/{device[0]}/fd/{fd}").split(":")[0] for fd in os.listdir(f"/proc/{device[0]}/fd") if int(fd) > 2}
    assert opened <= {"socket", "anon_inode"}, opened
    assert len(os.listdir(f"/proc/{dialler[0]}/fd")) == 4


def test_the_end_of_the_process_is_the_end_of_the_sandbox(home, engine, tmp_path):
    path = tmp_path / "e.sock"
    m = Msb(home, engine)
    p = m.start("--vsock", f"{path}:5000", "--", "sh", "-c", "echo ready; sleep 1000")
    assert p.stdout.readline() == b"ready\n"
    dialler = helpers_of(str(path).encode())
    assert len(dialler) == 1
    os.kill(dialler[0], signal.SIGKILL)
    _, err = p.communicate(timeout=WAIT)
    assert p.returncode not in (0, None)
    assert b"sockets of the host" in err, err
    m.close()


@pytest.mark.parametrize("option, message", [
    ("a:0", "port 0 cannot be used"), ("a:123", "reserved"), ("a:4294967295", "cannot be used"), ("a", "is not PATH:PORT"),
    ("a:5/dgram", "no vsock datagrams over virtio"), ("a:5/x", "no kind of socket"), ("/nowhere/a:5", "No such file or directory"),
    ("x" * 120 + ":5", "less than 108 bytes")])
def test_what_is_refused(cli, option, message):
    r = cli("create", "--vsock", option)
    assert r.returncode in (2, 125)
    assert message in r.stderr.decode()


def test_a_port_twice(cli):
    r = cli("create", "--vsock", "a:5", "--vsock", "b:5")
    assert r.returncode == 2
    assert "port 5 is given twice" in r.stderr.decode()
