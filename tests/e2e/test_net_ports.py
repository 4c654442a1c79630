# SPDX-License-Identifier: Apache-2.0
"""Published ports of a sandbox, called from the world of tests/lib/netbed.py around it."""

import json
import shutil
import socket
import subprocess
import sys
import time

import pytest

from conftest import BUILD, LIMIT, MSB, ROOT, Msb, children, reap, wait_gone

sys.path.insert(0, str(ROOT / "tests/lib"))
import netbed  # noqa: E402

ECHO = BUILD / "tests/tools/net-echo"
WAIT = 60  # seconds that anything may take on a busy machine

pytestmark = pytest.mark.skipif(netbed.possible() is not None, reason=str(netbed.possible()))


class World:
    """A namespace, msb inside it, and clients of published ports."""

    def __init__(self, place, engine):
        self.bed = netbed.Bed()
        self.msb = Msb(place / "home", engine)
        self.share = place / "share"
        self.share.mkdir()
        shutil.copy(ECHO, self.share / "net-echo")

    def call(self, *argv):
        return subprocess.run([MSB, *argv], stdin=subprocess.DEVNULL, capture_output=True, env=self.msb.env, timeout=LIMIT, check=False,
                              preexec_fn=self.bed.preexec)

    def ok(self, *argv):
        r = self.call(*argv)
        assert r.returncode == 0, r.stderr.decode(errors="replace")
        return r.stdout.decode()

    def serve(self, name, *services):
        """Services in the guest (protocol, address, port), which run when this returns."""
        # The file of an earlier service at this port would be taken for the new one's.
        start = " ".join(f"rm -f /tmp/ready-{port}; /x/net-echo {protocol} {address} {port} > /tmp/ready-{port} 2>&1 & echo $! > /tmp/pid-{port};" for protocol, address, port in services)
        wait = "; ".join(f"until [ -s /tmp/ready-{port} ]; do sleep 0.1; done; grep -q ready /tmp/ready-{port}" for _, _, port in services)
        self.ok("exec", name, "--", "sh", "-ec", f"{start} {wait}")

    def ports(self, name):
        listed = json.loads(self.ok("ps", "--format", "json", name))["ports"]
        return {(p["guest_port"], p["protocol"]): p["host_port"] for p in listed if p["bind"] != "::1"}

    def client(self, address, port, kind=socket.SOCK_STREAM, source=""):
        def make():
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
            s.settimeout(WAIT)
            if source:
                s.bind((source, 0))
            s.connect((address, port))
            return s
        return netbed.inside(self.bed.fd, make)

    def close(self):
        self.bed.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory, engine):
    w = World(tmp_path_factory.mktemp("ports"), engine)
    yield w
    w.close()


@pytest.fixture(scope="module")
def box(world):
    """One sandbox with ports of every kind, and services where they are hard to reach."""
    before = {pid for pid, _ in children()}
    world.ok("create", "--name", "box", "-v", f"{world.share}:/x:ro", "-p", "0:7000", "-p", "0:7001", "-p", "0:7002/udp", "-p", "0:7003/udp",
             "-p", "[::1]:0:7000", "-p", "0.0.0.0:0:7004", "-p", "8099:7009", "-p", "0:7005",
             "-p", "0.0.0.0:0:7006/udp", "-p", "[::]:0:7007/udp",
             "--net-rule", f"deny:ingress@{netbed.PRIVATE[0]}:tcp:7004,deny:ingress@any:tcp:7005")
    world.serve("box", ("tcp", "0.0.0.0", 7000), ("tcp", "127.0.0.1", 7001), ("udp", "0.0.0.0", 7002), ("udp", "127.0.0.1", 7003),
                ("tcp", "0.0.0.0", 7004), ("tcp", "0.0.0.0", 7005), ("tcp", "127.0.0.1", 7009),
                ("udp", "0.0.0.0", 7006), ("udp", "0.0.0.0", 7007))
    yield world
    world.ok("rm", "-f", "box")
    reap()
    assert not wait_gone(before)


def echo(s, data=b"hello"):
    with s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        got = b""
        while chunk := s.recv(65536):
            got += chunk
    return got


