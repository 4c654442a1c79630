# SPDX-License-Identifier: Apache-2.0
"""Many commands in one real guest: what is left of them on the host and in it, and what becomes of their output.

tests/integration/test_many_execs.py does more of the same with a machine that is a process.
"""

import hashlib
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from conftest import LIMIT, MSB

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import audit  # noqa: E402 (needs the path above)

EXECS = int(os.environ.get("MSB_EXECS", "300"))
STREAMS = 100
# An emulated guest makes a few MB of output a second. MSB_STREAM_BYTES=10000000 asks it for a gigabyte, which takes minutes.
STREAM_BYTES = int(os.environ.get("MSB_STREAM_BYTES", "300000"))
PATIENCE = 2 * LIMIT + STREAMS * STREAM_BYTES / 500_000
# In the guest: descriptors of the agent, processes, and the agent's own memory.
LOOK = ("ls /proc/1/fd | wc -l; ls -d /proc/[0-9]* | wc -l; sed -n 's/^RssAnon:[^0-9]*\\([0-9]*\\) kB/\\1/p' /proc/1/status")
GROWTH_KIB = 256


def sandbox(msb):
    r = msb("create", "--name", "box", "-m", "256M", stdin=subprocess.DEVNULL)
    assert r.returncode == 0, r.stderr.decode()


def remove(msb):
    assert msb("rm", "--force", "-q", "box").returncode == 0


def look(msb):
    """Guest's counts; descriptors and threads of the processes on the host; memory of the supervisor."""
    r = msb("exec", "box", "--", "sh", "-c", LOOK)
    assert r.returncode == 0, r.stderr.decode()
    guest = [int(n) for n in r.stdout.split()]
    assert len(guest) == 3
    assert not audit.settled(msb.home, ["box"], ["box"])
    found = audit.processes(msb.home)
    host = {p.comm: Counter(audit.kind(t) for t in p.fds.values()) for p in found}
    supervisor = next(p for p in found if p.comm == "msb-sandbox")
    assert len(host) == 2, host
    return guest, host, supervisor.rss_kib()


def test_execs_leak_nothing(msb):
    sandbox(msb)
    failed = []

    def some(n):
        for _ in range(n):
            r = subprocess.run([MSB, "exec", "box", "--", "true"], stdin=subprocess.DEVNULL, capture_output=True, env=msb.env,
                               timeout=LIMIT, check=False)
            if r.returncode:
                failed.append(r)

    def many(n):
        threads = [threading.Thread(target=some, args=(n // 2,)) for _ in range(2)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not failed

    try:
        many(40)
        guest, host, rss = look(msb)
        many(EXECS)
        guest2, host2, rss2 = look(msb)
        # The kernel's own threads come and go by a few, and so does what belongs to the looking command's own streams.
        assert guest2[0] <= guest[0] + 2 and guest2[1] <= guest[1] + 3 and guest2[2] <= guest[2] + GROWTH_KIB
        assert host2 == host and rss2 <= rss + GROWTH_KIB
    finally:
        remove(msb)


def test_concurrent_streams_lose_and_mix_nothing(msb):
    sandbox(msb)
    script = 'yes "line of stream $0" | head -c $1'
    lengths = [STREAM_BYTES + i for i in range(STREAMS)]
    started = []
    results = {}

    def take(i):
        digest = hashlib.sha256()
        while chunk := started[i].stdout.read(1 << 16):
            digest.update(chunk)
        results[i] = (started[i].wait(), digest.digest())

    try:
        for i, length in enumerate(lengths):
            started.append(subprocess.Popen([MSB, "exec", "box", "--", "sh", "-c", script, str(i), str(length)],
                                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=msb.env))
        slow = STREAMS // 2
        threads = [threading.Thread(target=take, args=(i,), daemon=True) for i in range(STREAMS) if i != slow]
        for t in threads:
            t.start()
        for t in threads:
            t.join(PATIENCE)
            assert not t.is_alive(), "a stream stands still"
        take(slow)
        for i, length in enumerate(lengths):
            line = f"line of stream {i}\n".encode()
            want = (line * (length // len(line) + 1))[:length]
            assert results[i] == (0, hashlib.sha256(want).digest()), f"stream {i}"
    finally:
        for p in started:
            p.kill()
            p.wait()
            p.stdout.close()
        remove(msb)
