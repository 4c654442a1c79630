# SPDX-License-Identifier: Apache-2.0
"""Snapshots of root disks: of sandboxes that write, of stopped ones, and of those whose maker is killed."""

import errno
import gzip
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / d) for d in ("lib", "tools")]

import msbproto
from archives import archive_of, docker_members
from conftest import LIMIT, MSB, Msb
from registry import Picture, tar_of
from test_life import life, ok  # noqa: F401 (life is a fixture)
from test_run_image import BUSYBOX, busybox_layer

FSCK = shutil.which("e2fsck", path=f"{os.environ['PATH']}:/sbin:/usr/sbin")


def sh(msb, name, script):
    return ok(msb, "exec", name, "--", "sh", "-c", script)


def refused(msb, *argv, say, status=125):
    r = msb(*argv, stdin=subprocess.DEVNULL)
    assert r.returncode == status and say in r.stderr.decode(), (r.returncode, r.stderr)


def snapshots(msb):
    return {s["name"]: s for s in json.loads(ok(msb, "snapshot", "ls", "--format", "json"))}


def clean(msb, name):
    """e2fsck finds a file system that was unmounted, or held still, and has no faults."""
    if not FSCK:
        pytest.skip("e2fsck is not installed")
    disk = msb.home / "snapshots" / name / "upper.ext4"
    r = subprocess.run([FSCK, "-fn", str(disk)], capture_output=True, text=True, check=False, timeout=LIMIT)
    assert r.returncode == 0 and "recover" not in r.stdout, r.stdout + r.stderr