def refused(call):
    """Is this client turned away: it may be connected for a moment, but never hears anything."""
    try:
        return echo(call()) == b""
    except (ConnectionResetError, ConnectionRefusedError, BrokenPipeError):
        return True


def test_streams(box):
    data = bytes(range(256)) * 4000
    assert echo(box.client("127.0.0.1", box.ports("box")[7000, "tcp"]), data) == data


def test_a_service_of_the_guests_loopback(box):
    for _ in range(2):
        assert echo(box.client("127.0.0.1", box.ports("box")[7001, "tcp"])) == b"hello"
    assert echo(box.client("127.0.0.1", 8099)) == b"hello"


def test_nobody_listens(box):
    """The port of the host is open, the one of the guest is not: a reset, and at once."""
    box.ok("exec", "box", "--", "sh", "-c", "kill $(cat /tmp/pid-7009)")
    started = time.monotonic()
    assert refused(lambda: box.client("127.0.0.1", 8099))
    assert time.monotonic() - started < WAIT / 2


def test_datagrams(box):
    ports = box.ports("box")
    for guest_port in (7002, 7003):
        heard = []
        clients = [box.client("127.0.0.1", ports[guest_port, "udp"], socket.SOCK_DGRAM) for _ in range(2)]
        for data in (b"one", b"two", bytes(5000)):
            for c in clients:
                c.send(data)
                peer, _, answer = c.recv(65536).partition(b":")
                assert answer == data
                heard.append(peer)
        # The service can tell the two apart, and each stays the same.
        assert heard[0] != heard[1] and heard[0::2] == [heard[0]] * 3 and heard[1::2] == [heard[1]] * 3
        for c in clients:
            c.close()


def test_answers_come_from_the_address_that_was_asked(box):
    """Also where a port is open on all addresses of the host: the routing table would choose another one."""
    ports = box.ports("box")
    asked = ((7006, netbed.PUBLIC4, (netbed.PRIVATE[0], netbed.PRIVATE[1])), (7007, netbed.PUBLIC6, (netbed.PRIVATE6, netbed.METADATA6)))
    for guest_port, source, addresses in asked:
        port = ports[guest_port, "udp"]
        with box.bed.socket(source, 0, socket.SOCK_DGRAM) as s:
            s.settimeout(WAIT)
            for _ in range(2):
                for address in addresses:
                    s.sendto(address.encode(), (address, port))
                    answer, (sender, sender_port, *_) = s.recvfrom(65536)
                    assert (sender, sender_port) == (address, port) and answer.partition(b":")[2] == address.encode()


def test_addresses_of_the_host(box):
    listed = json.loads(box.ok("inspect", "--format", "json", "box"))["ports"]
    by_bind = {p["bind"]: p["host_port"] for p in listed if p["protocol"] == "tcp"}
    assert echo(box.client("::1", by_bind["::1"])) == b"hello"
    assert echo(box.client(netbed.PUBLIC4, by_bind["0.0.0.0"])) == b"hello"
    with pytest.raises(ConnectionRefusedError):
        box.client(netbed.PUBLIC4, box.ports("box")[7000, "tcp"])


def test_rules_about_who_comes_in(box):
    port = box.ports("box")[7004, "tcp"]
    assert echo(box.client(netbed.PRIVATE[0], port, source=netbed.PUBLIC4)) == b"hello"
    assert refused(lambda: box.client(netbed.PUBLIC4, port, source=netbed.PRIVATE[0]))
    assert refused(lambda: box.client("127.0.0.1", box.ports("box")[7005, "tcp"]))
    # What is told comes by another way than the reset.
    deadline = time.monotonic() + WAIT
    while "denied by rule 2" not in (log := box.ok("logs", "--source", "network", "box")):
        assert time.monotonic() < deadline, log
        time.sleep(0.05)
    assert f"ingress tcp {netbed.PRIVATE[0]}" in log and "denied by rule 1" in log


