# SPDX-License-Identifier: Apache-2.0
"""Where a guest's changes go: --root-disk, with a real machine, once per engine."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from conftest import LIMIT
from test_life import life, ok, state  # noqa: F401 (life is a fixture)

FSCK = shutil.which("e2fsck", path=f"{os.environ['PATH']}:/sbin:/usr/sbin")
MKFS = shutil.which("mkfs.ext4", path=f"{os.environ['PATH']}:/sbin:/usr/sbin")
MIB = 1 << 20


def root_kib(text):
    """Size of / from the output of df."""
    return int([line.split() for line in text.splitlines() if line.endswith(" /")][0][1])


def upper(msb, name):
    return msb.home / "sandboxes" / name / "upper.ext4"


def used(path):
    return path.stat().st_blocks * 512


def clean(path):
    """e2fsck finds a file system that was unmounted and has no faults."""
    if not FSCK:
        pytest.skip("e2fsck is not installed")
    r = subprocess.run([FSCK, "-fn", str(path)], capture_output=True, text=True, check=False)
    assert r.returncode == 0, r.stdout
    assert "recovering journal" not in r.stdout + r.stderr


def until(what, seconds=LIMIT):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.05)


def test_size_and_end_of_an_ephemeral_disk(msb):
    out = msb.out("--root-disk", "200M", "--", "sh", "-c",
                  "df /; dd if=/dev/zero of=/fill bs=1M count=300 2>&1 || echo full; rm /fill && echo again >/a && cat /a")
    assert 150 * 1024 < root_kib(out) < 200 * 1024
    assert "No space left on device" in out and "full" in out
    assert out.endswith("again\n")
    assert msb.sandboxes() == []


def test_memory_has_the_size_that_was_asked_for(msb):
    assert root_kib(msb.out("--root-disk", "tmpfs:20M", "--", "df", "/")) == 20 * 1024


def test_named_sandbox_keeps_its_changes(life):  # noqa: F811
    ok(life, "create", "--name", "d", "--root-disk", "1G")
    ok(life, "exec", "d", "--", "sh", "-c",
       "mkdir /dir && echo kept >/dir/file && ln -s file /dir/link && rmdir /srv && chmod 700 /home")
    ok(life, "stop", "d")
    clean(upper(life, "d"))
    # What a sandbox takes before it writes anything of weight.
    assert used(upper(life, "d")) < 5 * MIB
    ok(life, "start", "d")
    out = ok(life, "exec", "d", "--", "sh", "-c", "cat /dir/link; test -e /srv || echo gone; stat -c %a /home; cat /etc/hostname")
    assert out == "kept\ngone\n700\nd\n"


def test_killed_machine_keeps_what_was_synced(life):  # noqa: F811
    ok(life, "create", "--name", "k", "--root-disk", "1G")
    ok(life, "exec", "k", "--", "sh", "-c", "echo synced >/a; sync; echo perhaps >/b")
    pid = state(life, "k")["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: "crashed" in ok(life, "ls", "-a"))
    ok(life, "start", "k")
    assert ok(life, "exec", "k", "--", "cat", "/a") == "synced\n"
    ok(life, "stop", "k")
    clean(upper(life, "k"))


def resize(msb, name, size):
    path = msb.home / "sandboxes" / name / "spec.json"
    spec = json.loads(path.read_text())
    spec["root_disk"]["size"] = size
    path.write_text(json.dumps(spec))


def test_disk_grows_and_never_shrinks(life):  # noqa: F811
    ok(life, "create", "--name", "g", "--root-disk", "100M")
    ok(life, "exec", "g", "--", "sh", "-c", "echo old >/a")
    ok(life, "stop", "g")
    # Within the first flexible group, then beyond what one block of group descriptors holds.
    for size in (300, 20 * 1024):
        resize(life, "g", size * MIB)
        ok(life, "start", "g")
        out = ok(life, "exec", "g", "--", "sh", "-c", "df /; cat /a")
        assert 0.9 * size * 1024 < root_kib(out) <= size * 1024
        assert out.endswith("old\n")
        ok(life, "stop", "g")
        clean(upper(life, "g"))
        assert used(upper(life, "g")) < 10 * MIB
    resize(life, "g", 300 * MIB)
    r = life("start", "g")
    assert r.returncode == 2
    assert b"the root disk has 20480 MiB and cannot become smaller" in r.stderr


def test_removed_files_give_their_space_back(life):  # noqa: F811
    ok(life, "create", "--name", "t", "--root-disk", "1G")
    before = used(upper(life, "t"))
    ok(life, "exec", "t", "--", "sh", "-c", "dd if=/dev/urandom of=/big bs=1M count=16 2>/dev/null; sync")
    assert used(upper(life, "t")) > before + 15 * MIB
    ok(life, "exec", "t", "--", "sh", "-c", "rm /big; sync")
    # A commit of the journal frees it, and each sync asks for one.
    until(lambda: ok(life, "exec", "t", "--", "sync") == "" and used(upper(life, "t")) < before + 4 * MIB)


def test_own_disk(msb, tmp_path):
    if not MKFS:
        pytest.skip("mkfs.ext4 is not installed")
    disk = tmp_path / "own.img"
    with disk.open("wb") as f:
        f.truncate(64 * MIB)
    r = msb.run("--root-disk", str(disk), "--", "true")
    assert r.returncode == 2 and b"no raw image of an ext4 file system" in r.stderr
    subprocess.run([MKFS, "-q", str(disk)], check=True)
    msb.out("--root-disk", str(disk), "--", "sh", "-c", "echo mine >/a")
    clean(disk)
    assert msb.out("--root-disk", str(disk), "--", "cat", "/a") == "mine\n"
    assert disk.stat().st_size == 64 * MIB


def test_disk_image_has_no_other_disk(msb, tmp_path):
    disk = tmp_path / "root.img"
    with disk.open("wb") as f:
        f.truncate(MIB)
        f.seek(1080)
        f.write(b"\x53\xef")
    r = msb.run("--root-disk", "1G", str(disk), "--", "true")
    assert r.returncode == 2 and b"a disk image is written to itself" in r.stderr


def test_full_disk_of_the_host_is_an_error_inside(msb, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    small = tmp_path / "home"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "small", small], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        r = msb.run("--root-disk", "1G", "--", "sh", "-c",
                    "dd if=/dev/urandom of=/fill bs=1M count=40 conv=fsync || echo failed; echo alive")
        assert r.returncode == 0, r.stderr
        assert r.stdout == b"failed\nalive\n"
        assert b"Input/output error" in r.stderr
        assert msb.sandboxes() == []
    finally:
        # The machine's process may still be on its way out.
        until(lambda: subprocess.run(["umount", small], check=False, capture_output=True).returncode == 0)
