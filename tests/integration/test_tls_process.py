# SPDX-License-Identifier: Apache-2.0
"""msb-tls as a process that has no numbers left for descriptors: flows end, nothing of them stays, and the process lives on."""

import array
import json
import os
import resource
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TLS = Path(os.environ["MSB_LIB"]) / "msb-tls" if "MSB_LIB" in os.environ else ROOT / "build/src/net/intercept/msb-tls"
LIMIT = int(os.environ.get("MSB_TEST_LIMIT", "120"))


class Process:
    """msb-tls with its own end of the socket that flows come from; @limit: highest number of a descriptor, and one more."""

    def __init__(self, where, limit=None):
        subprocess.run([TLS, "make-ca", where / "tls"], check=True)
        config = {"tls": {"allow_quic": False, "ports": [], "bypass": [], "no_verify": [], "upstream_ca": [],
                          "ca_cert": str(where / "tls/ca.crt"), "ca_key": str(where / "tls/ca.key")}}
        self.flows, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        file = os.memfd_create("config", 0)
        os.write(file, json.dumps(config).encode())
        high = {target: os.dup2(fd, 100 + target) for target, fd in ((3, theirs.fileno()), (4, file))}

        def place():
            for target, fd in high.items():
                os.dup2(fd, target)
            if limit:
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        self.process = subprocess.Popen([TLS, "serve"], preexec_fn=place, close_fds=False, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for fd in (*high.values(), file):
            os.close(fd)
        theirs.close()
        self.wait(lambda: self.process.poll() is not None or "Seccomp:\t2" in Path(f"/proc/{self.process.pid}/status").read_text())
        assert self.process.poll() is None, self.process.stderr.read()

    @staticmethod
    def wait(done):
        deadline = time.monotonic() + LIMIT
        while not done():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def descriptors(self):
        found = {}
        for f in Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                found[int(f.name)] = os.readlink(f)
            except FileNotFoundError:
                pass  # closed since it was listed
        return found

    def flow(self):
        """A flow without TLS; the ends that are the guest's and the server's."""
        guest, ours = socket.socketpair()
        server, other = socket.socketpair()
        peer = struct.pack("<B4s12xxH", 4, bytes(4), 443)
        flow = struct.pack("<4BH2xQ20s20s48s254s2x", 1, 1, 1, 0, 443, 1, peer, peer, b"192.0.2.1", b"www.example")
        for s in (ours, other):
            s.setblocking(False)
        self.flows.sendmsg([flow], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [ours.fileno(), other.fileno()]))])
        ours.close()
        other.close()
        for s in (guest, server):
            s.settimeout(LIMIT)
        return guest, server

    def close(self):
        self.flows.close()
        assert self.process.wait(LIMIT) == 0, self.process.stderr.read()
        self.process.stderr.close()


def passes(p):
    """Does a request reach the server?"""
    guest, server = p.flow()
    with guest, server:
        try:
            guest.sendall(b"GET / HTTP/1.1\r\nHost: www.example\r\n\r\n")
            return server.recv(4096).startswith(b"GET / ")
        except (BrokenPipeError, ConnectionResetError):
            return False


# With one number free the first of two descriptors arrives alone; with none the process does not even start.
@pytest.mark.parametrize("room", [1, 2])
def test_no_numbers_for_a_flow(tmp_path, room):
    free = Process(tmp_path)
    before = free.descriptors()
    assert passes(free)
    free.wait(lambda: free.descriptors() == before)
    free.close()
    p = Process(tmp_path, max(before) + 1 + room)
    try:
        assert p.descriptors().keys() == before.keys()
        for _ in range(4):
            assert passes(p) == (room == 2)
        p.wait(lambda: p.descriptors().keys() == before.keys())
    finally:
        p.close()
