# SPDX-License-Identifier: Apache-2.0
"""Very many commands in one sandbox: the supervisor and its relay lose nothing, mix nothing and leak nothing.

The machine is a process (tests/lib/fakehost.py): what is tested is all that is ours on the host. With real guests,
tests/e2e/test_many_execs.py does less of the same.
"""

import hashlib
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import audit  # noqa: E402 (needs the path above)
from fakehost import FAKE, MSB, FakeHost, pattern  # noqa: E402

EXECS = int(os.environ.get("MSB_EXECS", "10000"))
STREAMS = 100
STREAM_BYTES = 10_000_000
PATIENCE = 180
# Anonymous memory of a process that serves one command like the one before.
GROWTH_KIB = 256


@pytest.fixture
def host(tmp_path):
    if not FAKE.exists():
        pytest.skip(f"{FAKE} is not built")
    h = FakeHost(tmp_path)
    yield h
    for name in h.ok("ls", "-q").decode().split():
        h.ok("rm", "--force", "-q", name)
    assert not audit.audit(h.home, [], [], tmp=h.tmp)


def sizes(host):
    """Supervisor and machine at rest: kinds of descriptors, threads, memory of their own."""
    found = {}
    for p in audit.processes(host.home):
        found[p.comm] = (Counter(audit.kind(t) for t in p.fds.values()), len(os.listdir(f"/proc/{p.pid}/task")), p.rss_kib())
    assert sorted(found) == ["fake-qemu", "msb-sandbox"]
    return found


def execs(host, n):
    """@n commands, four at a time; how many failed."""
    argv = [MSB, "exec", "box", "--", "exit", "0"]
    failed = []

    def some():
        for _ in range(n // 4):
            pid = os.posix_spawn(MSB, argv, host.env, file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)])
            status = os.waitpid(pid, 0)[1]
            if status:
                failed.append(status)

    threads = [threading.Thread(target=some) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return len(failed)


def test_execs_leak_nothing(host):
    host.ok("create", "--name", "box")
    assert execs(host, 400) == 0
    assert not audit.settled(host.home, ["box"], ["box"])
    before = sizes(host)
    assert execs(host, EXECS) == 0
    assert not audit.settled(host.home, ["box"], ["box"])
    after = sizes(host)
    for name, (fds, threads, rss) in before.items():
        assert after[name][:2] == (fds, threads), name
        assert after[name][2] <= rss + GROWTH_KIB, name
    # The log is a ring; commands without output are not in it.
    logs = list((host.home / "sandboxes/box").glob("exec-*.log"))
    assert len(logs) == 4 and sum(f.stat().st_size for f in logs) < 1 << 20


def test_concurrent_streams_lose_and_mix_nothing(host):
    """One reader does not read at all before all others are through: it holds up nobody, and gets all of its own."""
    host.ok("create", "--name", "box")
    # Each has a length, and so a content, of its own.
    totals = [STREAM_BYTES + i for i in range(STREAMS)]
    started = [host.start("exec", "box", "--", "emit", str(total), stderr=subprocess.DEVNULL) for total in totals]
    digests = {}

    def take(i):
        digest = hashlib.sha256()
        while chunk := os.read(started[i].stdout.fileno(), 1 << 20):
            digest.update(chunk)
        digests[i] = (started[i].wait(), digest.digest())

    slow = STREAMS // 2
    threads = [threading.Thread(target=take, args=(i,), daemon=True) for i in range(STREAMS) if i != slow]
    for t in threads:
        t.start()
    for t in threads:
        t.join(PATIENCE)
        assert not t.is_alive(), "a stream stands still"
    assert started[slow].poll() is None, "10 MB nobody has read are nowhere"
    take(slow)
    for i, total in enumerate(totals):
        assert digests[i] == (0, hashlib.sha256(pattern(total)).digest()), f"stream {i}"
        started[i].stdout.close()
    assert not audit.settled(host.home, ["box"], ["box"])
