# SPDX-License-Identifier: Apache-2.0
"""kill -9 of pulls, of their workers and of collections, MSB_KILLS times each, and a full disk.

The next pull completes, no blob is wrong, and an auditor that compares the store with a fresh one finds no byte too many.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from puller import BUILD, LAYER, Puller  # noqa: E402
from registry import Hostile, Picture, digest, tar_of  # noqa: E402

MSB = os.environ.get("MSB", str(BUILD / "src/cli/msb"))
STORE_GC = BUILD / "tests" / "tools" / "store-gc"
KILLS = int(os.environ.get("MSB_KILLS", "100"))
COMMON = {f"usr/lib/f{i}": os.urandom(20_000 + i) for i in range(200)}
IMAGE = Picture([tar_of(COMMON), tar_of({"usr/big": os.urandom(6_000_000)}),
                 *[tar_of({f"opt/{i}": os.urandom(900_000)}) for i in range(4)]])


def check_store(p):
    """Whatever is visible is whole."""
    for layer in (p.images / "layers").glob("*"):
        about = json.loads((layer / "layer.json").read_text())
        assert about["digest"] == "sha256:" + layer.name
        assert (layer / "data").stat().st_size == about["data_bytes"]
    for image in (p.images / "manifests").glob("*"):
        assert digest((image / "manifest.json").read_bytes()) == "sha256:" + image.name
        for name in json.loads((image / "image.json").read_text())["layers"]:
            assert (p.images / "layers" / name[7:]).is_dir(), "an image has its layers"
    for ref in (p.images / "refs").rglob("*.json"):
        assert p.image(json.loads(ref.read_text())["digest"]).is_dir(), "a reference has its image"


def files(p):
    """Contents of all layers and images, without what depends on the time."""
    return {str(f.relative_to(p.images)): digest(f.read_bytes()) for top in ("layers", "manifests")
            for f in (p.images / top).rglob("*") if f.is_file() and f.name != "image.json"}


class Audit:
    """What a store holds when it holds what it should: its files, and the space they take."""

    def __init__(self, p):
        self.contents = files(p)
        self.names = sorted(str(f.relative_to(p.images)) for f in p.images.rglob("*"))
        self.space = {str(f.relative_to(p.images)): f.stat().st_blocks for top in ("layers", "manifests")
                      for f in (p.images / top).rglob("*") if f.is_file()}

    def check(self, p):
        """A store that went through much against this one."""
        found = Audit(p)
        assert found.contents == self.contents, "every blob is right"
        assert found.names == self.names, "nothing is left over, nothing is missing"
        # The host's file system rounds as it likes, by little.
        assert sum(found.space.values()) <= sum(self.space.values()) + 8 * len(self.space), "no space leaks"


def workers(p):
    """Processes that have a file of this store open."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            links = [os.readlink(fd) for fd in (proc / "fd").iterdir()]
        except OSError:
            continue
        if any(link.startswith(str(p.images)) for link in links):
            found.append(int(proc.name))
    return found


def gone(p, seconds=10):
    """All of them end by themselves, soon."""
    deadline = time.monotonic() + seconds
    while workers(p):
        assert time.monotonic() < deadline, "a worker outlives its pull"
        os.sched_yield()


@pytest.fixture(scope="module")
def registry():
    with Hostile() as r:
        r.add(IMAGE, "1")
        yield r


@pytest.fixture(scope="module")
def pristine(tmp_path_factory, registry):
    p = Puller(tmp_path_factory.mktemp("pristine") / "user")
    begin = time.monotonic()
    p.good(f"{registry.host}/a:1")
    return Audit(p), time.monotonic() - begin


def kill_some(tmp_path, registry, pristine, kill):
    """Pulls of which each is killed by @kill(pull, seconds) after a while; True when it took part in the killing."""
    audit, duration = pristine
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    choice = random.Random(seed)
    p = Puller(tmp_path / "user")
    interrupted = 0
    while interrupted < KILLS:
        pull = p.start(f"{registry.host}/a:1")
        kill(pull, choice.uniform(0, duration))
        pull.communicate()
        if pull.returncode == 0:
            audit.check(p)
            shutil.rmtree(p.images)
            continue
        interrupted += 1
        gone(p)
        check_store(p)
        if interrupted % 10 == 0:
            p.good(f"{registry.host}/a:1")
            audit.check(p)
            shutil.rmtree(p.images)
    p.good(f"{registry.host}/a:1")
    audit.check(p)


def test_kill_of_pulls(tmp_path, registry, pristine):
    def kill(pull, seconds):
        try:
            pull.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            pull.kill()

    kill_some(tmp_path, registry, pristine, kill)


def test_kill_of_workers(tmp_path, registry, pristine):
    """At any moment of the unpacking or of the merge, at the end of which the pull says so."""
    def kill(pull, seconds):
        try:
            pull.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            victims = []
            while pull.poll() is None and not victims:
                victims = children(pull.pid)
                for child in victims:
                    try:
                        os.kill(child, 9)
                    except ProcessLookupError:
                        pass

    kill_some(tmp_path, registry, pristine, kill)


def children(pid):
    """Of all threads of a process; both may end meanwhile."""
    found = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    except OSError:
        pass
    return found


