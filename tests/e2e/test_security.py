# SPDX-License-Identifier: Apache-2.0
"""--security restricted: what a process in the guest may not do, as root neither."""

import json

from test_life import life, ok  # noqa: F401 (life is a fixture)

ADMIN, PTRACE, RAWIO, MODULE, BOOT = 21, 19, 17, 16, 22

REFUSED = """
mount -t tmpfs none /mnt && echo mount
mount -o remount,rw /proc/sys && echo remount
umount /proc/sys && echo umount
echo x >/proc/sys/kernel/core_pattern && echo core
echo b >/proc/sysrq-trigger && echo sysrq
echo x >/sys/kernel/uevent_helper && echo helper
readlink /proc/1/exe && echo pid1
cat /proc/1/mem >/dev/null && echo mem
touch /tmp/t /srv/t /dev/shm/t /fast/t || echo "cannot write"
true"""


def status(text):
    return {k: v.strip() for k, _, v in (line.partition(":") for line in text.splitlines())}


def lacks(caps, *numbers):
    return not any(int(caps, 16) >> n & 1 for n in numbers)


def test_restricted(life, tmp_path):
    ok(life, "create", "--name", "dev", "--security", "restricted", "-v", f"{tmp_path}:/share", "--tmpfs", "/fast:1M:suid,dev")
    for user in ("root", "nobody"):
        s = status(ok(life, "exec", "-u", user, "dev", "--", "cat", "/proc/self/status"))
        assert s["NoNewPrivs"] == "1" and lacks(s["CapBnd"], ADMIN, PTRACE, RAWIO, MODULE, BOOT)
        assert lacks(s["CapEff"], ADMIN, PTRACE) and int(s["CapAmb"], 16) == 0
    assert ok(life, "exec", "dev", "--", "sh", "-c", f"exec 2>/dev/null; {REFUSED}") == ""
    mounts = {line.split()[1]: line.split()[3].split(",") for line in ok(life, "exec", "dev", "--", "cat", "/proc/mounts").splitlines()}
    assert {"nosuid", "nodev"} <= set(mounts["/share"]) and {"nosuid", "nodev"} <= set(mounts["/fast"])
    assert "ro" in mounts["/proc/sys"] and "ro" in mounts["/sys"] and "rw" in mounts["/proc"]
    # Root is still root of its files, and it is for good.
    assert ok(life, "exec", "dev", "--", "sh", "-c", "echo 1 >/etc/x; chown nobody /etc/x; stat -c %U /etc/x") == "nobody\n"
    ok(life, "restart", "dev")
    assert status(ok(life, "exec", "dev", "--", "cat", "/proc/self/status"))["NoNewPrivs"] == "1"
    spec = json.loads((life.home / "sandboxes/dev/spec.json").read_text())
    assert spec["guest"]["security"] == "restricted"


def test_the_main_process_and_the_default(life):
    s = status(life.out("--security", "restricted", "--", "cat", "/proc/self/status"))
    assert s["NoNewPrivs"] == "1" and lacks(s["CapEff"], ADMIN)
    s = status(life.out("--", "cat", "/proc/self/status"))
    assert s["NoNewPrivs"] == "0" and not lacks(s["CapEff"], ADMIN) and lacks(s["CapBnd"], BOOT)
    assert life.out("--", "sh", "-c", "mount -t tmpfs none /mnt && echo 1 >/proc/sys/vm/swappiness && echo fine") == "fine\n"
    r = life.run("--security", "paranoid", "--", "true")
    assert r.returncode == 2 and b"is not one of default or restricted" in r.stderr
