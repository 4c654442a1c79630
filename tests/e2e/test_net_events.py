# SPDX-License-Identifier: Apache-2.0
"""The ledger of a sandbox's network: every lookup, connection and refusal is in it, and whoever changes it is found out."""

import json
import subprocess
import sys
import time

import pytest

from conftest import LIMIT, MSB, ROOT

sys.path.insert(0, str(ROOT / "tests/lib"))
import netbed  # noqa: E402

pytestmark = pytest.mark.skipif(netbed.possible() is not None, reason=str(netbed.possible()))


class Box:
    """One named sandbox in a world of its own."""

    def __init__(self, msb):
        self.msb = msb
        self.bed = netbed.Bed()

    def call(self, *argv, check=True):
        r = subprocess.run([MSB, *argv], stdin=subprocess.DEVNULL, capture_output=True, env=self.msb.env, timeout=LIMIT, check=False,
                           preexec_fn=self.bed.preexec)
        assert not check or r.returncode == 0, r
        return r

    def out(self, *argv):
        return self.call(*argv).stdout.decode()

    def events(self, *argv):
        return [json.loads(line) for line in self.out("net", "events", "--format", "json", *argv, "dev").splitlines()]

    def until(self, wanted):
        """All events, once one of them is what is waited for: they come by another way than the command's output."""
        deadline = time.monotonic() + 60
        while True:
            events = self.events()
            if any(wanted(e) for e in events):
                return events
            assert time.monotonic() < deadline, events
            time.sleep(0.05)

    def sh(self, script):
        return self.out("exec", "dev", "--", "sh", "-c", script)


@pytest.fixture
def box(msb):
    b = Box(msb)
    yield b
    if "dev" in msb.sandboxes():
        b.call("rm", "-f", "dev", check=False)
    b.bed.close()


PAGE = b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n"


def page(s, _peer):
    s.recv(4096)
    s.sendall(PAGE)


def one(events, **wanted):
    """The one event with these members."""
    found = [e for e in events if all(e.get(k) == v for k, v in wanted.items())]
    assert len(found) == 1, (wanted, found, events)
    return found[0]


def test_everything_is_in_the_ledger(box):
    box.bed.names.table.update({"www.example": [netbed.PUBLIC4], "rebind.example": [netbed.PRIVATE[0]]})
    box.bed.serve(netbed.PUBLIC4, 80, page)
    box.bed.datagrams(netbed.PUBLIC4, 69, lambda d: b"\0\3\0\1block" if d[1] == 1 else None)
    box.call("create", "--name", "dev", "--net-rule", "deny@bad.example")
    assert box.call("net", "verify", "dev").stdout.startswith(b"ok: lines 1 to 2, the last one has ")
    box.sh(f"wget -qO- http://www.example/; nc -w 60 {netbed.PUBLIC4} 81 </dev/null; nc -w 60 {netbed.METADATA} 80 </dev/null; "
           f"nslookup bad.example; nslookup rebind.example; nslookup nowhere.example; tftp -g -r f -l /tmp/f {netbed.PUBLIC4}; "
           f"ping -c 1 -w 5 {netbed.PRIVATE[1]}; true")
    events = box.until(lambda e: e["event"] == "denied" and e["proto"] == "icmp")
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert events[0]["event"] == "file" and events[1]["event"] == "start"

    answered = one(events, event="dns", name="www.example", type=1)
    assert answered["addresses"] == [netbed.PUBLIC4] and answered["rcode"] == 0 and answered["server"] == netbed.RESOLVER
    assert answered["result"] == "answered" and answered["proto"] == "udp" and answered["took_us"] > 0
    denied = [e for e in events if e["event"] == "dns" and e["name"] == "bad.example"]
    assert denied and all(e["result"] == "denied" and e["rcode"] == 3 and e["rule"] == 1 and e["rule_text"] == "deny@bad.example" for e in denied)
    assert all("server" not in e for e in denied)
    assert one(events, event="dns", name="rebind.example", type=1)["result"] == "rebind"
    assert one(events, event="dns", name="nowhere.example", type=1)["rcode"] == 3

    opened = one(events, event="open", proto="tcp", address=netbed.PUBLIC4, port=80)
    assert opened["name"] == "www.example" and opened["direction"] == "egress" and "rule" not in opened
    said = one(events, event="inspected", flow=opened["flow"])
    assert said["name"] == "www.example" and said["rule"] == 3 and said["rule_text"] == "allow@public"
    closed = one(events, event="close", flow=opened["flow"])
    assert closed["sent"] > 20 and closed["received"] == len(PAGE) and closed["rule"] == 3 and "error" not in closed
    assert one(events, event="failed", port=81)["error"] == "Connection refused"
    refused = one(events, event="denied", address=netbed.METADATA)
    assert refused["port"] == 80 and "denied by default" in refused["text"]
    assert one(events, event="denied", proto="icmp")["address"] == netbed.PRIVATE[1]
    assert one(events, event="open", proto="udp")["port"] == 69

    lines = box.out("net", "events", "dev").splitlines()
    assert len(lines) == len(events) - 1
    assert any(f"lookup of www.example (A): {netbed.PUBLIC4}" in line for line in lines)
    assert any(line.endswith(f"egress tcp {netbed.PUBLIC4}:80 (www.example): close, {closed['sent']} bytes sent, {len(PAGE)} received") for line in lines)
    assert any(line.endswith(f"egress tcp {netbed.PUBLIC4}:81 (www.example): failed: Connection refused") for line in lines)
    assert box.out("net", "events", "--tail", "2", "dev").splitlines() == lines[-2:]
    assert box.events("--since", "2000-01-01T00:00:00Z") == events and box.events("--since", "2999-01-01T00:00:00Z") == []

    box.call("stop", "dev")
    ended = box.events()
    assert ended[-1]["event"] == "end"
    box.call("start", "dev")
    more = box.events()
    assert more[:len(ended)] == ended and more[len(ended)]["event"] == "start"
    assert json.loads(box.out("net", "verify", "--format", "json", "dev"))["ok"] is True


