# SPDX-License-Identifier: Apache-2.0
"""What a sandbox sees of its network, line by line: addresses, policy, rules, lookups, echo, datagrams.

Two sandboxes are asked everything once, by one program inside (tests/tools/net-probe.py); each test looks at its part of the
answers. `plain` has the default policy with a few rules in front, `ruled` allows nothing but what its rules say.
docs/internals/policy.md lists which test is about what.
"""

import json
import shutil
import subprocess
import sys
import time

import pytest

from conftest import LIMIT, MSB, ROOT, Msb, children, reap, wait_gone

sys.path.insert(0, str(ROOT / "tests/lib"))
import guestpy  # noqa: E402
import netbed  # noqa: E402

pytestmark = [
    pytest.mark.skipif(netbed.possible() is not None, reason=str(netbed.possible())),
    pytest.mark.skipif(guestpy.missing() is not None, reason=str(guestpy.missing())),
]

REFUSED, FILTERED = "ECONNREFUSED", "EHOSTUNREACH"
NO_ECHO4, NO_ECHO6 = "error 3/13", "error 1/1"
SECOND = netbed.PUBLIC4_OTHER  # another name server that the guest may choose
INSIDE = netbed.PRIVATE[0]  # and one that it may not
SPECIAL = ("0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.1.1", "172.16.0.9", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.1",
           "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255")
SPECIAL6 = ("::", "::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "100::1", "64:ff9b:1::1", "2001:db8::1", "3fff::1",
            "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:a00:1::1", "2001:0:4136:e378:8000:63bf:f5ff:fffe")
MANY = [f"93.184.216.{n}" for n in range(1, 61)]


def page(s, _peer):
    while s.recv(4096):
        pass
    s.sendall(b"page")


class World:
    def __init__(self, place, engine, ipv6=True):
        self.bed = netbed.Bed(ipv6)
        self.msb = Msb(place / "home", engine)
        self.share = place / "share"
        self.share.mkdir()
        shutil.copy(ROOT / "tests/tools/net-probe.py", self.share)

    def call(self, *argv):
        return subprocess.run([MSB, *argv], stdin=subprocess.DEVNULL, capture_output=True, env=self.msb.env, timeout=LIMIT, check=False,
                              preexec_fn=self.bed.preexec)

    def ok(self, *argv):
        r = self.call(*argv)
        assert r.returncode == 0, r.stderr.decode(errors="replace")
        return r.stdout.decode()

    def create(self, name, *options):
        self.ok("create", "--name", name, *guestpy.OPTIONS, "-v", f"{self.share}:/x:ro", *options)

    def ask(self, name, probes):
        """What the probes saw, in a table: by their own words, as text. Where this host lets nobody ping, none of them does."""
        probes = [p for p in probes if self.bed.pings or p[0] != "echo"]
        (self.share / "probes").write_text(json.dumps(probes))
        seen = json.loads(self.ok("exec", name, "--", *guestpy.command("/x/net-probe.py", "/x/probes")))
        return Seen({json.dumps(p): s for p, s in zip(probes, seen)})

    def until(self, name, choose):
        """What choose(events) gives, once it is anything: events come by another way than the output of commands."""
        deadline = time.monotonic() + LIMIT
        while True:
            events = [json.loads(line) for line in self.ok("net", "events", "--format", "json", name).splitlines()]
            chosen = choose(events)
            if chosen:
                return chosen
            assert time.monotonic() < deadline, events
            time.sleep(0.05)

    def close(self):
        for name in self.msb.sandboxes():
            self.call("rm", "-f", name)
        self.bed.close()


class Seen:
    def __init__(self, table):
        self.table = table

    def __call__(self, *probe):
        return self.table[json.dumps(probe)]

    def lookup(self, *words):
        """Rcode and addresses."""
        answer = self("dns", *words)
        return answer if isinstance(answer, str) else (answer["rcode"], [a for a, _ in answer["answers"]])


@pytest.fixture(scope="module")
def world(tmp_path_factory, engine):
    before = {pid for pid, _ in children()}
    w = World(tmp_path_factory.mktemp("seen"), engine)
    yield w
    w.close()
    reap()
    assert not wait_gone(before)


