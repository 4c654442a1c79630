# SPDX-License-Identifier: Apache-2.0
"""Named volumes and disks: made, shared, bounded, locked, removed."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from conftest import LIMIT

MKFS = shutil.which("mkfs.ext4", path=f"{os.environ['PATH']}:/sbin:/usr/sbin")


def volume(m, *words, ok=True):
    r = m("volume", *words)
    assert (r.returncode == 0) is ok, r
    return (r.stdout if ok else r.stderr).decode()


def test_made_listed_inspected_removed(cli):
    r = cli("volume", "ls")
    assert r.returncode == 0 and r.stdout == b"" and b"No volumes found." in r.stderr
    assert json.loads(volume(cli, "ls", "--format", "json")) == []
    assert volume(cli, "create", "data", "--size", "5G") == "data\n"
    assert volume(cli, "create", "--name", "db", "--kind", "disk", "--size", "64M") == "db\n"
    other = volume(cli, "create").strip()
    assert volume(cli, "ls", "-q").split() == sorted(["data", "db", other])
    got = {v["name"]: v for v in json.loads(volume(cli, "ls", "--format", "json"))}
    assert got["data"]["kind"] == "dir" and got["data"]["quota_mib"] == 5120 and got["data"]["capacity_bytes"] is None
    assert got["db"]["capacity_bytes"] == 64 << 20 and got["db"]["disk_fstype"] == "ext4"
    assert 0 < got["db"]["used_bytes"] < 16 << 20
    one = json.loads(volume(cli, "inspect", "data", "--format", "json"))
    assert one["sandboxes"] == [] and os.path.isdir(one["path"]) and one["used_bytes"] == 0
    text = volume(cli, "inspect", "db")
    assert "Capacity    64 MiB" in text and "Filesystem  ext4" in text
    assert "exists already" in volume(cli, "create", "data", ok=False)
    assert "needs a size" in volume(cli, "create", "d2", "--kind", "disk", ok=False)
    assert "no volume is named" in volume(cli, "rm", "nothing", ok=False)
    assert "not a name of a volume" in volume(cli, "create", "../x", ok=False)
    r = cli("volume", "rm", "data", "nothing", "db")
    assert r.returncode == 125 and b"nothing" in r.stderr
    assert volume(cli, "ls", "-q").split() == [other]
    assert "nobody to ask" in cli("volume", "prune", stdin=subprocess.DEVNULL).stderr.decode()
    volume(cli, "prune", "-y")
    assert volume(cli, "ls", "-q") == ""
    assert os.listdir(cli.home / "volumes") == []


def test_one_after_the_other(msb):
    """The directory is made by the first mention and outlives the sandbox; a mistake later in the words makes none."""
    r = msb.run("-v", "data:/data", "-v", "none", "--", "true")
    assert r.returncode == 2 and not (msb.home / "volumes").exists()
    msb.out("-v", "data:/data", "--", "sh", "-c", "echo kept > /data/f; mkdir /data/d")
    assert msb.out("-v", "data:/mnt:ro", "--", "sh", "-c", "cat /mnt/f; echo no > /mnt/f; ls /mnt") == "kept\nd\nf\n"
    assert "volume 'data' is of kind dir" in msb.run("--mount-named", "data:/x:kind=disk,size=64M", "--", "true").stderr.decode()
    assert volume(msb, "ls", "-q") == "data\n"


def test_size_bounds_all_of_them_together(msb):
    """Two sandboxes at once and a third one later have one size between them."""
    volume(msb, "create", "data", "--size", "8M")
    first = msb.start("-v", "data:/data", "--", "sh", "-c",
                      "dd if=/dev/zero of=/data/a bs=64k count=80 2>/dev/null && echo written; read x; rm /data/a; echo removed; read x; true")
    assert first.stdout.readline() == b"written\n"
    script = "dd if=/dev/zero of=/data/$0 bs=64k count=80 2>&1 | grep -c 'No space'; df -m /data | tail -1 | awk '{print $2}'"
    assert msb.run("-v", "data:/data", "--", "sh", "-c", script, "b").stdout == b"1\n8\n"
    first.stdin.write(b"go\n")
    first.stdin.flush()
    assert first.stdout.readline() == b"removed\n"
    assert msb.run("-v", "data:/data", "--", "sh", "-c", "rm /data/b;" + script, "c").stdout == b"0\n8\n"
    first.stdin.close()
    assert first.wait(LIMIT) == 0
    # Counted anew: what is there is 5 MiB and a little.
    assert msb.run("-v", "data:/data", "--", "sh", "-c", script, "d").stdout == b"1\n8\n"
    used = json.loads(volume(msb, "inspect", "data", "--format", "json"))["used_bytes"]
    assert 7 << 20 < used <= 8 << 20


def test_disk(msb):
    out = msb.out("--mount-named", "db:/var/db:kind=disk,size=64M", "--", "sh", "-c",
                  "grep ' /var/db ' /proc/mounts | cut -d' ' -f3; echo kept > /var/db/f; chown 5:6 /var/db/f")
    assert out == "ext4\n"
    r = msb.run("-v", "db:/x:ro,nosuid", "--", "sh", "-c", "stat -c '%u %g' /x/f; cat /x/f; echo no > /x/f; grep -c 'nosuid.*' /proc/mounts")
    assert r.stdout.startswith(b"5 6\nkept\n") and b"Read-only" in r.stderr
    # The last of three disks, on a sandbox whose root is a disk as well.
    volume(msb, "create", "d2", "--kind", "disk", "--size", "32M")
    out = msb.out("--root-disk", "64M", "-v", "d2:/d2", "-v", "db:/db", "--", "sh", "-c", "cat /db/f; ls /d2; df -m / | tail -1 | wc -l")
    assert out == "kept\nlost+found\n1\n"


def test_a_disk_has_one_writer(msb, tmp_path):
    volume(msb, "create", "db", "--kind", "disk", "--size", "64M")
    p = msb.start("-v", "db:/db", "--", "sh", "-c", "echo up; read x; echo done > /db/f")
    assert p.stdout.readline() == b"up\n"
    r = msb.run("-v", "db:/db:ro", "--", "true")
    assert r.returncode == 125 and b"volume 'db' is in use" in r.stderr
    assert "is used by sandbox" in volume(msb, "rm", "db", ok=False)
    assert "is in use" in volume(msb, "rm", "-f", "db", ok=False)
    volume(msb, "prune", "-y")
    p.stdin.close()
    assert p.wait(LIMIT) == 0
    assert msb.out("-v", "db:/db:ro", "--", "cat", "/db/f") == "done\n"
    volume(msb, "rm", "db")


def test_a_stopped_sandbox_keeps_its_volumes(msb):
    r = msb("create", "-n", "keeper", "-v", "data:/data", "--mount-named", "disk:/disk:kind=disk,size=32M")
    assert r.returncode == 0, r
    try:
        assert msb("exec", "keeper", "--", "sh", "-c", "echo 1 > /data/f; echo 2 > /disk/f").returncode == 0
        assert msb("stop", "keeper").returncode == 0
        assert "is used by sandbox 'keeper'" in volume(msb, "rm", "data", ok=False)
        volume(msb, "prune", "-y")
        assert volume(msb, "ls", "-q").split() == ["data", "disk"]
        assert json.loads(volume(msb, "inspect", "disk", "--format", "json"))["sandboxes"] == ["keeper"]
        assert msb("start", "keeper").returncode == 0
        assert msb("exec", "keeper", "--", "cat", "/data/f", "/disk/f").stdout == b"1\n2\n"
        assert msb("stop", "-f", "keeper").returncode == 0
        volume(msb, "rm", "-f", "data")
        r = msb("start", "keeper")
        assert r.returncode == 125 and b"no volume is named 'data'" in r.stderr
    finally:
        msb("rm", "-f", "keeper")
    volume(msb, "prune", "-y")
    assert volume(msb, "ls", "-q") == ""


@pytest.mark.parametrize("how", ["machine", "guest"])
def test_what_was_synced_survives_a_kill(msb, how):
    volume(msb, "create", "db", "--kind", "disk", "--size", "64M")
    end = "echo 1 > /proc/sys/kernel/sysrq; echo b > /proc/sysrq-trigger" if how == "guest" else "read x"
    p = msb.start("-v", "db:/db", "--", "sh", "-c",
                  f"cd /db; i=0; while [ $i -lt 50 ]; do echo $i > f$i; i=$((i+1)); done; sync; echo synced; {end}")
    assert p.stdout.readline() == b"synced\n"
    if how == "machine":
        with open(f"/proc/{p.pid}/task/{p.pid}/children", encoding="utf-8") as f:
            for pid in f.read().split():
                os.kill(int(pid), signal.SIGKILL)
    p.communicate(timeout=LIMIT)
    deadline = time.monotonic() + LIMIT
    r = msb.run("-v", "db:/db", "--", "sh", "-c", "cat /db/f* | wc -l")
    # A machine whose supervisor was killed has the disk for another moment.
    while r.returncode and b"is in use" in r.stderr and time.monotonic() < deadline:
        r = msb.run("-v", "db:/db", "--", "sh", "-c", "cat /db/f* | wc -l")
    assert r.stdout == b"50\n", r


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory):
    """The host's sqlite3 with its libraries, for guests: argv in a share at /s."""
    program = shutil.which("sqlite3")
    if not program:
        pytest.skip("sqlite3 is not installed")
    place = tmp_path_factory.mktemp("sqlite")
    shutil.copy(program, place / "sqlite3")
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for word in listed.split():
        if word.startswith("/"):
            shutil.copy(word, place / os.path.basename(word))
    loader = next(f for f in os.listdir(place) if f.startswith("ld-"))
    return place, f"/s/{loader} --library-path /s /s/sqlite3 -batch"


