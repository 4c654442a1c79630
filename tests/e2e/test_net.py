# SPDX-License-Identifier: Apache-2.0
"""The network of a sandbox: what it reaches of a world made for the test (tests/lib/netbed.py), and how it is refused."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from conftest import LIMIT, MSB, ROOT

sys.path.insert(0, str(ROOT / "tests/lib"))
import netbed  # noqa: E402

pytestmark = pytest.mark.skipif(netbed.possible() is not None, reason=str(netbed.possible()))


@pytest.fixture
def bed():
    b = netbed.Bed()
    yield b
    b.close()


@pytest.fixture
def run(bed, msb):
    """One `msb run` inside the world."""
    def go(*argv, **kwargs):
        return subprocess.run([MSB, "run", *argv], stdin=subprocess.DEVNULL, capture_output=True, env=msb.env,
                              timeout=LIMIT, check=False, preexec_fn=bed.preexec, **kwargs)
    return go


def text(r):
    assert r.returncode == 0, r.stderr.decode(errors="replace")
    return r.stdout.decode()


def page(s, _peer):
    s.recv(4096)
    s.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")


def test_a_page_by_name_and_by_address(bed, run):
    bed.names.table["www.example"] = [netbed.PUBLIC4]
    peers = bed.serve(netbed.PUBLIC4, 80, page)
    out = text(run("--", "sh", "-c", f"wget -qO- http://www.example/ && wget -qO- http://{netbed.PUBLIC4}/"))
    assert out == "hello\nhello\n" and len(peers) == 2
    assert ("www.example", 1) in bed.names.asked


def test_ipv6(bed, run):
    bed.names.table["six.example"] = [netbed.PUBLIC6]
    bed.serve(netbed.PUBLIC6, 80, page)
    assert text(run("--", "wget", "-qO-", "http://six.example/")) == "hello\n"


def test_the_guest_knows_its_network(bed, run):
    out = text(run("--", "sh", "-c", "ip -4 -o addr show eth0; ip route; grep nameserver /etc/resolv.conf; grep microsandbox /etc/hosts; "
                   "ping -c1 -w30 172.16.0.1 | grep received"))
    assert "172.16.0.2/30" in out and "default via 172.16.0.1 dev eth0" in out
    assert "nameserver 172.16.0.1\n172.16.0.1\thost.microsandbox.internal\n" in out
    assert "1 packets received" in out


def test_what_is_not_public_is_refused_at_once(bed, run):
    seen = [bed.serve(a, 80, page) for a in (*netbed.PRIVATE, netbed.METADATA, netbed.METADATA6, netbed.PRIVATE6, "127.0.0.1")]
    hosts = [*netbed.PRIVATE, netbed.METADATA, "172.16.0.1", netbed.METADATA6, netbed.PRIVATE6]
    out = text(run("--", "sh", "-c", f"for a in {' '.join(hosts)}; do nc -w 60 $a 80 </dev/null 2>&1; done; true"))
    assert out.count("Connection refused") == len(hosts), out
    assert not any(seen)


def test_tenants_reach_public_addresses_only(bed, run, msb):
    peers = bed.serve(netbed.PRIVATE[0], 80, page)
    bed.serve(netbed.PUBLIC4, 80, page)
    ask = ["--net-default", "allow", "--net-rule", f"allow@{netbed.PRIVATE[0]}", "--", "sh", "-c",
           f"wget -qO- http://{netbed.PUBLIC4}/; wget -qO- http://{netbed.PRIVATE[0]}/"]
    assert text(run(*ask)) == "hello\nhello\n" and len(peers) == 1
    r = run("--deployment-profile", "multi-tenant", *ask)
    assert r.stdout == b"hello\n" and r.returncode != 0 and b"refused" in r.stderr and len(peers) == 1
    # The file has the last word, and no option leads around it.
    (msb.home / "config.json").write_text('{"deployment_profile": "multi-tenant"}')
    for option in (["-p", "0:80"], ["--dns-nameserver", "9.9.9.9"], ["--no-dns-rebind-protection"], ["--max-connections", "257"],
                   ["--net-ipv4-pool", "10.0.0.0/8"], ["--vsock", "./s:5000"]):
        r = run("--deployment-profile", "single-tenant", *option, "--", "true")
        assert r.returncode == 2 and b"not with the deployment profile multi-tenant" in r.stderr, r.stderr


def test_how_a_peer_is_missing_shows(bed, run):
    out = text(run("--", "sh", "-c", f"nc -w 60 {netbed.PUBLIC4} 81 </dev/null 2>&1; nc -w 60 {netbed.UNREACHABLE} 80 </dev/null 2>&1; "
                   "nslookup nowhere.example 2>&1; true"))
    assert "Connection refused" in out and "No route to host" in out
    assert "NXDOMAIN" in out or "can't find" in out or "can't resolve" in out


def test_much_data_both_ways(bed, run):
    got = []
    done = threading.Event()

    def sink(s, _peer):
        data = b""
        while chunk := s.recv(1 << 16):
            data += chunk
        got.append(data)
        s.sendall(data)
        done.set()

    bed.serve(netbed.PUBLIC4, 9, sink)
    r = run("--", "sh", "-c", f"head -c 3000000 /dev/urandom > /tmp/x; nc {netbed.PUBLIC4} 9 < /tmp/x > /tmp/y; cmp /tmp/x /tmp/y && wc -c < /tmp/y")
    assert text(r) == "3000000\n" and done.wait(30) and len(got[0]) == 3000000


def test_datagrams(bed, run):
    """TFTP: a request, one short block, its acknowledgement."""
    seen = bed.datagrams(netbed.PUBLIC4, 69, lambda d: b"\0\3\0\1block" if d[1] == 1 else None)
    assert text(run("--", "sh", "-c", f"tftp -g -r file -l /tmp/f {netbed.PUBLIC4} && cat /tmp/f")) == "block"
    assert seen[0].startswith(b"\0\1file\0") and seen[-1] == b"\0\4\0\1"


def test_no_network(bed, run):
    bed.names.table["www.example"] = [netbed.PUBLIC4]
    peers = bed.serve(netbed.PUBLIC4, 80, page)
    for option in ("--no-net", "--no-network", "--net=none"):
        r = run(option, "--", "sh", "-c", f"ls /sys/class/net; wget -qO- http://{netbed.PUBLIC4}/")
        assert r.returncode != 0 and r.stdout == b"lo\n", r
    assert not peers and not bed.names.asked


def test_rules(bed, run):
    private = bed.serve(netbed.PRIVATE[0], 80, page)
    other = bed.serve(netbed.PUBLIC4, 80, page)
    out = text(run("--net-rule", f"allow@{netbed.PRIVATE[0]}:tcp:80,deny@{netbed.PUBLIC4}", "--", "sh", "-c",
                   f"wget -qO- http://{netbed.PRIVATE[0]}/; nc -w 60 {netbed.PUBLIC4} 80 </dev/null 2>&1; true"))
    assert out.startswith("hello\n") and "Connection refused" in out
    assert len(private) == 1 and not other


def test_names_decide(bed, run):
    bed.names.table.update({"good.example": [netbed.PUBLIC4], "bad.example": [netbed.PUBLIC4_OTHER]})
    good = bed.serve(netbed.PUBLIC4, 80, page)
    bad = bed.serve(netbed.PUBLIC4_OTHER, 80, page)
    out = text(run("--net-default", "deny", "--net-rule", "allow@good.example", "--", "sh", "-c",
                   f"wget -qO- http://good.example/; wget -qO- http://bad.example/ 2>&1; wget -qO- http://{netbed.PUBLIC4_OTHER}/ 2>&1; true"))
    assert out.startswith("hello\n") and out.count("hello") == 1
    assert len(good) == 1 and not bad
    assert "bad.example" not in [n for n, _ in bed.names.asked]


def test_waiting_does_not_hide_a_name(bed, run):
    """The server of both names hears the one that is allowed, however late it is said, and never the other one."""
    bed.names.table["good.example"] = [netbed.PUBLIC4]
    heard = []

    def server(s, _peer):
        s.sendall(b"banner\n")
        heard.append(s.recv(4096))
        s.sendall(b"heard\n")

    bed.serve(netbed.PUBLIC4, 80, server)
    say = "(sleep 7; printf 'GET / HTTP/1.1\\r\\nHost: {}.example\\r\\n\\r\\n') | nc -w 60 " + netbed.PUBLIC4 + " 80 > /tmp/{} 2>&1 &"
    out = text(run("--net-default", "deny", "--net-rule", "allow@good.example", "--", "sh", "-c",
                   f"nslookup good.example > /dev/null; {say.format('bad', 'bad')} {say.format('good', 'good')} wait; cat /tmp/bad; echo --; cat /tmp/good"))
    bad, good = out.split("--\n")
    assert bad.startswith("banner\n") and "heard" not in bad, out
    assert good == "banner\nheard\n", out
    assert not any(b"bad.example" in h for h in heard) and sum(b"good.example" in h for h in heard) == 1


def test_private_answers_are_refused(bed, run):
    bed.names.table["rebind.example"] = [netbed.PRIVATE[0]]
    r = run("--", "nslookup", "rebind.example")
    assert netbed.PRIVATE[0].encode() not in r.stdout


def test_the_host_where_that_is_allowed(bed, run):
    peers = bed.serve("127.0.0.1", 8080, page)
    assert text(run("--net", "public,host", "--", "wget", "-qO-", "http://host.microsandbox.internal:8080/")) == "hello\n"
    assert peers[0][0] == "127.0.0.1"


def test_the_process_is_jailed(bed, msb):
    p = subprocess.Popen([MSB, "run", "--", "sh", "-c", "echo up; cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=msb.env,
                         preexec_fn=bed.preexec)
    try:
        assert p.stdout.readline() == b"up\n"
        supervisors = Path(f"/proc/{p.pid}/task/{p.pid}/children").read_text().split()
        found = []
        for s in supervisors:
            for child in Path(f"/proc/{s}/task/{s}/children").read_text().split():
                if Path(f"/proc/{child}/comm").read_text() == "msb-net\n":
                    found.append(child)
        assert len(found) == 1
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{found[0]}/status").read_text().splitlines() if ":\t" in line)
        assert status["NoNewPrivs"] == "1" and int(status["CapEff"], 16) == 0 and status["Seccomp"] == "2"
        assert "0" not in status["Uid"].split()
    finally:
        p.stdin.close()
        p.wait(LIMIT)
        p.stdout.close()


def test_the_end_of_the_process_ends_the_sandbox(bed, msb):
    p = subprocess.Popen([MSB, "run", "--", "sh", "-c", "echo up; sleep 1000"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, env=msb.env, preexec_fn=bed.preexec)
    try:
        assert p.stdout.readline() == b"up\n"
        victims = []
        for s in Path(f"/proc/{p.pid}/task/{p.pid}/children").read_text().split():
            victims += [c for c in Path(f"/proc/{s}/task/{s}/children").read_text().split()
                        if Path(f"/proc/{c}/comm").read_text() == "msb-net\n"]
        subprocess.run(["kill", "-9", *victims], check=True)
        err = p.communicate(timeout=LIMIT)[1]
        assert p.returncode != 0 and b"the network: msb-net was killed by signal 9" in err, err
    finally:
        p.kill()
        p.wait()


def test_a_named_sandbox_keeps_its_policy(bed, msb):
    def call(*argv):
        return subprocess.run([MSB, *argv], stdin=subprocess.DEVNULL, capture_output=True, env=msb.env, timeout=LIMIT, check=False,
                              preexec_fn=bed.preexec)
    bed.serve(netbed.PRIVATE[0], 80, page)
    assert call("create", "--name", "kept", "--net", "private").returncode == 0
    try:
        for _ in range(2):
            r = call("exec", "kept", "--", "wget", "-qO-", f"http://{netbed.PRIVATE[0]}/")
            assert r.stdout == b"hello\n", r
            assert call("stop", "kept").returncode == 0
            assert call("start", "kept").returncode == 0
        spec = json.loads((msb.home / "sandboxes/kept/spec.json").read_text())
        assert any("private" in rule for rule in spec["network"]["policy"]["rules"])
    finally:
        call("rm", "-f", "kept")


def test_what_is_denied_is_logged(bed, msb):
    def call(*argv):
        r = subprocess.run([MSB, *argv], stdin=subprocess.DEVNULL, capture_output=True, env=msb.env, timeout=LIMIT, check=False,
                           preexec_fn=bed.preexec)
        assert r.returncode == 0, r
        return r.stdout.decode()
    bed.names.table.update({"good.example": [netbed.PUBLIC4], "rebind.example": [netbed.PRIVATE[0]]})
    bed.serve(netbed.PUBLIC4, 80, page)
    call("create", "--name", "watched", "--net-rule", "deny@bad.example")
    try:
        call("exec", "watched", "--", "sh", "-c",
             f"nc -w 60 {netbed.METADATA} 80 </dev/null; nc -w 60 {netbed.PRIVATE6} 22 </dev/null; nslookup bad.example; nslookup rebind.example; "
             f"ping -c 1 -w 5 {netbed.PRIVATE[1]}; wget -qO- --header 'Host: bad.example' http://good.example/; true")
        lines = call("logs", "--source", "network", "watched").splitlines()
        wanted = (f"egress tcp {netbed.METADATA}:80 (meta): denied", f"egress tcp [{netbed.PRIVATE6}]:22 (private): denied",
                  "lookup of bad.example: denied by rule 1", "lookup of rebind.example: denied: the answer holds 10.1.2.3",
                  f"egress icmpv4 {netbed.PRIVATE[1]} (private): denied", f"egress tcp {netbed.PUBLIC4}:80 (public, bad.example): denied by rule 1")
        for w in wanted:
            assert any(line.startswith(w) for line in lines), (w, lines)
        assert not any("good.example" in line for line in lines)
        entries = [json.loads(line) for line in call("logs", "--source", "network", "--json", "watched").splitlines()]
        assert [e["d"] for e in entries] == [line + "\n" for line in lines]
        assert all(e["s"] == "network" and e["id"] == 0 and e["t"].endswith("Z") for e in entries)
        assert "denied" not in call("logs", "watched")
    finally:
        call("rm", "-f", "watched")


def test_options_that_cannot_be(msb):
    r = msb.run("--no-net", "--net", "public", "--", "true")
    assert r.returncode == 2
    r = msb.run("--net-rule", "allow@", "--", "true")
    assert r.returncode == 2 and b"--net-rule" in r.stderr