def test_one_sandbox_reaches_another(box):
    """By the port that the other one publishes, at the host, where a rule allows just that."""
    port = box.ports("box")[7001, "tcp"]
    client = ("sh", "-c", f"echo hello | nc -w 30 host.microsandbox.internal {port} 2>&1")
    r = box.call("run", "--net-rule", f"allow@host:tcp:{port}", "--", *client)
    assert r.stdout == b"hello\n", r
    assert b"refused" in box.call("run", "--", *client).stdout


def test_listings(box):
    ports = box.ports("box")
    assert set(ports) == {(7000, "tcp"), (7001, "tcp"), (7002, "udp"), (7003, "udp"), (7004, "tcp"), (7005, "tcp"), (7009, "tcp"), (7006, "udp"), (7007, "udp")}
    assert all(ports.values()) and ports[7009, "tcp"] == 8099
    assert f"127.0.0.1:{ports[7001, 'tcp']}->7001/tcp" in box.ok("inspect", "box")
    assert "PORTS" in box.ok("ps")
    row = next(s for s in json.loads(box.ok("ls", "--format", "json")) if s["name"] == "box")
    assert [p["guest_port"] for p in row["ports"]] == [7000, 7001, 7002, 7003, 7000, 7004, 7009, 7005, 7006, 7007]


def test_a_port_that_is_taken(box):
    r = box.call("run", "-p", "8099:80", "--", "true")
    assert r.returncode == 125 and b"port 127.0.0.1:8099/tcp of the host is taken" in r.stderr and b"-p 0:80" in r.stderr, r
    r = box.call("run", "-p", "192.0.2.1:80:80", "--", "true")
    assert r.returncode == 2 and b"192.0.2.1:80/tcp cannot be opened: the host does not have this address" in r.stderr, r


def test_ports_survive_a_restart(box):
    box.ok("create", "--name", "again", "-v", f"{box.share}:/x:ro", "-p", "8098:80", "-p", "0:81")
    try:
        box.serve("again", ("tcp", "127.0.0.1", 80))
        assert echo(box.client("127.0.0.1", 8098)) == b"hello"
        box.ok("stop", "again")
        with pytest.raises(ConnectionRefusedError):
            box.client("127.0.0.1", 8098)
        assert box.ports("again") == {(80, "tcp"): 8098, (81, "tcp"): None}
        box.ok("start", "again")
        box.serve("again", ("tcp", "127.0.0.1", 80))
        assert echo(box.client("127.0.0.1", 8098)) == b"hello"
        assert box.ports("again")[81, "tcp"]
    finally:
        box.ok("rm", "-f", "again")


def test_use_keeps_a_sandbox_awake(box):
    """Three seconds without a command would end it; a client that says something every now and then does not let it."""
    box.ok("create", "--name", "awake", "-v", f"{box.share}:/x:ro", "-p", "0:80", "--idle-timeout", "3s")
    try:
        box.serve("awake", ("tcp", "0.0.0.0", 80))
        with box.client("127.0.0.1", box.ports("awake")[80, "tcp"]) as s:
            until = time.monotonic() + 5
            while time.monotonic() < until:
                s.sendall(b"x")
                assert s.recv(1) == b"x"
                time.sleep(0.2)
            assert json.loads(box.ok("ps", "--format", "json", "awake"))["status"] == "Running"
            # Connected, but silent: that is no use.
            assert s.recv(1) == b""
        box.ok("wait", "awake")
        assert json.loads(box.ok("inspect", "--format", "json", "awake"))["reason"] == "IdleTimeout"
    finally:
        box.ok("rm", "-f", "awake")


def test_words_that_cannot_be(cli):
    for words, message in ((("-p", "80"), b"the port of the guest is missing"), (("-p", "8000-8010:80"), b"ranges are not supported"),
                           (("-p", "1:1", "-p", "1:2"), b"published twice"), (("-p", "1:1", "--no-net"), b"without a network nobody gets in")):
        r = cli("run", *words, "--", "true")
        assert r.returncode == 2 and message in r.stderr, r


def test_a_warning_where_others_get_in(box):
    r = box.call("run", "-p", "0.0.0.0:0:80", "-p", "0:81", "--", "true")
    assert r.returncode == 0 and r.stderr.count(b"can be reached from other machines") == 1, r
