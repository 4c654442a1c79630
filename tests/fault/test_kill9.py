# SPDX-License-Identifier: Apache-2.0
"""kill -9 of everything that takes part in `msb run`, MSB_FAULT_KILLS times (default 200) per engine."""

import os
import random
import shutil
import subprocess

import kill9
import pytest

MSB = os.environ.get("MSB", "msb")
KILLS = int(os.environ.get("MSB_FAULT_KILLS", "200"))


ENGINES = os.environ.get("MSB_E2E_ENGINES", "qemu,kvm").split(",")


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_is_left(engine, tmp_path, capfd, record_property):
    if not shutil.which(MSB):
        pytest.skip(f"{MSB} is not installed")
    probe = subprocess.run([MSB, "run", "-q", "--engine", engine, "--", "true"], capture_output=True, text=True,
                           stdin=subprocess.DEVNULL, timeout=300, check=False,
                           env={**os.environ, "MSB_HOME": str(tmp_path / "probe")})
    if probe.returncode != 0:
        assert engine == "kvm", probe.stderr
        pytest.skip(f"no {engine} engine here: {probe.stderr.strip()}")
    seed = int(os.environ.get("MSB_FAULT_SEED", random.SystemRandom().randrange(1 << 32)))
    ok = kill9.run_parallel(MSB, engine, KILLS, seed, os.cpu_count() or 1)
    out = capfd.readouterr().out
    for line in out.splitlines():
        record_property("says", line)
    assert ok, out
