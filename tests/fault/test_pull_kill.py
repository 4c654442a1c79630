# SPDX-License-Identifier: Apache-2.0
"""kill -9 of a pull at any moment, of its workers, and a full disk: the next pull completes, nothing is wrong or left."""

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
from puller import LAYER, Puller  # noqa: E402
from registry import Hostile, Picture, digest, tar_of  # noqa: E402

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
    return files(p), time.monotonic() - begin


def test_kill_at_any_moment(tmp_path, registry, pristine):
    want, duration = pristine
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    choice = random.Random(seed)
    p = Puller(tmp_path / "user")
    interrupted = 0
    while interrupted < KILLS:
        pull = p.start(f"{registry.host}/a:1")
        try:
            pull.wait(timeout=choice.uniform(0, duration))
        except subprocess.TimeoutExpired:
            pull.kill()
        pull.communicate()
        if pull.returncode == 0:
            assert files(p) == want
            shutil.rmtree(p.images)
            continue
        interrupted += 1
        gone(p)
        check_store(p)
        if interrupted % 10 == 0:
            p.good(f"{registry.host}/a:1")
            assert files(p) == want
            assert not p.parts() and not p.leftovers(), "no space leaks"
            shutil.rmtree(p.images)
    p.good(f"{registry.host}/a:1")
    assert files(p) == want
    assert not p.parts() and not p.leftovers()


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
        assert files(p) == pristine[0]
        assert not p.parts() and not p.leftovers()
    finally:
        subprocess.run(["umount", p.home], check=True)