PLAIN = [
    ["sh", "ip -o addr show dev eth0; ip route; ip -6 route; cat /sys/class/net/eth0/address /etc/resolv.conf /etc/hosts"],
    ["echo", "172.16.0.1"], ["echo", "fd42:6d73:62::1"],
    ["dns", "172.16.0.1", "host.microsandbox.internal"], ["dns", "fd42:6d73:62::1", "host.microsandbox.internal", "AAAA"],
    ["sh", "ip neigh"],
    ["dns", SECOND, "host.microsandbox.internal"],
    # The policy.
    *(["tcp", a, 80] for a in (*netbed.PRIVATE, netbed.METADATA, netbed.METADATA6, netbed.PRIVATE6, netbed.LINK_LOCAL, "172.16.0.1", netbed.PUBLIC4,
                               netbed.PUBLIC6)),
    ["tcp", "172.16.0.1", 8080], ["tcp", INSIDE, 81], ["tcp", INSIDE, 82], ["udp", INSIDE, 81],
    ["udp", "224.0.0.251", 5000, "x", 0, 0.1], ["udp", netbed.METADATA, 5000], ["udp", netbed.PUBLIC4, 5000],
    # Names.
    ["dns", "172.16.0.1", "www.example"], ["dns", "172.16.0.1", "www.example", "A", True], ["dns", SECOND, "www.example"],
    ["dns", SECOND, "www.example", "A", True], ["dns", INSIDE, "www.example"], ["dns", INSIDE, "www.example", "A", True],
    ["dns", "172.16.0.1", "www.example", "A", False, 0, 2], ["dns", "172.16.0.1", "www.example", "A", False, 0, 0],
    ["dns", "172.16.0.1", "many.example"], ["dns", "172.16.0.1", "many.example", "A", False, 1232], ["dns", "172.16.0.1", "many.example", "A", True],
    *(["dns", "172.16.0.1", f"r{i}.example"] for i in range(len(SPECIAL))),
    *(["dns", "172.16.0.1", f"s{i}.example", "AAAA"] for i in range(len(SPECIAL6))),
    ["dns", "172.16.0.1", "allowed.example"], ["dns", "172.16.0.1", "port.example"], ["dns", "172.16.0.1", "both.example"],
    *(["tcp", netbed.PUBLIC4, p] for p in (853, 443)),
    *(["udp", netbed.PUBLIC4, p] for p in (853, 5353, 5355, 137)),
    ["tcp", netbed.RESOLVER, 443],
    # Echo and datagrams.
    ["echo", netbed.PUBLIC4], ["echo", netbed.PUBLIC6], ["echo", netbed.PRIVATE[1]], ["echo", netbed.PRIVATE6],
    ["udp", netbed.PUBLIC6, 5000], ["udp", netbed.PUBLIC4, 5001],
    ["sh", "ip link set dev eth0 mtu 1300"], ["udp", netbed.PUBLIC4, 5000, "0123456789", 5000], ["sh", "ip link set dev eth0 mtu 1500"],
    ["sh", "ip route flush cache"],
]


