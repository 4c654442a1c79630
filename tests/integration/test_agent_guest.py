# SPDX-License-Identifier: Apache-2.0
"""The agent as PID 1 of a real guest under QEMU: what unit tests on the host cannot see.

Environment: MSB_LIB holds vmlinux, initramfs.cpio and base.erofs; otherwise they are looked for in the build directory.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MSB_TEST_BUILD", ROOT / "build"))
LIB = Path(os.environ.get("MSB_LIB", "/nonexistent"))

sys.path.insert(0, str(ROOT / "tests" / "tools"))
import msbproto as p  # noqa: E402
from agentguest import Guest  # noqa: E402

ROOT_DISK = 1
SIGUSR1, SIGUSR2, SIGTERM = 10, 12, 15


def part(name, *others):
    for path in (LIB / name, *(BUILD / o for o in others)):
        if path.is_file():
            return str(path)
    pytest.skip(f"{name} is neither in MSB_LIB nor in {BUILD}")
    return None


@pytest.fixture(scope="module")
def parts():
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("qemu-system-x86_64 is missing (package qemu-system-x86)")
    return {"kernel": part("vmlinux", "vmlinux", "vmlinux/vmlinux"),
            "initramfs": part("initramfs.cpio", "src/agent/initramfs.cpio"),
            "root": part("base.erofs", "images/base/base.erofs")}


@pytest.fixture(name="guest")
def booted(parts):
    with Guest(**parts) as g:
        g.boot()
        yield g


def lines(text):
    return [line.split() for line in text.splitlines()]


def test_root_file_system(guest):
    code, out, _ = guest.run("cat /proc/mounts")
    mounts = {line[1]: line for line in lines(out)}
    assert code == 0
    assert mounts["/"][2] == "overlay" and "rw" in mounts["/"][3].split(",")
    assert mounts["/dev"][2] == "devtmpfs"
    for target, fstype in (("/proc", "proc"), ("/sys", "sysfs"), ("/sys/fs/cgroup", "cgroup2")):
        assert mounts[target][2] == fstype
        assert {"nosuid", "nodev", "noexec"} <= set(mounts[target][3].split(","))
    assert mounts["/dev/pts"][2] == "devpts" and "ptmxmode=666" in mounts["/dev/pts"][3]
    assert mounts["/dev/shm"][2] == "tmpfs"
    # The upper layer is writable and /tmp is everybody's.
    assert guest.run("echo x > /etc/new && cat /etc/new; stat -c %a /tmp /dev/shm / /etc")[1] == (
        "x\n1777\n1777\n755\n755\n")
    assert guest.run("echo y > /dev/stderr; readlink /dev/fd; readlink /dev/stdin", user="1000:1000") == (
        0, "/proc/self/fd\n/proc/self/fd/0\n", "y\n")


def test_names_and_network(guest):
    assert guest.run("hostname; cat /etc/hostname")[1] == "guest\nguest\n"
    hosts = lines(guest.run("cat /etc/hosts")[1])
    assert ["127.0.0.1", "localhost", "guest"] in hosts
    assert any(h[0] == "::1" and "localhost" in h for h in hosts)
    assert guest.run("ip -o addr show lo")[1].count("inet") == 2
    assert guest.run("ping -c 1 -W 5 127.0.0.1 >/dev/null && ping -c 1 -W 5 ::1 >/dev/null")[0] == 0


def test_commands_start_clean(guest):
    code, out, _ = guest.run("ulimit -n; ulimit -Hn; ls /proc/self/fd | wc -l; cat /proc/1/comm; "
                             "grep -E '^(Sig(Blk|Ign)|CapEff|Groups)' /proc/self/status; pwd; env")
    got = out.splitlines()
    assert code == 0
    # Three streams, and the directory that ls reads.
    assert got[:4] == ["1024", "524288", "4", "init"]
    status = dict(line.split(":\t") for line in got[4:8])
    assert int(status["SigBlk"], 16) == int(status["SigIgn"], 16) == 0
    assert int(status["CapEff"], 16) != 0
    assert got[8] == "/"
    assert "HOME=/root" in got and "USER=root" in got and any(e.startswith("PATH=/usr/local/sbin:") for e in got)


def test_terminal(guest):
    code, out, _ = guest.run("tty; stty size; stat -c %u $(tty); echo z >/dev/stdout", flags=1, rows=30, cols=100,
                             user="1000")
    assert code == 0
    assert out == "/dev/pts/0\r\n30 100\r\n1000\r\nz\r\n"


def test_orphans_are_reaped(guest):
    # Each subshell leaves a grandchild behind; PID 1 must collect them all.
    script = "i=0; while [ $i -lt 300 ]; do (true & true &); i=$((i+1)); done"
    assert guest.run(script)[0] == 0
    for _ in range(100):
        code, out, _ = guest.run("grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l")
        assert code == 0
        if out.strip() == "0":
            break
    assert out.strip() == "0"


@pytest.mark.parametrize("applet, signal", [("poweroff", SIGUSR2), ("reboot", SIGTERM), ("halt", SIGUSR1)])
def test_guest_ends_itself(guest, applet, signal):
    guest.send(p.message("EXEC", 1, argv=["sh", "-c", f"sleep 1000 & {applet}; sleep 1000"]))
    seen = []
    while (f := guest.recv()) is not None:
        seen.append(f[0])
        if f[0] == "BYE":
            assert p.decode("BYE", f[3])["signal"] == signal
    assert seen[-1] == "BYE" and "EXITED" in seen
    assert guest.ended() == 0


@pytest.mark.parametrize("applet", ["poweroff", "reboot", "halt"])
def test_nobody_switches_the_machine_off_behind_pid_1(guest, applet):
    guest.send(p.message("EXEC", 1, argv=[applet, "-f"]))
    while (f := guest.recv())[0] != "EXITED":
        assert f[0] != "BYE"
    assert p.decode("EXITED", f[3])["code"] == 1


def test_shutdown_kills_what_does_not_listen(guest):
    guest.send(p.message("EXEC", 1, argv=["sh", "-c", "trap '' TERM HUP; echo up; while :; do sleep 1000; done"]))
    while guest.recv()[0] != "DATA":
        pass
    start = time.monotonic()
    guest.send(p.message("SHUTDOWN", grace_ms=300))
    seen = []
    while (f := guest.recv()) is not None:
        seen.append(f)
    assert [f[0] for f in seen][-2:] == ["EXITED", "BYE"]
    assert p.decode("EXITED", seen[-2][3]) == {"code": 0, "signal": 9}
    assert time.monotonic() - start >= 0.3
    assert guest.ended() == 0


def test_pid1_survives_a_fork_bomb_and_memory_pressure(guest):
    assert guest.run("tail /dev/zero")[0] == 128 + 9
    guest.send(p.message("EXEC", 1, argv=["sh", "-c", "ulimit -u 400; f() { f | f & }; f; sleep 1000"], user="1000"))
    while guest.recv()[0] != "STARTED":
        pass
    assert guest.run("echo alive", stream=2)[1] == "alive\n"
    guest.send(p.message("SHUTDOWN", grace_ms=0))
    while (f := guest.recv()) is not None:
        last = f
    assert last[0] == "BYE"
    assert guest.ended() == 0


def test_a_host_that_comes_back(guest):
    guest.send(p.message("EXEC", 1, argv=["sh", "-c", "yes & exec sleep 1000"]))
    while guest.recv()[0] != "DATA":
        pass
    guest.hang_up()
    guest.wait_console("the host closed the channel")
    guest.connect()
    # The agent starts over; what the old host had started is gone.
    assert guest.expect("HELLO")["version"] == p.VERSION
    guest.expect("READY")
    assert guest.run("pgrep -x yes; pgrep -x sleep; echo none")[1] == "none\n"
    guest.send(p.message("SHUTDOWN", grace_ms=1000))
    guest.expect("BYE")
    assert guest.ended() == 0


def test_a_port_that_comes_late(parts):
    with Guest(**parts, channel=False) as g:
        g.monitor('{"execute":"device_add","arguments":{"driver":"virtserialport","chardev":"chan","nr":1,'
                  '"name":"msb.channel","id":"late"}}')
        g.boot()
        assert g.run("echo here")[1] == "here\n"


def test_clock_is_stepped(parts):
    with Guest(**parts) as g:
        future = time.time_ns() + 10 ** 9 * 86400 * 365
        g.boot(real_ns=future)
        assert abs(int(g.run("date +%s")[1]) - future // 10 ** 9) < 60
        g.send(p.message("CLOCK", real_ns=time.time_ns()))
        assert abs(int(g.run("date +%s")[1]) - time.time()) < 60


def test_tmpfs_mounts_go_parent_first(parts):
    with Guest(**parts) as g:
        g.boot(tmpfs=[{"path": "/scratch/inner", "size_bytes": 1 << 20}, {"path": "/scratch", "options": "mode=0711,exec,dev"},
                      {"path": "/tmp", "options": "noexec"}],
               rlimits=[{"resource": 7, "soft": 100, "hard": 200}], user="1000:100", cwd="/tmp", env=["A=b"])
        code, out, _ = g.run("id -u; id -g; pwd; echo $A; ulimit -n; stat -c %a /scratch; df -k /scratch/inner | tail -1")
        assert code == 0
        assert out.splitlines()[:6] == ["1000", "100", "/tmp", "b", "100", "711"]
        assert out.splitlines()[6].split()[1] == "1024"
        mounts = {line[1]: line[3].split(",") for line in lines(g.run("cat /proc/mounts")[1])}
        assert "nodev" not in mounts["/scratch"] and "nosuid" in mounts["/scratch"]
        assert {"noexec", "nosuid", "nodev"} <= set(mounts["/tmp"])


@pytest.mark.parametrize("config, stage, what", [
    ({"tmpfs": [{"path": "/t", "options": "bogus"}]}, 6, "mount tmpfs at /t (bogus)"),
    ({"tmpfs": [{"path": "relative"}]}, 6, "relative"),
    ({"root_fstype": "ext4"}, 2, "mount /dev/vda as ext4"),
    ({"version": 99}, 0, "protocol 99"),
])
def test_boot_failures_are_reported(parts, config, stage, what):
    with Guest(**parts) as g:
        g.send(p.message("CONFIG", **{"version": p.VERSION, **config}))
        g.expect("HELLO")
        m = g.expect("BOOT_FAILED")
        assert m["stage"] == stage and what in m["what"] and m["errno"] != 0
        assert g.recv() is None
        assert g.ended() == 0
        assert re.search("msb-agent: error: .*" + re.escape(what), g.console_text())


def test_a_missing_disk_is_reported(parts):
    with Guest(parts["kernel"], parts["initramfs"]) as g:
        g.send(p.message("CONFIG", version=p.VERSION))
        g.expect("HELLO")
        assert g.expect("BOOT_FAILED") == {"stage": 2, "errno": 2, "what": "no disk /dev/vda"}


def test_disk_is_written_back(parts, tmp_path):
    if not shutil.which("mke2fs"):
        pytest.skip("mke2fs is missing (package e2fsprogs)")
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    busybox = shutil.which("busybox")
    if not busybox:
        pytest.skip("busybox is missing (package busybox-static)")
    shutil.copy(busybox, tree / "bin" / "busybox")
    (tree / "bin" / "sh").symlink_to("busybox")
    disk = tmp_path / "disk"
    with open(disk, "wb") as f:
        f.truncate(32 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", tree, disk], check=True)
    with Guest(parts["kernel"], parts["initramfs"], disk, disk=True) as g:
        g.boot(root_kind=ROOT_DISK)
        # No time for the kernel's own write-back.
        assert g.run("/bin/busybox seq 20000 >/data; /bin/busybox cat /etc/hosts")[0] != 0
        g.send(p.message("SHUTDOWN", grace_ms=1000))
        g.expect("BYE")
        assert g.ended() == 0
    assert subprocess.run(["e2fsck", "-fn", disk], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False).returncode == 0
    state = subprocess.run(["dumpe2fs", "-h", disk], capture_output=True, text=True, check=True).stdout
    assert "needs_recovery" not in state and re.search(r"Filesystem state:\s+clean", state)
    data = subprocess.run(["debugfs", "-R", "cat /data", disk], capture_output=True, text=True, check=True).stdout
    assert data == "".join(f"{i}\n" for i in range(1, 20001))
