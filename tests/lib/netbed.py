# SPDX-License-Identifier: Apache-2.0
"""A world of its own for tests of the network: a namespace with "public", private and other addresses and servers on them.

Nothing in it leads to the real network. The namespace has no name: it lives as long as its descriptor, so nothing is left
when a test is killed. Servers are threads of the test whose sockets were made inside; msb is run inside with preexec().
"""

import contextlib
import ctypes
import os
import shutil
import socket
import socketserver
import struct
import subprocess
import tempfile
import threading
from pathlib import Path

RAW = -socket.SOCK_RAW  # for Bed.socket(): the "port" is a protocol of IP
CLONE_NEWNET = 0x40000000
CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
LIBC = ctypes.CDLL(None, use_errno=True)

# What the Internet is in here, and what must not be reached from a sandbox.
PUBLIC4 = "93.184.215.14"
PUBLIC4_OTHER = "151.101.1.91"
PUBLIC6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
RESOLVER = "9.9.9.9"
PRIVATE = ("10.1.2.3", "192.168.7.7", "172.20.0.5", "100.64.1.1")
UNREACHABLE = "203.1.113.1"
LINK_LOCAL = "169.254.7.7"
METADATA = "169.254.169.254"
METADATA6 = "fd00:ec2::254"
PRIVATE6 = "fd12:3456::1"
ADDRESSES = (PUBLIC4, PUBLIC4_OTHER, RESOLVER, *PRIVATE, LINK_LOCAL, METADATA)
ADDRESSES6 = (PUBLIC6, METADATA6, PRIVATE6)


def _check(result, what):
    if result < 0:
        e = ctypes.get_errno()
        raise OSError(e, f"{what}: {os.strerror(e)}")


def possible():
    """None, or why there can be no namespace here."""
    if not shutil.which("ip"):
        return "no ip(8) to set up a network namespace"
    pid = os.fork()
    if pid == 0:
        os._exit(0 if LIBC.unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 else 1)
    return None if os.waitpid(pid, 0)[1] == 0 else "no right to make network namespaces"


class _Inside(threading.Thread):
    """Runs one function in the namespace and keeps what it returns."""

    def __init__(self, fd, function):
        super().__init__()
        self.fd, self.function = fd, function
        self.result, self.error = None, None

    def run(self):
        try:
            if self.fd is None:
                _check(LIBC.unshare(CLONE_NEWNET), "unshare")
            else:
                _check(LIBC.setns(self.fd, CLONE_NEWNET), "setns")
            self.result = self.function()
        except Exception as e:  # noqa: BLE001 - raised again by its starter
            self.error = e


def inside(fd, function):
    """What function() returns, run in the namespace of @fd, or in a new one."""
    t = _Inside(fd, function)
    t.start()
    t.join()
    if t.error:
        raise t.error
    return t.result


def _ip(*words):
    subprocess.run(["ip", *words], check=True, stdin=subprocess.DEVNULL)


def _build(ipv6):
    _ip("link", "set", "lo", "up")
    for a in ADDRESSES:
        _ip("address", "add", f"{a}/32", "dev", "lo")
    _ip("route", "add", "unreachable", f"{UNREACHABLE}/32")
    _ip("route", "add", "default", "dev", "lo")
    if ipv6:
        for a in ADDRESSES6:
            _ip("address", "add", f"{a}/128", "dev", "lo", "nodad")
        _ip("-6", "route", "add", "default", "dev", "lo", "metric", "1")
    # Anybody may send echo requests, as on the usual distributions; a new namespace lets nobody.
    pings = Path("/proc/sys/net/ipv4/ping_group_range")
    with contextlib.suppress(OSError):  # in a container it may not be written
        pings.write_text("0 2147483647", encoding="ascii")
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC), pings.read_text(encoding="ascii").startswith("0")