def test_who_changes_it_is_found_out(box):
    box.call("create", "--name", "dev")
    box.sh(f"nc -w 60 {netbed.METADATA} 80 </dev/null; true")
    follower = subprocess.Popen([MSB, "net", "events", "-f", "dev"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=box.msb.env)
    try:
        assert follower.stdout.readline().endswith(b" start\n") and b"denied by default" in follower.stdout.readline()
        box.sh(f"nc -w 60 {netbed.PRIVATE[0]} 80 </dev/null; true")
        assert netbed.PRIVATE[0].encode() in follower.stdout.readline()
        box.call("stop", "dev")
        assert follower.stdout.readline().endswith(b" end\n")
        assert follower.stdout.read() == b"" and follower.wait(LIMIT) == 0
    finally:
        follower.kill()
        follower.wait()
        follower.stdout.close()
    place = box.msb.home / "sandboxes/dev"
    files = [f for f in place.glob("ledger-*.jsonl") if f.stat().st_size]
    assert len(files) == 1 and files[0].stat().st_mode & 0o777 == 0o600
    whole = files[0].read_bytes()
    lines = whole.splitlines(keepends=True)
    denied = next(i for i, line in enumerate(lines) if netbed.METADATA.encode() in line)

    def verdict():
        r = box.call("net", "verify", "dev", check=False)
        return r.returncode, r.stdout.decode()

    files[0].write_bytes(whole.replace(netbed.METADATA.encode(), b"169.254.169.253"))
    assert verdict()[0] == 1 and verdict()[1].startswith(f"broken: {files[0].name}, line {denied + 1}: ")
    files[0].write_bytes(b"".join(lines[:denied] + lines[denied + 1:]))
    assert verdict()[0] == 1 and f"line {denied + 1}: it is number {denied + 2}" in verdict()[1]
    files[0].write_bytes(b"".join(lines[:-1]))
    assert verdict() == (1, f"broken: its end was cut off: it ends with line {len(lines) - 1} of {len(lines)}\n")
    files[0].write_bytes(whole)
    assert verdict()[0] == 0
    box.call("create", "--name", "other", "--no-net")
    r = box.call("net", "verify", "other", check=False)
    assert r.returncode != 0 and b"never ran with a network" in r.stderr
    box.call("rm", "-f", "other")