@pytest.fixture(scope="module")
def plain(world):
    bed = world.bed
    bed.second, bed.inside = bed.name_server(SECOND), bed.name_server(INSIDE)
    bed.names.table.update({"www.example": [netbed.PUBLIC4], "many.example": MANY, "allowed.example": ["10.9.1.1"], "port.example": ["10.8.0.1"],
                            "both.example": [netbed.PUBLIC4, "10.0.0.1"]})
    bed.names.table.update({f"r{i}.example": [a] for i, a in enumerate(SPECIAL)})
    bed.names.table.update({f"s{i}.example": [a] for i, a in enumerate(SPECIAL6)})
    bed.second.table["www.example"] = [netbed.PUBLIC4_OTHER]
    bed.inside.table["www.example"] = [netbed.PUBLIC4_OTHER]
    bed.seen = {a: bed.serve(a, 80, page) for a in (*netbed.PRIVATE, netbed.METADATA, netbed.METADATA6, netbed.PRIVATE6, netbed.LINK_LOCAL, "127.0.0.1",
                                                    netbed.PUBLIC4, netbed.PUBLIC6)}
    for port in (81, 82):
        bed.serve(INSIDE, port, page)
    bed.serve("127.0.0.1", 8080, page)
    for port in (443, 853):
        bed.serve(netbed.PUBLIC4, port, page)
    bed.serve(netbed.RESOLVER, 443, page)
    bed.evading = [bed.datagrams(netbed.PUBLIC4, p, lambda d: d) for p in (853, 5353, 5355, 137)]
    bed.inner = bed.datagrams(INSIDE, 81, lambda d: d)
    bed.datagrams(netbed.PUBLIC4, 5000, lambda d: str(len(d)).encode())
    bed.datagrams(netbed.PUBLIC6, 5000, lambda d: str(len(d)).encode())
    world.create("plain", "--net-rule", f"allow@10.9.0.0/16,allow@10.8.0.1:tcp:80,allow@host:tcp:8080,allow@{INSIDE}:tcp:81")
    return world.ask("plain", PLAIN)


def test_addresses(plain):
    """A /30 and a /64, MAC addresses, the name server, the host's alias, neighbours answered by the stack."""
    out = plain(*PLAIN[0])
    for line in ("inet 172.16.0.2/30 ", "inet6 fd42:6d73:62::2/64 ", "default via 172.16.0.1 dev eth0", "default via fd42:6d73:62::1 dev eth0",
                 "02:6d:73:00:00:02\n", "nameserver 172.16.0.1\n", "172.16.0.1\thost.microsandbox.internal\n",
                 "fd42:6d73:62::1\thost.microsandbox.internal\n"):
        assert line in out, (line, out)
    neighbours = plain("sh", "ip neigh")
    assert "172.16.0.1 dev eth0 lladdr 02:6d:73:00:00:01" in neighbours and "fd42:6d73:62::1 dev eth0 lladdr 02:6d:73:00:00:01" in neighbours


def test_host_alias(plain):
    """The forwarder knows host.microsandbox.internal for 60 s, whoever is asked; the gateway's address is the host's loopback."""
    assert plain("dns", "172.16.0.1", "host.microsandbox.internal")["answers"] == [["172.16.0.1", 60]]
    assert plain("dns", "fd42:6d73:62::1", "host.microsandbox.internal", "AAAA")["answers"] == [["fd42:6d73:62::1", 60]]
    assert plain("dns", SECOND, "host.microsandbox.internal")["answers"] == [["172.16.0.1", 60]]
    assert plain("tcp", "172.16.0.1", 8080) == "page" and plain("tcp", "172.16.0.1", 80) == REFUSED


def test_public_only_by_default(plain, world):
    """Public addresses and nothing else, denied at once; --net-rule stands in front of that."""
    for a in (*netbed.PRIVATE, netbed.METADATA, netbed.METADATA6, netbed.PRIVATE6, netbed.LINK_LOCAL):
        assert plain("tcp", a, 80) == REFUSED, a
        assert not world.bed.seen[a]
    assert plain("tcp", netbed.PUBLIC4, 80) == plain("tcp", netbed.PUBLIC6, 80) == "page"
    assert plain("tcp", INSIDE, 81) == "page" and plain("tcp", INSIDE, 82) == REFUSED
    for a, port in ((INSIDE, 81), (netbed.METADATA, 5000)):
        assert plain("udp", a, port) == FILTERED, a
    # Nobody is told an error about many.
    assert world.until("plain", lambda events: any(e.get("address") == "224.0.0.251" and e["event"] == "denied" for e in events))
    assert plain("udp", netbed.PUBLIC4, 5000) == "1" and not world.bed.inner