class Names(threading.Thread):
    """A name server: A, AAAA and CNAME records of a table, the codes of another one, silence, NXDOMAIN otherwise."""

    def __init__(self, sock):
        super().__init__(daemon=True)
        self.sock = sock
        self.table = {}
        self.codes = {}
        self.silent = set()
        self.ttl = 60
        self.asked = []

    def run(self):
        while True:
            try:
                query, client = self.sock.recvfrom(4096)
            except OSError:
                return
            if not query:
                return
            answer = self.answer(query)
            if answer is not None:
                self.sock.sendto(answer, client)

    def stream(self, s, _peer):
        """For Bed.serve(): the same over TCP."""
        head = s.recv(2, socket.MSG_WAITALL)
        answer = self.answer(s.recv(struct.unpack("!H", head)[0], socket.MSG_WAITALL)) if len(head) == 2 else None
        if answer is not None:
            s.sendall(struct.pack("!H", len(answer)) + answer)

    def answer(self, query):
        name, at = [], 12
        while query[at]:
            name.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        at += 1
        kind = struct.unpack("!H", query[at:at + 2])[0]
        question = query[12:at + 4]
        name = ".".join(name).lower()
        self.asked.append((name, kind))
        if name in self.silent:
            return None
        records = [self.record(r) for r in self.table.get(name, ()) if self.kind(r) in (kind, 5)]
        rcode = self.codes.get(name, 0 if name in self.table else 3)
        head = query[:2] + struct.pack("!HHHHH", 0x8180 | rcode, 1, len(records), 0, 0)
        return head + question + b"".join(records)

    @staticmethod
    def kind(value):
        """The type of the record that holds @value: an address, or another name."""
        return 28 if ":" in value else 1 if value[-1].isdigit() else 5

    def record(self, value):
        kind = self.kind(value)
        if kind == 5:
            data = b"".join(bytes([len(p)]) + p.encode() for p in value.split(".")) + b"\0"
        else:
            data = socket.inet_pton(socket.AF_INET6 if kind == 28 else socket.AF_INET, value)
        return b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, self.ttl, len(data)) + data


class Bed:
    def __init__(self, ipv6=True):
        self.fd, self.pings = inside(None, lambda: _build(ipv6))
        self.servers = []
        self.files = tempfile.TemporaryDirectory()
        self.resolv = Path(self.files.name) / "resolv.conf"
        self.resolv.write_text(f"nameserver {RESOLVER}\n")
        self.names = self.name_server(RESOLVER)

    def socket(self, address, port, kind=socket.SOCK_STREAM):
        """A bound socket of the namespace."""
        def make():
            if kind == RAW:
                s = socket.socket(socket.AF_INET, socket.SOCK_RAW, port)
                s.bind((address, 0))
                return s
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((address, port))
            return s
        return inside(self.fd, make)

    def name_server(self, address, port=53):
        """One more Names, over UDP and TCP."""
        names = Names(self.socket(address, port, socket.SOCK_DGRAM))
        names.start()
        self.serve(address, port, names.stream)
        return names

    def serve(self, address, port, handle):
        """Calls handle(connected socket, peer) in a thread for each connection; returns the list of peers so far."""
        peers = []

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                peers.append(self.client_address)
                handle(self.request, self.client_address)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

            def __init__(self, sock):
                super().__init__(sock.getsockname(), Handler, bind_and_activate=False)
                self.socket.close()
                self.socket = sock
                self.server_activate()

        server = Server(self.socket(address, port))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.servers.append(server)
        return peers

    def datagrams(self, address, port, answer):
        """Sends back what answer(datagram) says, unless that is None; returns the list of those seen."""
        s = self.socket(address, port, socket.SOCK_DGRAM)
        seen = []

        def loop():
            while True:
                try:
                    data, peer = s.recvfrom(65536)
                except OSError:
                    return
                if not data:
                    return
                seen.append(data)
                reply = answer(data)
                if reply is not None:
                    s.sendto(reply, peer)
        threading.Thread(target=loop, daemon=True).start()
        return seen

    def preexec(self):
        """For subprocess: in the namespace, with its name server."""
        _check(LIBC.setns(self.fd, CLONE_NEWNET), "setns")
        _check(LIBC.unshare(CLONE_NEWNS), "unshare")
        _check(LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "mount /")
        real = os.path.realpath("/etc/resolv.conf").encode()
        _check(LIBC.mount(bytes(self.resolv), real, None, MS_BIND, None), "mount resolv.conf")

    def close(self):
        for s in self.servers:
            s.shutdown()
            s.server_close()
        os.close(self.fd)
        self.files.cleanup()
