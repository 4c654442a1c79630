# SPDX-License-Identifier: Apache-2.0
"""Rules of the network that change while a sandbox runs: for new connections at once, and for those that are open."""

import json
import subprocess
import sys
import threading

import pytest

from conftest import LIMIT, MSB, ROOT, Msb, children, reap, wait_gone

sys.path.insert(0, str(ROOT / "tests/lib"))
import netbed  # noqa: E402

WAIT = 60  # seconds that anything may take on a busy machine

pytestmark = pytest.mark.skipif(netbed.possible() is not None, reason=str(netbed.possible()))


class Server:
    """Says hello, keeps the connection, and knows when and how it ended."""

    def __init__(self, bed, address, port):
        self.opened, self.ended = threading.Event(), threading.Event()
        self.how = None
        bed.serve(address, port, self.handle)

    def handle(self, s, _peer):
        try:
            s.sendall(b"hello\n")
            self.opened.set()
            while s.recv(4096):
                pass
            self.how = "closed"
        except ConnectionResetError:
            self.how = "reset"
        self.ended.set()


@pytest.fixture
def world(tmp_path, engine):
    before = {pid for pid, _ in children()}
    bed = netbed.Bed()
    m = Msb(tmp_path / "home", engine)

    def call(*argv):
        return subprocess.run([MSB, *argv], stdin=subprocess.DEVNULL, capture_output=True, env=m.env, timeout=LIMIT, check=False,
                              preexec_fn=bed.preexec)

    def ok(*argv):
        r = call(*argv)
        assert r.returncode == 0, r.stderr.decode(errors="replace")
        return r.stdout.decode()

    yield bed, call, ok
    call("rm", "-f", "box")
    reap()
    assert not wait_gone(before)
    bed.close()


def test_rules_change_while_it_runs(world):
    bed, call, ok = world
    denied, kept = Server(bed, netbed.PUBLIC4, 80), Server(bed, netbed.PUBLIC4_OTHER, 80)
    ok("create", "--name", "box")
    try_it = f"nc -w 30 {netbed.PUBLIC4} 80 </dev/null 2>&1 | head -1"
    for i, address in enumerate((netbed.PUBLIC4, netbed.PUBLIC4_OTHER)):
        # Its input stays open, so it ends with the connection.
        ok("exec", "box", "--", "sh", "-c", f"mkfifo /tmp/in{i}; sleep 1000 > /tmp/in{i} & "
           f"(nc {address} 80 < /tmp/in{i} > /tmp/{i} 2>&1; echo end >> /tmp/{i}) > /dev/null 2>&1 & until [ -s /tmp/{i} ]; do sleep 0.1; done")
    assert denied.opened.wait(WAIT) and kept.opened.wait(WAIT)

    plan = ok("modify", "--net-rule", f"deny@{netbed.PUBLIC4}", "box")
    assert "at once" in plan and f"deny@{netbed.PUBLIC4}" in plan
    # What was open ends with a reset on both sides; what the rule does not mean goes on.
    assert denied.ended.wait(WAIT) and denied.how == "reset"
    ok("exec", "box", "--", "sh", "-c", "until grep -q end /tmp/0; do sleep 0.1; done")
    assert "refused" in ok("exec", "box", "--", "sh", "-c", try_it)
    assert not kept.ended.is_set() and ok("exec", "box", "--", "cat", "/tmp/1") == "hello\n"
    assert f"egress tcp {netbed.PUBLIC4}:80 (public): denied by rule 1" in ok("logs", "--source", "network", "box")
    assert call("net", "explain", "box", f"{netbed.PUBLIC4}:80").returncode == 1

    # The description has them, so the next start does.
    ok("restart", "box")
    assert "refused" in ok("exec", "box", "--", "sh", "-c", try_it)

    ok("modify", "--net-rule-rm", f"deny@{netbed.PUBLIC4}", "box")
    assert ok("exec", "box", "--", "sh", "-c", try_it) == "hello\n"
    ok("modify", "--net-rule", f"allow@{netbed.PRIVATE[0]}", "box")
    Server(bed, netbed.PRIVATE[0], 80)
    assert ok("exec", "box", "--", "sh", "-c", f"nc -w 30 {netbed.PRIVATE[0]} 80 </dev/null | head -1") == "hello\n"

    r = call("modify", "--net-rule-rm", "deny@10.9.9.9", "box")
    assert r.returncode == 125 and b"there is no rule 'deny@10.9.9.9'" in r.stderr, r


def test_a_sandbox_without_a_network_needs_a_restart(world):
    bed, call, ok = world
    Server(bed, netbed.PUBLIC4, 80)
    ok("create", "--name", "box", "--no-net")
    r = call("modify", "--net-rule", "allow@public", "box")
    assert r.returncode == 125 and b"needs a restart" in r.stderr, r
    ok("modify", "--restart", "--net-rule", "allow@public", "box")
    assert ok("exec", "box", "--", "sh", "-c", f"nc -w 30 {netbed.PUBLIC4} 80 </dev/null | head -1") == "hello\n"
    rules = json.loads(ok("inspect", "--format", "json", "box"))["config"]["network"]["policy"]["rules"]
    assert rules == ["allow@public"]