def test_lookups_go_where_the_guest_sends_them(plain, world):
    """Port 53 is the forwarder's, UDP and TCP; another resolver is asked if its address is allowed, otherwise NXDOMAIN."""
    for stream in ((), ("A", True)):
        assert plain.lookup("172.16.0.1", "www.example", *stream) == (0, [netbed.PUBLIC4])
        assert plain.lookup(SECOND, "www.example", *stream) == (0, [netbed.PUBLIC4_OTHER])
        assert plain.lookup(INSIDE, "www.example", *stream) == (3, [])
    assert world.bed.second.asked.count(("www.example", 1)) == 2 and not world.bed.inside.asked


def test_one_question(plain):
    """A query has one question; others are malformed."""
    for n in (0, 2):
        assert plain.lookup("172.16.0.1", "www.example", "A", False, 0, n) == (1, [])


def test_long_answers(plain):
    """What does not fit is cut off with TC, by EDNS or TCP it comes whole."""
    cut = plain("dns", "172.16.0.1", "many.example")
    assert cut["cut"] and not cut["answers"] and cut["size"] <= 512
    for way in (("A", False, 1232), ("A", True)):
        whole = plain("dns", "172.16.0.1", "many.example", *way)
        assert not whole["cut"] and [a for a, _ in whole["answers"]] == MANY


def test_rebinding(plain, world):
    """No name has an address of a special range, whatever else it has, unless a rule for addresses without ports allows that."""
    for i, a in enumerate(SPECIAL):
        assert plain.lookup("172.16.0.1", f"r{i}.example") == (3, []), a
    for i, a in enumerate(SPECIAL6):
        assert plain.lookup("172.16.0.1", f"s{i}.example", "AAAA") == (3, []), a
    assert plain.lookup("172.16.0.1", "both.example") == plain.lookup("172.16.0.1", "port.example") == (3, [])
    assert plain.lookup("172.16.0.1", "allowed.example") == (0, ["10.9.1.1"])
    names = {f"r{i}.example" for i in range(len(SPECIAL))} | {f"s{i}.example" for i in range(len(SPECIAL6))}
    world.until("plain", lambda events: {e.get("name") for e in events if e["event"] == "dns" and e["result"] == "rebind"} >= names)


def test_other_ways_to_look_up(plain, world):
    """DNS over TLS and QUIC, multicast DNS, LLMNR and NetBIOS are refused; DNS over HTTPS is plain HTTPS where no rule is about names."""
    assert plain("tcp", netbed.PUBLIC4, 853) == REFUSED and plain("tcp", netbed.PUBLIC4, 443) == "page"
    for port in (853, 5353, 5355, 137):
        assert plain("udp", netbed.PUBLIC4, port) == FILTERED, port
    assert not any(world.bed.evading)
    assert plain("tcp", netbed.RESOLVER, 443) == "page"
    ports = {("tcp", 853), ("udp", 853), ("udp", 5353), ("udp", 5355), ("udp", 137)}
    world.until("plain", lambda events: {(e["proto"], e["port"]) for e in events if e["event"] == "denied" and e.get("address") == netbed.PUBLIC4} >= ports)


def test_query_log(plain, world):
    """Each lookup is an event, with who was asked and what came of it."""
    wanted = {(p, *who) for p in ("udp", "tcp") for who in ((netbed.RESOLVER, "answered"), (SECOND, "answered"), (None, "denied"))}
    world.until("plain", lambda events: {(e["proto"], e.get("server"), e["result"]) for e in events
                                         if e["event"] == "dns" and e.get("name") == "www.example"} >= wanted)


def test_echo(plain, world):
    """Echo to public addresses through ping sockets of the host, to the gateway without; denied ones are refused at once."""
    if not world.bed.pings:
        pytest.skip("this host lets nobody ping, and the test may not change that")
    assert plain("echo", "172.16.0.1") == plain("echo", "fd42:6d73:62::1") == "reply"
    assert plain("echo", netbed.PUBLIC4) == plain("echo", netbed.PUBLIC6) == "reply"
    assert plain("echo", netbed.PRIVATE[1]) == NO_ECHO4 and plain("echo", netbed.PRIVATE6) == NO_ECHO6