@pytest.mark.parametrize("kind", ["dir", "disk"])
def test_a_database_survives_a_kill(msb, sqlite, kind):
    """What was committed before kill -9 of everything is there afterwards, and the database is whole."""
    place, program = sqlite
    words = ["-v", f"{place}:/s:ro", "--mount-named", "db:/db" + (":kind=disk,size=64M" if kind == "disk" else "")]
    script = (f"i=0; {program} /db/d 'pragma journal_mode=wal; create table t(i integer, b blob)' >/dev/null; "
              f"while :; do echo \"insert into t values($i, randomblob(3000)); select $i;\"; i=$((i+1)); done | {program} /db/d")
    p = msb.start(*words, "--", "sh", "-c", script)
    for line in p.stdout:
        if int(line) >= 150:
            break
    with open(f"/proc/{p.pid}/task/{p.pid}/children", encoding="utf-8") as f:
        for pid in f.read().split():
            os.kill(int(pid), signal.SIGKILL)
    rest = p.communicate(timeout=LIMIT)[0].split(b"\n")
    last = max([int(line)] + [int(x) for x in rest[:-1]])
    deadline = time.monotonic() + LIMIT
    check = f"{program} /db/d 'pragma integrity_check; select count(*), max(i) from t'"
    r = msb.run(*words, "--", "sh", "-c", check)
    while r.returncode and b"is in use" in r.stderr and time.monotonic() < deadline:
        r = msb.run(*words, "--", "sh", "-c", check)
    verdict, counts = r.stdout.decode().split()
    assert verdict == "ok", r
    count, newest = map(int, counts.split("|"))
    assert newest >= last and count == newest + 1


def test_a_disk_image_of_the_user(msb, tmp_path):
    if not MKFS:
        pytest.skip("mkfs.ext4 is not installed (e2fsprogs)")
    image = tmp_path / "disk.img"
    with open(image, "wb") as f:
        f.truncate(64 << 20)
    r = msb.run("--mount-disk", f"{image}:/d", "--", "true")
    assert r.returncode == 125 and b"no ext4, xfs, erofs or squashfs file system" in r.stderr, r
    subprocess.run([MKFS, "-q", "-F", str(image)], check=True)
    msb.out("--mount-disk", f"{image}:/d", "--", "sh", "-c", "echo hello > /d/f")
    before = image.read_bytes()
    out = msb.run("--mount-disk", f"{image}:/d:ro,noexec,fstype=ext4", "--", "sh", "-c", "cat /d/f; echo no > /d/f")
    assert out.stdout == b"hello\n" and b"Read-only" in out.stderr
    assert image.read_bytes() == before
