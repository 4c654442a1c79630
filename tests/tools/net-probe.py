# SPDX-License-Identifier: Apache-2.0
"""Looks at the network from inside a sandbox, for the tests: run by tests/lib/guestpy.py.

usage: net-probe.py FILE

FILE holds a JSON list of probes, each a name and arguments; stdout gets the list of their results. A probe is a function
below; what the kernel says no with is its result, by the name of the error.
"""

import errno
import json
import os
import select
import socket
import struct
import sys
import time

PATIENCE = 60
TYPES = {"A": 1, "AAAA": 28, "HTTPS": 65, "TXT": 16}


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def no(e):
    if isinstance(e, TimeoutError):
        return "timeout"
    return errno.errorcode.get(e.errno, str(e))


def tcp(address, port, say=""):
    """What a server says, or how it is refused."""
    with socket.socket(family(address)) as s:
        s.settimeout(PATIENCE)
        try:
            s.connect((address, port))
            s.sendall(say.encode("latin-1"))
            s.shutdown(socket.SHUT_WR)
            data = b""
            while part := s.recv(65536):
                data += part
            return data.decode("latin-1")
        except OSError as e:
            return no(e)


def spelled(host, port):
    """The same, for what getaddrinfo(3) makes of a word, and that address."""
    try:
        address = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0][4][0]
    except socket.gaierror as e:
        return ["", str(e)]
    return [address, tcp(address, port)]


def udp(address, port, say="x", size=0, wait=PATIENCE):
    """Sends one datagram; the answer, or how it is refused."""
    data = (say * (size // len(say) + 1))[:size] if size else say
    with socket.socket(family(address), socket.SOCK_DGRAM) as s:
        s.settimeout(wait)
        try:
            s.connect((address, port))
            s.send(data.encode("latin-1"))
            return s.recv(65536).decode("latin-1")
        except OSError as e:
            return no(e)


def path_mtu(address, port, size):
    """Datagrams that must not be fragmented, until the kernel has learnt what the path takes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
        s.connect((address, port))
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                s.send(bytes(size))
            except OSError as e:
                return [no(e), s.getsockopt(socket.IPPROTO_IP, 14)]
            select.select([s], [], [], 0.2)
        return ["timeout", 0]


def checksum(data):
    s = sum(struct.unpack(f"!{len(data) // 2}H", data))
    s = (s >> 16) + (s & 0xffff)
    return 0xffff & ~(s + (s >> 16))


def echo(address):
    """`reply`, or type and code of the error that says no."""
    v6 = ":" in address
    with socket.socket(family(address), socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP) as s:
        s.settimeout(PATIENCE)
        body = struct.pack("!HH", os.getpid() & 0xffff, 1) + b"msb probe"+ b"\0"
        head = struct.pack("!BBH", 128 if v6 else 8, 0, 0)
        if not v6:
            head = struct.pack("!BBH", 8, 0, checksum(head + body))
        s.sendto(head + body, (address, 0))
        try:
            while True:
                data = s.recv(65536)
                data = data if v6 else data[(data[0] & 15) * 4:]
                if data[0] == (129 if v6 else 0) and data[4:] == body:
                    return "reply"
                if data[0] == (1 if v6 else 3):
                    return f"error {data[0]}/{data[1]}"
        except OSError as e:
            return no(e)


def read_name(msg, at):
    """Where the name ends."""
    while True:
        n = msg[at]
        if n >= 192:
            return at + 2
        at += 1 + n
        if n == 0:
            return at


def read_answer(msg):
    flags, questions, answers = struct.unpack("!HHH", msg[2:8])
    at, found = 12, []
    for _ in range(questions):
        at = read_name(msg, at) + 4
    for _ in range(answers):
        at = read_name(msg, at)
        kind, _, ttl, n = struct.unpack("!HHIH", msg[at:at + 10])
        data = msg[at + 10:at + 10 + n]
        at += 10 + n
        if kind in (1, 28):
            found.append([socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, data), ttl])
    return {"rcode": flags & 15, "cut": bool(flags & 0x200), "answers": found, "size": len(msg)}


def dns(server, name, kind="A", stream=False, size=0, questions=1):
    """A lookup at @server; @size: with EDNS, for answers that long."""
    question = b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0" + struct.pack("!HH", TYPES[kind], 1)
    msg = struct.pack("!HHHHHH", 4711, 0x100, questions, 0, 0, 1 if size else 0) + question * questions
    if size:
        msg += struct.pack("!BHHIH", 0, 41, size, 0, 0)
    with socket.socket(family(server), socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as s:
        s.settimeout(PATIENCE)
        try:
            s.connect((server, 53))
            if not stream:
                s.send(msg)
                return read_answer(s.recv(65536))
            s.sendall(struct.pack("!H", len(msg)) + msg)
            data = b""
            while len(data) < 2 or len(data) < 2 + struct.unpack("!H", data[:2])[0]:
                part = s.recv(65536)
                if not part:
                    return "closed"
                data += part
            return read_answer(data[2:])
        except OSError as e:
            return no(e)


def raw(address, protocol, options=""):
    """A packet of any protocol and with any options (hexadecimal) of IPv4, past the kernel's own transports."""
    options = bytes.fromhex(options)
    head = struct.pack("!BBHHHBBH4s4s", 0x45 + len(options) // 4, 0, 0, 7, 0, 64, protocol, 0, b"\0" * 4, socket.inet_aton(address))
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
        try:
            # The kernel fills in length, checksum and source.
            s.sendto(head + options + bytes(range(32)), (address, 0))
        except OSError as e:
            return no(e)
    return "sent"


def sh(command):
    with os.popen(command) as p:
        return p.read()


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        probes = json.load(f)
    known = {f.__name__: f for f in (tcp, spelled, udp, path_mtu, echo, dns, raw, sh)}
    json.dump([known[name](*words) for name, *words in probes], sys.stdout)


main()