def test_datagrams(plain):
    """A flow per peer; who refuses is passed on; fragments are put together."""
    assert plain("udp", netbed.PUBLIC6, 5000) == "1" and plain("udp", netbed.PUBLIC4, 5001) == REFUSED
    assert plain("udp", netbed.PUBLIC4, 5000, "0123456789", 5000) == "5000"


GATE4, GATE6 = "10.77.0.1", "fd77::1"
NAMES1, NAMES2 = netbed.PUBLIC4, netbed.PUBLIC4_OTHER
TIMEOUT_MS = 4000  # of both servers together: half of it is enough for one that is there, however busy the machine
RULES = [
    f"allow@{netbed.PUBLIC4}:tcp:853", f"deny@{netbed.PRIVATE[1]}:tcp:80", "allow@192.168.0.0/16:tcp:80-81", "allow@[fd12:3456::/32]:tcp", f"allow@[{netbed.PUBLIC6}]:tcp:80",
    "allow@good.example:tcp:80", "allow@domain=single:tcp", "allow@*.wild.example", "allow@suffix=wide.example", "allow@meta:tcp:80",
    f"allow@{netbed.PUBLIC4_OTHER}:udp:5000", f"allow@{netbed.PRIVATE[2]}:icmpv4", f"allow@[{netbed.PRIVATE6}]:icmpv6", "allow@link-local:tcp:80",
    "allow@host:tcp:8080", f"deny:any@{netbed.PUBLIC4_OTHER}:tcp:8443", f"allow@{netbed.PUBLIC4_OTHER}:tcp",
]
RULED = [
    ["sh", "ip -o addr show dev eth0; cat /etc/resolv.conf"],
    ["tcp", GATE4, 8080], ["tcp", GATE6, 8080], ["tcp", GATE4, 80], ["tcp", "172.16.0.1", 80],
    ["tcp", netbed.PRIVATE[1], 80], ["tcp", netbed.PRIVATE[1], 81], ["tcp", netbed.PRIVATE[1], 82],
    ["tcp", netbed.PRIVATE6, 80], ["tcp", netbed.PUBLIC6, 80], ["tcp", netbed.PUBLIC6, 81], ["tcp", netbed.METADATA, 80], ["tcp", netbed.METADATA6, 80],
    ["tcp", netbed.LINK_LOCAL, 80], ["udp", netbed.PUBLIC4_OTHER, 5000], ["udp", netbed.PUBLIC4_OTHER, 5001], ["udp", netbed.PUBLIC4, 5000],
    ["echo", netbed.PRIVATE[2]], ["echo", netbed.PRIVATE6], ["echo", netbed.PUBLIC4], ["echo", GATE4],
    ["tcp", netbed.PUBLIC4_OTHER, 8443], ["tcp", netbed.PUBLIC4_OTHER, 8444],
    ["tcp", netbed.PUBLIC4, 80, "GET / HTTP/1.1\r\nHost: good.example\r\n\r\n"],
    *(["dns", GATE4, n] for n in ("good.example", "single", "wild.example", "deep.in.wild.example", "wide.example", "wildwild.example", "bad.example",
                                  "ads.example", "x.ads.example", "servfail.wild.example", "refused.wild.example", "slow.wild.example",
                                  "mute.wild.example", "private.wild.example", "nothing.wild.example")),
    ["dns", GATE6, "good.example"],
    ["tcp", netbed.PUBLIC4, 80, "GET /2 HTTP/1.1\r\nHost: good.example\r\n\r\n"], ["tcp", netbed.PUBLIC4, 80, "GET / HTTP/1.1\r\nHost: bad.example\r\n\r\n"],
    ["tcp", netbed.PUBLIC4, 81], ["tcp", netbed.PUBLIC4, 853], ["tcp", netbed.RESOLVER, 443],
]


