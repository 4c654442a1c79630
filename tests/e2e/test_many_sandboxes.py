# SPDX-License-Identifier: Apache-2.0
"""Fifty sandboxes at once: all of them come up, answer for themselves, and are gone afterwards.

Emulated ones take about 5 GB of memory. MSB_MANY is another number.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import audit  # noqa: E402 (needs the path above)

MANY = int(os.environ.get("MSB_MANY", "50"))
MEMORY = "64M"
# How many commands at a time; the sandboxes run all at once.
AT_A_TIME = 4


def test_fifty_at_once(msb):
    names = [f"box-{i:02}" for i in range(MANY)]

    def ok(*argv):
        r = msb(*argv, stdin=subprocess.DEVNULL)
        assert r.returncode == 0, f"{argv}: {r.returncode}: {r.stderr.decode(errors='replace')}"
        return r.stdout.decode()

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        try:
            list(pool.map(lambda n: ok("create", "--name", n, "-m", MEMORY, "--root-disk", "tmpfs"), names))
            assert sorted(ok("ls", "-q", "--running").split()) == names
            assert not audit.settled(msb.home, names, names, os.getpid())
            # Each answers, for itself, while all run.
            assert list(pool.map(lambda n: ok("exec", n, "--", "hostname").strip(), names)) == names
        finally:
            r = msb("rm", "--force", "-q", *names)
    assert r.returncode == 0, r.stderr.decode()
