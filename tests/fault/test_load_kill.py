# SPDX-License-Identifier: Apache-2.0
"""kill -9 of a load or a save at any moment, and a full disk: nothing is wrong or left, and the next one completes."""

import fcntl
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from archives import MSB, Store, archive_of, docker_members, oci_members  # noqa: E402
from registry import Picture, tar_of  # noqa: E402
from test_pull_kill import LAYER, check_store, files, gone, workers  # noqa: E402

KILLS = int(os.environ.get("MSB_KILLS", "100"))
COMMON = {f"usr/lib/f{i}": os.urandom(20_000 + i) for i in range(200)}
TARS = [tar_of(COMMON), tar_of({"usr/big": os.urandom(6_000_000)}), *[tar_of({f"opt/{i}": os.urandom(900_000)}) for i in range(4)]]
IMAGE = Picture(TARS)
SECOND = Picture(TARS[:1] + [tar_of({"second": os.urandom(900_000)})])


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Read in place, and spooled."""
    where = tmp_path_factory.mktemp("archives")
    plain, packed = where / "oci.tar", where / "oci.tar.gz"
    plain.write_bytes(archive_of(oci_members(IMAGE, SECOND, names=["a:1", "b:1"])))
    subprocess.run(["gzip", "-1", "-k", plain], check=True)
    return [plain, packed]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory, archives):
    s = Store(tmp_path_factory.mktemp("pristine") / "user")
    begin = time.monotonic()
    assert s.load(archives[1]) == ["a:1", "b:1"]
    return files(s), time.monotonic() - begin


def kill_sometime(argv, env, choice, duration):
    """True when it was killed before its end."""
    p = subprocess.Popen([MSB, *map(str, argv)], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    try:
        p.wait(timeout=choice.uniform(0, duration))
    except subprocess.TimeoutExpired:
        p.kill()
    _, err = p.communicate()
    assert p.returncode in (0, -9), err
    return p.returncode != 0


def randomness():
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)


def settled(s, seconds=10):
    """All processes are gone, and the kernel has closed what they had: that comes a moment later."""
    gone(s)
    deadline = time.monotonic() + seconds
    for entry in s.leftovers():
        fd = os.open(entry, os.O_RDONLY)
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                assert time.monotonic() < deadline, "somebody still works there"
                os.sched_yield()
        os.close(fd)


def test_kill_of_a_load(tmp_path, archives, pristine):
    want, duration = pristine
    choice = randomness()
    s = Store(tmp_path / "user")
    interrupted = 0
    while interrupted < KILLS:
        archive = choice.choice(archives)
        if not kill_sometime(["load", "-i", archive], s.env, choice, duration):
            assert files(s) == want
            shutil.rmtree(s.images)
            continue
        interrupted += 1
        settled(s)
        check_store(s)
        if interrupted % 10 == 0:
            s.load(archive)
            assert files(s) == want
            assert not s.parts() and not s.leftovers(), "no space leaks"
            shutil.rmtree(s.images)
    s.load(archives[0])
    assert files(s) == want
    assert not s.parts() and not s.leftovers()


def test_kill_of_a_save(tmp_path, archives):
    choice = randomness()
    s = Store(tmp_path / "user")
    s.load(archives[0])
    before = files(s)
    out = tmp_path / "out" / "saved.tar"
    out.parent.mkdir()
    begin = time.monotonic()
    whole = s.save(out, "a:1", "b:1").read_bytes()
    duration = time.monotonic() - begin
    out.write_bytes(b"what was here")
    interrupted = 0
    while interrupted < KILLS // 4:
        if kill_sometime(["save", "-o", out, "a:1", "b:1"], s.env, choice, duration):
            interrupted += 1
        content = out.read_bytes()
        assert content in (b"what was here", whole), "all or nothing"
        gone(s)
        # Between link and rename the file has a second name; nothing else may stand here.
        assert all(p == out or p.name.startswith("saved.tar.tmp.") for p in out.parent.iterdir())
        out.write_bytes(b"what was here")
    assert files(s) == before and not s.leftovers()


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system needs root to mount")
def test_full_disk(tmp_path, archives, pristine):
    s = Store(tmp_path / "user")
    s.home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", s.home], check=True)
    try:
        for archive in archives:
            r = s.try_load(archive)
            assert r.returncode == 125 and b"No space left" in r.stderr
            check_store(s)
            assert not s.leftovers()
        subprocess.run(["mount", "-o", "remount,size=64m", s.home], check=True)
        s.load(archives[1])
        assert files(s) == pristine[0]
        # What is saved needs room somewhere, too.
        assert s.msb("save", "-o", s.home / "out.tar", "a:1", "b:1").returncode == 0
        (s.home / "out.tar").unlink()
        fill = s.home / "fill"
        with open(fill, "wb") as f, pytest.raises(OSError):
            while True:
                f.write(bytes(1 << 20))
                f.flush()
        r = s.msb("save", "-o", s.home / "out.tar", "a:1", "b:1")
        assert r.returncode == 125 and b"No space left" in r.stderr and not (s.home / "out.tar").exists()
    finally:
        subprocess.run(["umount", s.home], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="looking into a jailed worker needs root")
def test_kill_of_the_worker(tmp_path, archives):
    """The one that reads the archive, while it waits for more of it."""
    s = Store(tmp_path / "user")
    content = archives[1].read_bytes()
    p = subprocess.Popen([MSB, "load"], env=s.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    # More than a pipe holds: the worker has begun when this returns.
    p.stdin.write(content[:2 << 20])
    p.stdin.flush()
    mine = [pid for pid in workers(s) if os.readlink(f"/proc/{pid}/exe") == str(LAYER)]
    assert len(mine) == 1
    os.kill(mine[0], 9)
    _, err = p.communicate()
    assert p.returncode == 125 and b"the process that reads the archive was killed by signal 9" in err
    assert not s.leftovers() and not s.layers()
    s.load(content)