@pytest.fixture(scope="module")
def ruled(world, plain):
    """After `plain`, whose servers it uses, too."""
    bed = world.bed
    bed.first, bed.last = bed.name_server(NAMES1, 5300), bed.name_server(NAMES2, 5301)
    for names in (bed.first, bed.last):
        names.table.update({n: [netbed.PUBLIC4] for n in ("good.example", "wild.example", "deep.in.wild.example", "wide.example", "slow.wild.example",
                                                          "ads.example", "bad.example", "wildwild.example")})
        names.table.update({"single": [netbed.PUBLIC4_OTHER], "private.wild.example": ["10.0.0.1"]})
        names.codes.update({"servfail.wild.example": 2, "refused.wild.example": 5})
        names.silent.add("mute.wild.example")
    bed.first.silent.add("slow.wild.example")
    bed.names.table["names.example"] = [NAMES2]
    bed.serve(netbed.PRIVATE[1], 81, page)
    bed.serve(netbed.PUBLIC4_OTHER, 8444, page)
    bed.datagrams(netbed.PUBLIC4_OTHER, 5000, lambda d: d)
    world.create("ruled", "--net-default", "deny", "--net-rule", ",".join(RULES), "--dns-nameserver", f"{NAMES1}:5300",
                 "--dns-nameserver", "names.example:5301", "--dns-query-timeout-ms", str(TIMEOUT_MS), "--no-dns-rebind-protection", "--dns-block-suffix", "ads.example",
                 "--net-ipv4-pool", "10.77.0.0/16", "--net-ipv6-pool", "fd77::/64")
    return world.ask("ruled", RULED)


def test_pools(ruled, world):
    """--net-ipv4-pool and --net-ipv6-pool move the sandbox; its old gateway is an address like any other; rules and explanations know."""
    out = ruled(*RULED[0])
    for line in ("inet 10.77.0.2/30 ", "inet6 fd77::2/64 ", f"nameserver {GATE4}\n"):
        assert line in out, out
    assert ruled("tcp", GATE4, 8080) == "page" and ruled("tcp", GATE4, 80) == ruled("tcp", "172.16.0.1", 80) == REFUSED
    assert ruled("tcp", GATE6, 8080) == REFUSED  # nobody listens at the host's ::1
    r = world.call("net", "explain", "ruled", f"{GATE4}:8080")
    assert r.returncode == 0 and b"(host): allowed" in r.stdout


def test_targets(ruled, world):
    """Addresses, networks, groups; protocols and ports; the first match wins."""
    assert ruled("tcp", netbed.PRIVATE[1], 80) == REFUSED and ruled("tcp", netbed.PRIVATE[1], 81) == "page"
    assert ruled("tcp", netbed.PRIVATE[1], 82) == REFUSED
    assert ruled("tcp", netbed.PRIVATE6, 80) == ruled("tcp", netbed.PUBLIC6, 80) == "page" and ruled("tcp", netbed.PUBLIC6, 81) == REFUSED
    assert ruled("tcp", netbed.METADATA, 80) == ruled("tcp", netbed.METADATA6, 80) == ruled("tcp", netbed.LINK_LOCAL, 80) == "page"
    assert ruled("udp", netbed.PUBLIC4_OTHER, 5000) == "x"
    assert ruled("udp", netbed.PUBLIC4_OTHER, 5001) == ruled("udp", netbed.PUBLIC4, 5000) == FILTERED
    if world.bed.pings:
        assert ruled("echo", netbed.PRIVATE[2]) == ruled("echo", netbed.PRIVATE6) == "reply" and ruled("echo", netbed.PUBLIC4) == NO_ECHO4
    assert ruled("tcp", netbed.PUBLIC4_OTHER, 8443) == REFUSED and ruled("tcp", netbed.PUBLIC4_OTHER, 8444) == "page"


def test_names(ruled, world):
    """A rule for a name allows its own lookup and no other one; a suffix is the name and all below it."""
    for name in ("good.example", "wild.example", "deep.in.wild.example", "wide.example"):
        assert ruled.lookup(GATE4, name) == (0, [netbed.PUBLIC4]), name
    assert ruled.lookup(GATE6, "good.example") == (0, [netbed.PUBLIC4])
    assert ruled.lookup(GATE4, "single") == (0, [netbed.PUBLIC4_OTHER])
    for name in ("wildwild.example", "bad.example", "ads.example", "x.ads.example"):
        assert ruled.lookup(GATE4, name) == (3, []), name
        assert name not in [n for n, _ in world.bed.first.asked + world.bed.last.asked]


