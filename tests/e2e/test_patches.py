# SPDX-License-Identifier: Apache-2.0
"""--copy, --mkdir, --rm: the root file system of a new sandbox, before anything runs in it."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import MSB
from test_life import life, ok  # noqa: F401 (life is a fixture)


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "d/sub").mkdir(parents=True)
    (tmp_path / "d/sub/f").write_text("deep\n")
    (tmp_path / "d/run").write_text("#!/bin/sh\necho ran\n")
    (tmp_path / "d/run").chmod(0o755)
    (tmp_path / "d/out").symlink_to("/etc/passwd")
    (tmp_path / "conf").write_text("secret\n")
    return tmp_path


def test_the_first_command_finds_it_done(msb, tree):
    out = msb.out("--copy", f"{tree}/conf:/etc/app/conf:mode=0640", "--copy", f"{tree}/d:/srv/", "--rm", "/etc/passwd", "--mkdir",
                  "/var/spool/x:mode=1777", "--", "sh", "-c",
                  "stat -c '%a %u %s %n' /etc/app/conf /etc/app /var/spool/x; cat /srv/d/sub/f; /srv/d/run; readlink /srv/d/out; "
                  "ls /etc/passwd 2>&1 || :")
    assert out.splitlines()[:3] == ["640 0 7 /etc/app/conf", out.splitlines()[1], "1777 0 40 /var/spool/x"]
    assert out.splitlines()[3:6] == ["deep", "ran", "/etc/passwd"]
    assert "No such file" in out.splitlines()[6]


def test_in_their_order_and_only_once(life, tree):
    big = os.urandom(3 << 20)
    (tree / "big").write_bytes(big)
    name = ok(life, "create", "-q", "--rm", "/etc/passwd", "--rm", "/nothing/there", "--copy-file", f"{tree}/conf:/etc/passwd", "--copy",
              f"{tree}/big:/big", "--copy-dir", f"{tree}/d:/opt/d", "--copy", f"{tree}/conf:/opt/d/run:replace").strip()
    assert ok(life, "exec", name, "--", "cat", "/etc/passwd", "/opt/d/run") == "secret\nsecret\n"
    assert int(ok(life, "exec", name, "--", "wc", "-c", "/big").split()[0]) == len(big)
    # It is part of the sandbox now, and what is changed later stays changed.
    ok(life, "exec", name, "--", "sh", "-c", "echo later > /etc/passwd")
    (tree / "conf").unlink()
    ok(life, "restart", name)
    assert ok(life, "exec", name, "--", "cat", "/etc/passwd", "/opt/d/run") == "later\nsecret\n"
    ok(life, "rm", "-f", name)


def test_a_main_process_waits_for_it(life, tree):
    name = ok(life, "run", "-d", "-q", "--name", "main", "--copy", f"{tree}/d/run:/bin/mine", "--", "mine").strip()
    ok(life, "wait", name)
    assert ok(life, "logs", name) == "ran\n"
    ok(life, "rm", name)


def test_what_cannot_be_done_leaves_nothing(life, tree):
    before = ok(life, "ls", "-q")
    for argv, text in ((["create", "--name", "no", "--copy", f"{tree}/conf:/etc/passwd"], "exists in the image"),
                       (["run", "--copy", f"{tree}/conf:/etc/passwd/x", "--", "true"], "Not a directory"),
                       (["create", "--copy", f"{tree}/conf:/proc/x"], "is mounted"),
                       (["create", "--tmpfs", "/scratch", "--rm", "/scratch"], "is mounted"),
                       (["create", "-v", f"{tree}/d:/data", "--rm", "/data/sub"], "is mounted"),
                       (["create", "--copy", f"{tree}/none:/x"], "No such file"),
                       (["create", "--copy", f"{tree}/conf:/a/../x"], "has a '..'"),
                       (["create", "--root-disk", "tmpfs", "--copy", f"{tree}/conf:/x"], "first stop")):
        r = life(*argv, stdin=subprocess.DEVNULL)
        assert r.returncode in (2, 125), r.stderr
        assert text in r.stderr.decode(), r.stderr
    assert ok(life, "ls", "-q") == before
    assert (tree / "d/sub/f").exists()


def position(pid, path):
    """How far a process has read the file."""
    try:
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            if os.readlink(fd) == str(path):
                return int(Path(f"/proc/{pid}/fdinfo/{fd.name}").read_text().split()[1])
    except OSError:  # it was just closed
        pass
    return 0


def half_made(life, tree, **kwargs):
    """msb create, copying a file that takes for ever: a pipe is refused, so a huge sparse file it is."""
    with open(tree / "huge", "wb") as f:
        f.truncate(1 << 40)
    argv = [MSB, "create", "--name", "half", "--copy", f"{tree}/huge:/huge"]
    p = subprocess.Popen(argv, env=life.env, stdin=subprocess.DEVNULL, start_new_session=True, **kwargs)
    box = life.home / "sandboxes/half"
    deadline = time.monotonic() + 120
    while not ((box / "unmade").exists() and position(p.pid, tree / "huge") > 0):
        assert time.monotonic() < deadline and p.poll() is None
        time.sleep(0.05)
    return p, box, deadline


def test_killed_over_it_nothing_is_left(life, tree):
    p, box, deadline = half_made(life, tree, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    p.send_signal(signal.SIGKILL)
    p.wait()
    while box.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_stopped_over_it_nothing_is_left(life, tree):
    p, box, _ = half_made(life, tree, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    begin = time.monotonic()
    r = life("stop", "-t", "100", "half", stdin=subprocess.DEVNULL)
    assert r.returncode == 0 and time.monotonic() - begin < 60, r.stderr
    out, err = p.communicate(timeout=60)
    assert p.returncode == 125 and out == b"" and b"'half' was stopped before it was ready" in err, err
    assert not box.exists()
