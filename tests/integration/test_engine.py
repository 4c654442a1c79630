# SPDX-License-Identifier: Apache-2.0
"""Real machines on an engine, without supervisor and agent: engine-run boots the guest kernel to an init of the test.

MSB_TEST_ENGINE_KIND=kvm runs the same on msb-vmm (in the lab, or where KVM is real)."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("MSB_TEST_BUILD", ROOT / "build"))
KIND = os.environ.get("MSB_TEST_ENGINE_KIND", "qemu")
RUN = BUILD / "src" / "engine" / "engine-run"
KERNEL = BUILD / "vmlinux"
VMM = ["-p", str(BUILD / "src" / "vmm" / "msb-vmm")] if KIND == "kvm" else []
TIMEOUT_S = 90

sys.path.insert(0, str(ROOT / "bench"))
import bare  # noqa: E402


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """engine-run with kernel and init; skips when something to run is missing."""
    if not RUN.exists():
        pytest.skip(f"no engine-run in {BUILD}: build first")
    if not KERNEL.exists():
        pytest.skip(f"no kernel: kernel/build.sh --out {KERNEL}")
    if KIND == "qemu" and not shutil.which("qemu-system-x86_64"):
        pytest.skip("QEMU is not installed")
    work = tmp_path_factory.mktemp("engine")
    initrd = work / "initrd.cpio"
    bare.build_initrd(str(initrd), str(Path(__file__).with_name("engine-init.c")))
    (work / "a").write_bytes(b"disk a".ljust(1 << 20, b"\0"))
    (work / "b").write_bytes(b"disk b".ljust(2 << 20, b"\0"))
    base = [str(RUN), "-e", KIND, "-k", str(KERNEL), *VMM, "-t", str(TIMEOUT_S)]
    return {"argv": base + ["-i", str(initrd)], "bare": base, "a": str(work / "a"), "b": str(work / "b")}


def finish(process):
    out, err = process.communicate(timeout=TIMEOUT_S * 2)
    facts = dict(line.split("=", 1) for line in re.findall(r"^([\w.]+=.*?)\r*$", out, re.M))
    return process.returncode, facts, out, err


def start(argv):
    return subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, errors="replace")


def run(argv):
    return finish(start(argv))


def test_machine_has_what_was_asked_for(machine):
    code, facts, out, err = run(machine["argv"] + ["-m", "192", "-d", machine["a"], "-D", machine["b"]])
    assert code == 0, (out, err)
    assert "guest powered off" in err
    assert facts["cpus"] == "1"
    assert 140 <= int(facts["memory"]) <= 192
    assert facts["port"] == "msb.channel"
    assert facts["rng"].startswith("virtio_rng")
    # Not the timer tick: that is what is left when the kernel could not calibrate its clock.
    assert facts["clocksource"] in ("tsc", "tsc-early", "kvm-clock")
    assert (facts["vda"], facts["vda.ro"], facts["vda.sectors"]) == ("disk a", "1", "2048")
    assert (facts["vdb"], facts["vdb.ro"], facts["vdb.sectors"]) == ("disk b", "0", "4096")
    assert facts["write"] == "ok"
    assert Path(machine["b"]).read_bytes().startswith(b"written by guest")
    assert Path(machine["a"]).read_bytes().startswith(b"disk a\0")


def test_several_processors(machine):
    code, facts, out, err = run(machine["argv"] + ["-c", "3"])
    assert code == 0, (out, err)
    assert facts["cpus"] == "3"


def test_machines_share_a_read_only_disk(machine):
    argv = machine["argv"] + ["-m", "128", "-d", machine["a"]]
    machines = [start(argv) for _ in range(3)]
    for code, facts, out, err in [finish(m) for m in machines]:
        assert code == 0, (out, err)
        assert facts["vda"] == "disk a"


def fnv(data):
    value = 0xcbf29ce484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001b3) & 0xffffffffffffffff
    return f"{value:016x}"


@pytest.mark.parametrize("pieces", [2, 300])
def test_disk_of_many_files(machine, tmp_path, pieces):
    files, whole = [], b""
    for i in range(pieces):
        # 4 KiB to 16 KiB, no two alike: what comes from the wrong place changes the sum.
        data = bytes((i * 31 + k // 7 + k) & 0xff for k in range(4096 * (1 + i % 4)))
        (tmp_path / f"p{i}").write_bytes(data)
        files.append(str(tmp_path / f"p{i}"))
        whole += data
    code, facts, out, err = run(machine["argv"] + ["-m", "128", "-a", "do=sum", "-d", ",".join(files)])
    assert code == 0, (out, err)
    assert facts["vda.ro"] == "1"
    assert int(facts["vda.sectors"]) * 512 == len(whole)
    assert facts["sum"] == fnv(whole)


def test_panic_leaves_its_words_on_the_console(machine):
    _, _, out, err = run(machine["argv"] + ["-a", "do=panic"])
    assert "Kernel panic - not syncing: Attempted to kill init" in out, err


def test_kernel_without_init_panics(machine):
    _, _, out, err = run(machine["bare"])
    assert "Kernel panic" in out, err


def test_channel_reaches_the_guest(machine):
    # -x ends the machine when the first byte comes through the channel.
    code, facts, out, err = run(machine["argv"] + ["-a", "do=echo", "-x"])
    assert code == 0, (out, err)
    assert "guest was stopped" in err
    assert int(re.search(r"\((\d+) bytes\)", err).group(1)) > 0


def test_hanging_guest_is_killed(machine):
    argv = [a if a != str(TIMEOUT_S) else "8" for a in machine["argv"]]
    code, _, out, err = run(argv + ["-a", "do=hang"])
    assert code == 0, (out, err)
    assert out.rstrip().endswith("end")
    assert "timeout" in err and "guest was stopped" in err


def test_file_that_is_no_kernel(machine):
    argv = [a if a != str(KERNEL) else "/bin/true" for a in machine["bare"]]
    code, _, _, err = run(argv)
    assert code == 1
    assert "guest failed" in err and "/bin/true" not in err
