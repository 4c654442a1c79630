# SPDX-License-Identifier: Apache-2.0
"""msb-fs as a process: it has the share and nothing else, and serves it over a socket."""

import ctypes
import os
import re
import socket
import struct
import subprocess

import pytest

FS = os.environ.get("MSB_FS", "build/src/fs/msb-fs")
LOOKUP, GETATTR, WRITE, INIT, CREATE, READ, MKDIR, RENAME, OPEN, OPENDIR = 1, 3, 16, 26, 35, 15, 9, 12, 14, 27
LANDLOCK_CREATE_RULESET, LANDLOCK_VERSION = 444, 1
ROOM = 65536


class Server:
    def __init__(self, share, *options):
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fds = {3: os.dup(theirs.fileno()), 4: os.open(share, os.O_PATH), 9: os.open("/etc/passwd", os.O_RDONLY)}
        high = {target: os.dup2(fd, 100 + target) for target, fd in fds.items()}
        theirs.close()

        def place():
            for target in high:
                os.dup2(100 + target, target)
                os.close(100 + target)

        self.process = subprocess.Popen([FS, "link", *options], preexec_fn=place, close_fds=False,
                                        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        for target, fd in fds.items():
            os.close(fd)
            os.close(100 + target)
        self.sock.settimeout(60)

    def call(self, opcode, node, body=b""):
        header = struct.pack("<IIQQIIIHH", 40 + len(body), opcode, 7, node, 0, 0, 1, 0, 0)
        self.sock.send(struct.pack("<II", ROOM, 0) + header + body)
        reply = self.sock.recv(1 << 20)
        length, error, unique = struct.unpack("<IiQ", reply[:16])
        assert length == len(reply) and unique == 7
        return error, reply[16:]

    def init(self):
        error, _ = self.call(INIT, 0, struct.pack("<IIII", 7, 38, 1 << 17, 0xffffffff))
        assert error == 0

    def stop(self):
        self.sock.close()
        assert self.process.wait(60) == 0, self.process.stderr.read()
        self.process.stderr.close()


@pytest.fixture
def share(tmp_path):
    d = tmp_path / "share"
    d.mkdir()
    (d / "hello").write_text("hello")
    (tmp_path / "secret").write_text("secret")
    return d


def status_of(pid):
    return dict(re.findall(r"^(\w+):\s*(.*)$", open(f"/proc/{pid}/status").read(), re.M))


def test_rights_of_the_process(share):
    s = Server(share)
    s.init()
    status = status_of(s.process.pid)
    assert status["Seccomp"] == "2"
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapAmb"], 16) == 0
    if os.geteuid() == 0:
        fds = {int(fd): os.readlink(f"/proc/{s.process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{s.process.pid}/fd")}
        assert not any("passwd" in target for target in fds.values())
        assert os.readlink(f"/proc/{s.process.pid}/ns/net") != os.readlink("/proc/self/ns/net")
        assert os.listdir(f"/proc/{s.process.pid}/root") == ["hello"]
    s.stop()


def test_root_becomes_the_owner_of_the_share(share):
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    os.chown(share, 1234, 2345)
    os.chmod(share.parent, 0o755)
    s = Server(share)
    s.init()
    status = status_of(s.process.pid)
    # In a container without that right it stays root of a namespace of its own.
    if status["Uid"].split()[0] != "0":
        assert status["Uid"].split() == ["1234"] * 4
        assert status["Gid"].split() == ["2345"] * 4
        error, _ = s.call(MKDIR, 1, struct.pack("<II", 0o755, 0) + b"made\0")
        assert error == 0
        assert os.stat(share / "made").st_uid == 1234
    s.stop()


def test_files_through_the_process(share):
    s = Server(share)
    s.init()
    error, entry = s.call(LOOKUP, 1, b"hello\0")
    assert error == 0
    error, made = s.call(CREATE, 1, struct.pack("<IIII", os.O_RDWR, 0o100644, 0, 0) + b"new\0")
    assert error == 0
    node, fh = struct.unpack("<Q", made[:8])[0], struct.unpack("<Q", made[128:136])[0]
    data = os.urandom(100000)
    error, _ = s.call(WRITE, node, struct.pack("<QQIIQII", fh, 0, len(data), 0, 0, 0, 0) + data)
    assert error == 0
    assert (share / "new").read_bytes() == data
    error, got = s.call(READ, node, struct.pack("<QQIIQII", fh, 50000, 60000, 0, 0, 0, 0))
    assert error == 0 and got == data[50000:]
    error, _ = s.call(MKDIR, 1, struct.pack("<II", 0o755, 0) + b"dir\0")
    assert error == 0
    error, entry = s.call(LOOKUP, 1, b"dir\0")
    error, _ = s.call(RENAME, 1, entry[:8] + b"new\0moved\0")
    assert error == 0
    assert (share / "dir" / "moved").read_bytes() == data
    s.stop()


def test_a_share_of_one_file(share):
    s = Server(share / "hello", "only=name")
    s.init()
    error, entry = s.call(LOOKUP, 1, b"name\0")
    assert error == 0
    error, opened = s.call(OPEN, struct.unpack("<Q", entry[:8])[0], struct.pack("<II", os.O_RDONLY, 0))
    assert error == 0
    error, got = s.call(READ, struct.unpack("<Q", entry[:8])[0],
                        opened[:8] + struct.pack("<QIIQII", 0, 100, 0, 0, 0, 0))
    assert error == 0 and got == b"hello"
    assert s.call(MKDIR, 1, struct.pack("<II", 0o755, 0) + b"d\0")[0] == -30
    s.stop()


def test_what_the_host_moves_out_is_out_of_reach(share):
    """The guest knows a directory, and the host puts it elsewhere: its number leads there, the rights of the process do not."""
    if ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_VERSION) < 1:
        pytest.skip("this kernel has no Landlock")
    (share / "d").mkdir()
    (share / "d/known").write_text("known")
    s = Server(share)
    s.init()
    directory = s.call(LOOKUP, 1, b"d\0")[1][:8]
    node = struct.unpack("<Q", directory)[0]
    known = struct.unpack("<Q", s.call(LOOKUP, node, b"known\0")[1][:8])[0]
    elsewhere = share.parent / "elsewhere"
    os.rename(share / "d", elsewhere)
    for error, _ in (s.call(CREATE, node, struct.pack("<IIII", os.O_RDWR, 0o100644, 0, 0) + b"new\0"),
                     s.call(MKDIR, node, struct.pack("<II", 0o755, 0) + b"new\0"),
                     s.call(OPEN, known, struct.pack("<II", os.O_RDWR, 0)),
                     s.call(OPEN, known, struct.pack("<II", os.O_RDONLY, 0)),
                     s.call(OPENDIR, node, struct.pack("<II", 0, 0)),
                     s.call(10, node, b"known\0"),  # UNLINK
                     s.call(RENAME, node, struct.pack("<Q", 1) + b"known\0taken\0")):
        assert error in (-13, -18), error
    assert os.listdir(elsewhere) == ["known"] and (elsewhere / "known").read_text() == "known"
    assert sorted(os.listdir(share)) == ["hello"]
    s.stop()


def test_words_it_does_not_know(share):
    p = subprocess.run([FS, "link", "rw"], stderr=subprocess.PIPE, timeout=60)
    assert p.returncode == 2
    assert b"'rw' is no option of a share" in p.stderr
