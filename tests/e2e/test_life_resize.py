# SPDX-License-Identifier: Apache-2.0
"""Processors and memory of running sandboxes, with guests that do as they are told and others."""

import json
import time

from conftest import LIMIT
from test_life import life, ok  # noqa: F401 (life is a fixture)

MIB = 1 << 20


def guest(life, script):
    return ok(life, "exec", "dev", "--", "sh", "-c", script).split()


def listed(life):
    return json.loads(ok(life, "ps", "--format", "json"))[0]


def shown(life):
    """cpus, max_cpus, memory, max_memory, wherever they are shown; none of them is changing."""
    ps = listed(life)
    active = json.loads(ok(life, "inspect", "--format", "json", "dev"))["active_config"]
    keys = ("cpus", "max_cpus", "memory_mib", "max_memory_mib")
    assert [ps[k] for k in keys] == [active[k] for k in keys]
    return [ps[k] for k in keys]


def mem_total_mib(life):
    return int(guest(life, "grep MemTotal: /proc/meminfo")[1]) >> 10


def metrics(life):
    return json.loads(ok(life, "metrics", "dev", "--format", "json"))


def test_a_running_one_grows_and_shrinks(life):
    ok(life, "create", "--name", "dev", "--max-cpus", "3", "--max-memory", "768M", "--security", "restricted", "-e", "A=1")
    assert shown(life) == [1, 3, 512, 768]
    assert "1 / 3" in ok(life, "ps") and "512 MiB / 768 MiB" in ok(life, "ps")
    assert guest(life, "nproc; cat /sys/devices/system/cpu/possible") == ["1", "0-2"]
    plan = ok(life, "modify", "dev", "-c", "3", "-m", "768M", "-e", "A=2", "-e", "B=3", "-w", "/tmp")
    assert plan.count("at once") == 5 and "next start" not in plan
    assert shown(life) == [3, 3, 768, 768]
    assert guest(life, "nproc; echo $A $B; pwd") == ["3", "2", "3", "/tmp"]
    assert 640 < mem_total_mib(life) < 768
    m = metrics(life)
    assert m["cpus"] == 3 and m["memory_limit_bytes"] == 768 * MIB
    ok(life, "modify", "-q", "dev", "-c", "2", "-m", "256M", "--env-rm", "B")
    assert shown(life) == [2, 3, 256, 768]
    assert guest(life, "nproc; echo $A-$B") == ["2", "2-"]
    assert mem_total_mib(life) < 256
    # It is what it starts with from now on.
    ok(life, "restart", "dev")
    assert shown(life) == [2, 3, 256, 768]
    assert guest(life, "nproc; echo $A-$B; pwd") == ["2", "2-", "/tmp"]
    # Further than the machine goes.
    assert b"more than the maximum of 3; --max-cpus" in life("modify", "dev", "-c", "4").stderr
    assert b"--restart" in life("modify", "dev", "-c", "4", "--max-cpus", "4").stderr
    ok(life, "modify", "--next-start", "dev", "-c", "4", "--max-cpus", "4", "-m", "300M")
    assert shown(life) == [2, 3, 300, 768] and "next start: 4" in ok(life, "inspect", "dev")
    ok(life, "stop", "dev")
    assert json.loads(ok(life, "ps", "-a", "--format", "json"))[0]["cpus"] == 4


def test_a_guest_that_does_not_do_as_it_is_told(life):
    ok(life, "create", "--name", "dev", "--max-cpus", "2", "--max-memory", "768M")
    # It needs what it has: nothing changes, not even what could.
    guest(life, "mount -o remount,size=90% /dev/shm; dd if=/dev/zero of=/dev/shm/x bs=1M count=330")
    r = life("modify", "dev", "-c", "2", "-m", "256M", "--label", "a=b")
    assert r.returncode == 125 and b"the guest can give back" in r.stderr, r.stderr
    assert shown(life) == [1, 2, 512, 768] and guest(life, "nproc") == ["1"]
    assert ok(life, "ls", "-q", "--label", "a=b") == ""
    guest(life, "rm /dev/shm/x")
    # Its root takes everything there is. More there is not.
    balloon = "/sys/bus/virtio/drivers/virtio_balloon"
    guest(life, "echo 1 >/sys/devices/system/cpu/cpu1/online; test ! -e /sys/devices/system/cpu/cpu2;"
                f"cd {balloon}; for d in virtio*; do echo $d >unbind; done")
    assert guest(life, "nproc") == ["2"]
    assert 640 < mem_total_mib(life) < 768
    deadline = time.monotonic() + LIMIT
    while listed(life)["memory_mib"] != 768:
        assert time.monotonic() < deadline
    before = time.monotonic()
    r = life("modify", "dev", "-m", "256M")
    assert r.returncode == 125 and b"the guest did not give back 512 of 512 MiB" in r.stderr, r.stderr
    assert time.monotonic() - before < 60
    assert mem_total_mib(life) < 768
    # A /sys of its own does not keep its processors running.
    guest(life, "mount -t tmpfs none /sys")
    ok(life, "modify", "dev", "-m", "768M", "-c", "2")
    ok(life, "modify", "dev", "-c", "1")
    assert guest(life, "nproc") == ["1"] and shown(life) == [1, 2, 768, 768]


def test_what_is_free_goes_back_to_the_host(life):
    ok(life, "create", "--name", "dev")
    guest(life, "dd if=/dev/zero of=/dev/shm/x bs=1M count=200")
    used = metrics(life)["memory_host_resident_bytes"]
    assert used > 200 * MIB
    guest(life, "rm /dev/shm/x")
    deadline = time.monotonic() + LIMIT
    while metrics(life)["memory_host_resident_bytes"] > used - 150 * MIB:
        assert time.monotonic() < deadline


def test_limits_that_cannot_be(life):
    for argv in (["-c", "3", "--max-cpus", "2"], ["-m", "1G", "--max-memory", "512M"], ["--max-cpus", "65"]):
        r = life("create", "--name", "dev", *argv)
        assert r.returncode == 2 and b"max" in r.stderr, r.stderr
    assert life.sandboxes() == []