def test_pins(ruled):
    """An allowed name opens its addresses once it has been looked up, on its port, and with its own name in the first bytes."""
    assert ruled("tcp", netbed.PUBLIC4, 80, "GET / HTTP/1.1\r\nHost: good.example\r\n\r\n") == REFUSED
    assert ruled("tcp", netbed.PUBLIC4, 80, "GET /2 HTTP/1.1\r\nHost: good.example\r\n\r\n") == "page"
    assert ruled("tcp", netbed.PUBLIC4, 80, "GET / HTTP/1.1\r\nHost: bad.example\r\n\r\n") in ("ECONNRESET", "ENOTCONN", "EPIPE", "")


def test_name_servers(ruled, world):
    """--dns-nameserver with a port, by address or name, several in order: the next one after silence, not after SERVFAIL or REFUSED; then the time is up."""
    first, last = ([n for n, _ in s.asked] for s in (world.bed.first, world.bed.last))
    assert ruled.lookup(GATE4, "servfail.wild.example") == (2, []) and ruled.lookup(GATE4, "refused.wild.example") == (5, [])
    assert "servfail.wild.example" in first and "servfail.wild.example" not in last and "refused.wild.example" not in last
    assert ruled.lookup(GATE4, "slow.wild.example") == (0, [netbed.PUBLIC4]) and "slow.wild.example" in first
    assert ruled.lookup(GATE4, "mute.wild.example") == (2, []) and "mute.wild.example" in last
    mute = world.until("ruled", lambda events: [e for e in events if e["event"] == "dns" and e.get("name") == "mute.wild.example"])
    assert len(mute) == 1 and mute[0]["result"] == "failed" and mute[0]["took_us"] >= TIMEOUT_MS * 1000
    assert ruled.lookup(GATE4, "nothing.wild.example") == (3, [])


def test_without_rebind_protection(ruled):
    """--no-dns-rebind-protection lets a name have a private address; it is not reached for that."""
    assert ruled.lookup(GATE4, "private.wild.example") == (0, ["10.0.0.1"])


def test_ports_that_a_rule_allows(ruled):
    """A rule with the port opens DNS over TLS; where rules are about names, resolvers over HTTPS are refused."""
    assert ruled("tcp", netbed.PUBLIC4, 853) == "page" and ruled("tcp", netbed.PUBLIC4, 81) == REFUSED
    assert ruled("tcp", netbed.RESOLVER, 443) == REFUSED


def test_a_host_without_ipv6(tmp_path, engine):
    """No route, no IPv6 inside, and AAAA is answered empty; --net all reaches everything."""
    w = World(tmp_path, engine, ipv6=False)
    try:
        w.bed.names.table["www.example"] = [netbed.PUBLIC4, netbed.PUBLIC6]
        w.bed.serve(netbed.METADATA, 80, page)
        w.bed.serve(INSIDE, 80, page)
        w.create("four", "--net", "all")
        seen = w.ask("four", [["sh", "ip -6 -o addr show dev eth0 scope global; cat /etc/resolv.conf"], ["dns", "172.16.0.1", "www.example", "AAAA"],
                              ["dns", "172.16.0.1", "www.example"], ["tcp", netbed.METADATA, 80], ["tcp", INSIDE, 80], ["tcp", netbed.PUBLIC6, 80]])
        assert "inet6" not in (out := seen("sh", "ip -6 -o addr show dev eth0 scope global; cat /etc/resolv.conf")) and "nameserver fd42" not in out
        assert seen.lookup("172.16.0.1", "www.example", "AAAA") == (0, []) and seen.lookup("172.16.0.1", "www.example") == (0, [netbed.PUBLIC4])
        assert w.bed.names.asked == [("www.example", 1)]
        assert seen("tcp", netbed.METADATA, 80) == seen("tcp", INSIDE, 80) == "page" and seen("tcp", netbed.PUBLIC6, 80) == "ENETUNREACH"
    finally:
        w.close()