def test_kill_of_a_worker(tmp_path, registry):
    p = Puller(tmp_path / "user")
    reached = []

    def hold(handler, kind, name):
        """A part of the layer, then nothing more until the worker is dead."""
        blob = IMAGE.layers[1]
        if name != digest(blob) or reached:
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(blob)))
        handler.end_headers()
        handler.wfile.write(blob[:3_000_000])
        handler.wfile.flush()
        mine = [pid for pid in workers(p) if os.readlink(f"/proc/{pid}/exe") == str(LAYER)]
        reached.extend(mine)
        for pid in mine:
            os.kill(pid, 9)
        handler.wfile.write(blob[3_000_000:])
        return True

    if os.geteuid() != 0:
        pytest.skip("looking into a jailed worker needs root")
    registry.hook = hold
    try:
        p.refused(f"{registry.host}/a:1", "killed by signal 9", limits={"parallel": 1})
        assert reached
    finally:
        registry.hook = lambda *a: False
    p.good(f"{registry.host}/a:1")
    assert not p.parts() and not p.leftovers()


# Collections.

def image_of(*tars):
    return Picture([tar_of(COMMON), *tars])


PICTURES = {"kept": image_of(tar_of({"k": os.urandom(50_000)})),
            **{f"gone{i}": image_of(*[tar_of({f"g{i}.{n}": os.urandom(9000)}) for n in range(4)]) for i in range(5)}}
CHANGES = "rename,renameat,renameat2,unlink,unlinkat,rmdir"


def mortal(argv, kill_at=None, call=None, env=None):
    """Runs a program; True when it has ended by itself. @kill_at: the how manieth @call it does not survive."""
    trace = [] if kill_at is None else ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when={kill_at}"]
    r = subprocess.run([*trace, *argv], capture_output=True, text=True, check=False, env={**os.environ, **(env or {})})
    assert r.returncode in (0, -9, 137), (r.returncode, r.stderr)
    return r.returncode == 0


def collect(p, *how):
    return mortal([STORE_GC, p.home], *how)


@pytest.mark.skipif(not STORE_GC.exists(), reason="store-gc is not built here")
@pytest.mark.skipif(not shutil.which("strace"), reason="strace is missing")
def test_kill_of_collections(tmp_path):
    """At each change that a collection makes to the store: it is whole, and the next collection finishes the job."""
    source = Puller(tmp_path / "source")
    with Hostile() as r:
        for name, picture in PICTURES.items():
            r.add(picture, name)
        fresh = Puller(tmp_path / "fresh")
        fresh.good(f"{r.host}/a:kept")
        audit = Audit(fresh)
        for name in PICTURES:
            source.good(f"{r.host}/a:{name}")
        p = Puller(tmp_path / "user")

        def reset():
            shutil.rmtree(p.images, ignore_errors=True)
            shutil.copytree(source.images, p.images)
            for ref in (p.images / "refs").rglob("@gone*.json"):
                ref.unlink()
            (p.images / "parts" / ("0" * 64 + ".part")).write_bytes(b"x" * 5000)

        reset()
        assert collect(p)
        audit.check(p)
        killed = 0
        while killed < KILLS:
            before = killed
            for call in CHANGES.split(","):
                reset()
                # The same store dies again and again, each time a little later, until the job is done.
                for n in range(1, 1000):
                    if collect(p, 1 + n % 7, call):
                        break
                    killed += 1
                    check_store(p)
                    p.good(f"{r.host}/a:kept", policy="never")
                assert n < 999
                assert collect(p)
                audit.check(p)
            assert killed > before, "strace does not kill here"
        # One that dies late, with a pull behind it instead of a collection.
        reset()
        collect(p, 30, "unlinkat")
        for name in PICTURES:
            p.good(f"{r.host}/a:{name}")
        check_store(p)
        (p.images / "parts" / ("0" * 64 + ".part")).unlink(missing_ok=True)
        Audit(source).check(p)


@pytest.mark.skipif(not Path(MSB).exists(), reason="msb is not built here")
@pytest.mark.skipif(not shutil.which("strace"), reason="strace is missing")
def test_kill_of_prune(tmp_path):
    """The whole command, which first forgets references: at each change, until nothing is left."""
    source, empty = Puller(tmp_path / "source"), Puller(tmp_path / "empty")
    argv = [MSB, "image", "prune", "--yes", "-q"]
    with Hostile() as r:
        for name, picture in PICTURES.items():
            r.add(picture, name)
            source.good(f"{r.host}/a:{name}")
    assert mortal(argv, env={"MSB_HOME": str(empty.home)})
    audit = Audit(empty)
    p = Puller(tmp_path / "user")
    homes = {"MSB_HOME": str(p.home)}

    def reset():
        shutil.rmtree(p.images, ignore_errors=True)
        shutil.copytree(source.images, p.images)

    killed = 0
    for call in CHANGES.split(","):
        for n in range(1, 1 + KILLS):
            reset()
            if mortal(argv, n, call, homes):
                break
            killed += 1
            check_store(p)
            # Dies again before the job is done.
            killed += not mortal(argv, n, call, homes)
            assert mortal(argv, env=homes)
            audit.check(p)
    assert killed >= KILLS, "strace does not kill here"


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system needs root to mount")
def test_full_disk(tmp_path, registry, pristine):
    p = Puller(tmp_path / "user")
    p.home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", p.home], check=True)
    try:
        p.refused(f"{registry.host}/a:1", "No space left", kind="no_memory", partial=True)
        check_store(p)
        subprocess.run(["mount", "-o", "remount,size=64m", p.home], check=True)
        p.good(f"{registry.host}/a:1")
        pristine[0].check(p)
    finally:
        subprocess.run(["umount", p.home], check=True)
