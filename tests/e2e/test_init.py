# SPDX-License-Identifier: Apache-2.0
"""--init: a program of the image as PID 1, the agent beside it."""

import shutil
import subprocess
import time

import pytest
from test_life import life, ok  # noqa: F401 (life is a fixture)

INITTAB = """\
::sysinit:/bin/sh -c 'echo started $A > /var/started'
::respawn:/bin/sleep 1000
::shutdown:/bin/touch /var/ended
"""
SCRIPT = """\
#!/bin/sh
echo mine "$@" $B > /var/started
trap 'touch /var/ended; kill -TERM -1; sleep 60' TERM
while :; do sleep 1 & wait; done
"""
# Deaf at first, as every init is. What stands behind the sleep is the same.
LATE = SCRIPT.replace("trap", "sleep 4\ntrap", 1)


@pytest.fixture
def root(tmp_path):
    busybox = shutil.which("busybox", path="/bin:/usr/bin")
    if not busybox:
        pytest.skip("no busybox here to make an image of")
    root = tmp_path / "root"
    for d in ("bin", "sbin", "etc", "var", "proc", "sys", "dev", "run", "tmp"):
        (root / d).mkdir(parents=True)
    shutil.copy(busybox, root / "bin/busybox")
    for name in ("sh", "ls", "cat", "echo", "sleep", "touch", "kill", "readlink"):
        (root / "bin" / name).symlink_to("busybox")
    (root / "sbin/init").symlink_to("../bin/busybox")
    (root / "etc/inittab").write_text(INITTAB)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    for name, text in (("own", SCRIPT), ("late", LATE)):
        (root / "sbin" / name).write_text(text)
        (root / "sbin" / name).chmod(0o755)
    return root


def wait_for(msb, name, path):
    """An init does its work beside us."""
    deadline = time.monotonic() + 60
    while msb("exec", name, "--", "cat", path, stdin=subprocess.DEVNULL).returncode:
        assert time.monotonic() < deadline
    return ok(msb, "exec", name, "--", "cat", path)


@pytest.mark.parametrize("init,started", [("auto", "started 7\n"), ("/sbin/own", "mine a b c 9\n"), ("/sbin/late", "mine\n")])
def test_it_is_pid_1_and_ends_the_sandbox(life, root, init, started):
    more = ["--init-arg", "a b", "--init-arg", "c", "-e", "B=no", "--init-env", "B=9"] if init == "/sbin/own" else []
    ok(life, "create", "-q", "--name", "box", "-e", "A=7", "--init", init, *more, str(root))
    assert wait_for(life, "box", "/var/started") == started
    one = ok(life, "exec", "box", "--", "cat", "/proc/1/cmdline")
    assert ("init" if init == "auto" else init) in one
    begin = time.monotonic()
    ok(life, "stop", "-t", "60", "box")
    # It ended because the init did, not because the grace was over.
    assert time.monotonic() - begin < 45
    assert ok(life, "exec", "box", "--", "ls", "/var").split() == ["ended", "started", "tmp"]


def test_what_cannot_be(msb, root):
    r = msb.run("--init", "/nothing", str(root), "--", "true")
    assert r.returncode == 125 and b"no init at /nothing" in r.stderr
    for argv in (["--init", "sbin/init"], ["--init", "auto", "--security", "restricted"], ["--init-arg", "x"],
                 ["--init-env", "A=1"], ["--init", "auto", "--init-env", "A"]):
        assert msb.run(*argv, str(root), "--", "true").returncode == 2
    r = msb.run("--init", "/sbin/init", str(root), "--", "sh", "-c", "exit 7")
    assert r.returncode == 7, r.stderr