def writer(msb, name):
    """Writes to @name until it is killed: a log of numbered lines, and files that come and go."""
    script = ("i=0; while :; do i=$((i+1)); echo line $i >>/root/log; echo $i >/root/a$((i%40));"
              "mv /root/a$((i%40)) /root/b$((i%40)); done")
    return subprocess.Popen([MSB, "exec", name, "--", "sh", "-c", script], env=msb.env, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def lines(msb, name):
    return int(sh(msb, name, "wc -l </root/log 2>/dev/null || echo 0"))


def wait_more_lines(msb, name, than):
    deadline = time.monotonic() + LIMIT
    while lines(msb, name) <= than:
        assert time.monotonic() < deadline, "the writer does not go on"


def test_running_under_writes(life):
    ok(life, "create", "--name", "dev")
    sh(life, "dev", "echo here >/root/f; dd if=/dev/urandom of=/root/big bs=1M count=6 2>/dev/null")
    want = sh(life, "dev", "md5sum </root/big")
    busy = writer(life, "dev")
    try:
        wait_more_lines(life, "dev", 0)
        out = ok(life, "snapshot", "create", "one", "--from", "dev", "--label", "k=v").splitlines()
        done = lines(life, "dev")
        assert out[0].startswith("sha256:") and out[1] == str(life.home / "snapshots/one")
        wait_more_lines(life, "dev", done)
    finally:
        busy.kill()
        busy.wait()
    clean(life, "one")
    ok(life, "snapshot", "verify", "one")
    about = snapshots(life)["one"]
    assert about["digest"] == out[0] and about["image_ref"] == "base" and about["created_at"].endswith("Z")
    assert about["size_bytes"] == 4 << 30 and 6 << 20 <= about["allocated_bytes"] < 1 << 30
    about = json.loads(ok(life, "snapshot", "inspect", out[0][7:20], "--verify", "--format", "json"))
    assert about["name"] == "one" and about["labels"] == {"k": "v"} and about["verified"] is True
    assert about["source_sandbox"] == "dev" and about["parent_digest"] is None
    got = life.out("--from-snapshot", "one", "--", "sh", "-c", "cat /root/f; md5sum </root/big; cat /root/log").splitlines()
    assert got[0] == "here" and got[1] == want.strip()
    # Whole lines without a gap: a moment of the log, before the next line that was counted.
    assert got[2:] == [f"line {i}" for i in range(1, len(got) - 1)] and 0 < len(got) - 2 <= done
    # The sandbox that it was made of is another one.
    assert sh(life, "dev", "hostname").strip() == "dev"


def test_stopped_grown_and_children(life):
    ok(life, "create", "--name", "a", "--root-disk", "64M")
    sh(life, "a", "echo one >/root/f")
    ok(life, "stop", "a")
    first = ok(life, "snap", "create", "one", "--from", "a").split()[0]
    clean(life, "one")
    ok(life, "rm", "a")
    ok(life, "create", "--name", "b", "--from-snap", "one", "--root-disk", "256M")
    assert sh(life, "b", "cat /root/f; hostname; cat /etc/hostname").split() == ["one", "b", "b"]
    assert int(sh(life, "b", "df -m / | tail -1 | awk '{print $2}'")) > 150
    sh(life, "b", "echo two >/root/f")
    ok(life, "snapshot", "create", "two", "--from", "b")
    assert snapshots(life)["two"]["parent_digest"] == first
    # A second start finds its own disk.
    ok(life, "stop", "b")
    refused(life, "snapshot", "rm", "one", say="is the parent of 'two'")
    ok(life, "snapshot", "rm", "--force", "one")
    ok(life, "start", "b")
    assert sh(life, "b", "cat /root/f").strip() == "two"
    assert ok(life, "snapshots", "-q").split() == ["two"]
    ok(life, "snapshot", "rm", "two")
    assert os.listdir(life.home / "snapshots") == []


def test_flat_and_elsewhere(life, tmp_path):
    ok(life, "create", "--name", "a", "--root-disk", "flat:128M")
    sh(life, "a", "echo flat >/root/f")
    out = ok(life, "snapshot", "create", "-q", "x", "--from", "a", "--dest-dir", str(tmp_path / "d")).splitlines()
    assert out[1] == str(tmp_path / "d/x") and not snapshots(life)
    assert life.out("--from-snapshot", out[1], "--", "cat", "/root/f") == "flat\n"
    refused(life, "run", "--from-snapshot", out[1], "--root-disk", "1G", say="only its size", status=2)


def test_refusals(life, tmp_path):
    ok(life, "create", "--name", "mem", "--root-disk", "tmpfs")
    name = ok(life, "run", "-d", "--root-disk", "64M").strip()
    ok(life, "create", "--name", "a", "--root-disk", "64M")
    refused(life, "snapshot", "create", "x", "--from", "mem", say="keeps its changes in memory")
    refused(life, "snapshot", "create", "x", "--from", name, say="its disk goes with it")
    refused(life, "snapshot", "create", "x", "--from", "nobody", say="no sandbox is named 'nobody'")
    refused(life, "snapshot", "create", "x", say="--from", status=2)
    refused(life, "snapshot", "create", "../x", "--from", "a", say="not a name", status=2)
    assert not snapshots(life)
    ok(life, "snapshot", "create", "one", "--from", "a")
    refused(life, "snapshot", "create", "one", "--from", "a", say="exists already")
    ok(life, "snapshot", "create", "one", "--from", "a", "--force")
    refused(life, "run", "--from-snapshot", "one", "base", "--", "true", say="no other can be given", status=2)
    refused(life, "run", "--from-snapshot", "none", "--", "true", say="there is no snapshot")
    refused(life, "run", "--from-snapshot", "one", "--root-disk", "32M", "--", "true", say="cannot become smaller", status=2)
    with open(life.home / "snapshots/one/upper.ext4", "r+b") as f:
        f.seek(33 << 20)
        f.write(b"x")
    refused(life, "snapshot", "verify", "one", say="another digest")
    refused(life, "snapshot", "inspect", "--verify", "one", say="another digest")
    (life.home / "snapshots/one/snapshot.json").write_text("{}")
    refused(life, "run", "--from-snapshot", "one", "--", "true", say="snapshot.json")
    assert "cannot be read" in life("snapshot", "ls").stderr.decode()


def test_a_killed_maker_leaves_nothing(life):
    """Wherever it was: no snapshot, or a whole one; and the guest writes on."""
    ok(life, "create", "--name", "a", "--root-disk", "256M")
    sh(life, "a", "dd if=/dev/urandom of=/root/big bs=1M count=8 2>/dev/null")
    start = time.monotonic()
    ok(life, "snapshot", "create", "whole", "--from", "a")
    took = time.monotonic() - start
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    for i in range(8):
        p = subprocess.Popen([MSB, "snapshot", "create", f"k{i}", "--from", "a"], env=life.env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            p.wait(dice.random() * took)
        except subprocess.TimeoutExpired:
            p.send_signal(signal.SIGKILL)
            p.wait()
        # The write would hang, and this with it, if the guest were still held.
        sh(life, "a", f"echo {i} >>/root/log; sync")
    found = snapshots(life)
    assert "whole" in found and sorted(os.listdir(life.home / "snapshots")) == sorted(found), f"seed {seed}"
    for name in found:
        clean(life, name)
        ok(life, "snapshot", "verify", name)
    assert len(sh(life, "a", "cat /root/log").split()) == 8
    ok(life, "snapshot", "rm", *found)
    assert os.listdir(life.home / "snapshots") == []


@pytest.mark.skipif(BUSYBOX is None, reason="busybox-static is not installed")
def test_a_snapshot_keeps_its_image(life):
    p = Picture([busybox_layer()])
    r = life("load", input=archive_of(docker_members(p, ["app:1"])))
    assert r.returncode == 0, r.stderr
    ok(life, "create", "--name", "a", "--root-disk", "64M", "app:1")
    sh(life, "a", "echo kept >/f")
    ok(life, "snapshot", "create", "one", "--from", "a")
    ok(life, "rm", "--force", "a")
    refused(life, "rmi", "app:1", say="is used by snapshot 'one'")
    ok(life, "image", "prune", "--yes")
    ok(life, "rmi", "--force", "app:1")
    # The name is gone, the image is not: the snapshot knows its digest.
    assert life.out("--pull", "never", "--from-snapshot", "one", "--", "cat", "/f") == "kept\n"
    ok(life, "snapshot", "rm", "one")
    ok(life, "image", "prune", "--yes")
    assert not os.listdir(life.home / "images/manifests")


def test_there_and_back_as_an_archive(life, tmp_path):
    ok(life, "create", "--name", "a", "--root-disk", "64M")
    sh(life, "a", "echo far >/root/f; dd if=/dev/urandom of=/root/big bs=1M count=4 2>/dev/null")
    digest = ok(life, "snapshot", "create", "-q", "one", "--from", "a").split()[0]
    tar = tmp_path / "one.tar"
    assert ok(life, "snapshot", "save", "one", str(tar)).strip() == str(tar)
    assert 4 << 20 < tar.stat().st_size < 16 << 20
    refused(life, "snapshot", "load", str(tar), say="exists already")
    other = Msb(tmp_path / "other", life.env.get("MSB_ENGINE"))
    try:
        got = ok(other, "snapshot", "load", str(tar)).split()
        assert got == [digest, str(tmp_path / "other/snapshots/one")]
        assert other.out("--from-snapshot", "one", "--", "cat", "/root/f") == "far\n"
        ok(other, "snapshot", "rm", "one")
        # Through a pipe, compressed, to a directory of the user's.
        p = other("snapshot", "import", "-", str(tmp_path / "d"), input=gzip.compress(tar.read_bytes(), 1))
        assert p.returncode == 0 and p.stdout.decode().split() == [digest, str(tmp_path / "d/one")], p.stderr
        ok(other, "snapshot", "verify", str(tmp_path / "d/one"))
        # One bit in the disk, the end cut off, something else: refused, and nothing stays.
        data = bytearray(tar.read_bytes())
        data[len(data) // 2] ^= 1
        for bad, say in ((bytes(data), "another digest"), (tar.read_bytes()[:3 << 20], ""), (b"no tar", ""),
                         (tar_of({"x": b"1"}), "no archive of a snapshot")):
            p = other("snapshot", "load", "-", input=bad)
            assert p.returncode == 125 and say in p.stderr.decode(), p.stderr
        assert os.listdir(tmp_path / "other/snapshots") == []
    finally:
        other.close()


class Client:
    """Speaks to a supervisor without the library."""

    def __init__(self, msb, name):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT)
        path = msb.home / "sandboxes" / name / "agent.sock"
        here = os.open(path.parent, os.O_PATH)
        try:
            self.socket.connect(f"/proc/self/fd/{here}/{path.name}")
        finally:
            os.close(here)
        self.decoder = msbproto.Decoder()

    def expect(self, kind):
        while True:
            for name, _, _, payload in self.decoder.feed(self.socket.recv(65536)):
                if name == kind:
                    return payload

    def freeze(self, ms):
        self.socket.sendall(msbproto.message("FREEZE", 1, ms=ms))
        self.expect("FROZEN")


def test_writes_are_never_held_for_good(life):
    """Every command here that writes would hang if the guest stayed frozen."""
    ok(life, "create", "--name", "a", "--root-disk", "64M")
    c = Client(life, "a")
    c.freeze(300)
    sh(life, "a", "echo 1 >>/root/log")
    assert msbproto.decode("THAWED", c.expect("THAWED"))["errno"] == errno.ETIMEDOUT
    # Somebody who dies, and files that come from outside.
    c.freeze(60000)
    c.socket.close()
    sh(life, "a", "echo 2 >>/root/log")
    c = Client(life, "a")
    c.freeze(60000)
    ok(life, "cp", "-", "a:/root/in", input=b"new")
    assert msbproto.decode("THAWED", c.expect("THAWED"))["errno"] == errno.EBUSY
    # Reading goes on, and so does the end: the shutdown waits for no time limit.
    c.freeze(60000)
    assert sh(life, "a", "cat /root/log /root/in") == "1\n2\nnew"
    start = time.monotonic()
    ok(life, "stop", "a")
    assert time.monotonic() - start < 50
    c.socket.close()
    ok(life, "start", "a")
    assert sh(life, "a", "cat /root/in") == "new"
