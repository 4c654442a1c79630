# SPDX-License-Identifier: Apache-2.0
"""Images of registries as what sandboxes are made of, on every engine. The registry is on this machine."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from conftest import LIMIT
from registry import Authority, Hostile, Picture, tar_of

FAILED = 125
BUSYBOX = next((p for p in (Path("/bin/busybox"), Path("/usr/bin/busybox")) if p.exists()), None)
pytestmark = pytest.mark.skipif(BUSYBOX is None, reason="busybox-static is not installed")


def busybox_layer():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for name in ("bin", "etc", "tmp"):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            t.addfile(info)
        data = BUSYBOX.read_bytes()
        info = tarfile.TarInfo("bin/busybox")
        info.size, info.mode = len(data), 0o755
        t.addfile(info, io.BytesIO(data))
        for name in ("sh", "cat", "echo", "ls", "sleep", "sync"):
            info = tarfile.TarInfo(f"bin/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            t.addfile(info)
    return out.getvalue()


@pytest.fixture(scope="module")
def base():
    return busybox_layer()


@pytest.fixture
def registry(msb, tmp_path):
    msb.env.update(DOCKER_CONFIG=str(tmp_path / "docker"), NO_PROXY="*")
    with Hostile() as r:
        yield r


def image(base, content):
    """The programs, and one file of @content that is stored as a block and one that is not."""
    return Picture([base, tar_of({"what": content + b"\n", "large": content * 3000})])


def ref_of(registry, name="app:1"):
    return f"{registry.host}/{name}"


def good(msb, *argv, **kw):
    r = msb(*argv, stdin=subprocess.DEVNULL, **kw)
    assert r.returncode == 0, r.stderr.decode()
    return r


def test_run_pulls_once(msb, registry, base):
    p = image(base, b"one")
    registry.add(p, "1")
    ref = ref_of(registry)
    r = good(msb, "run", ref, "--", "sh", "-c", "cat /what; cat /large | busybox md5sum; echo $A")
    digest = subprocess.run(["md5sum"], input=b"one" * 3000, capture_output=True, check=True).stdout.split()[0]
    assert r.stdout.split() == [b"one", digest, b"-", b"b"]
    lines = r.stderr.decode().splitlines()
    assert lines[0].startswith(f"{ref}: 2 layers, ") and any(line.startswith(f"   \u2713 Pulled       {ref} (") for line in lines)

    registry.seen.clear()
    r = good(msb, "run", "-q", ref, "--", "cat", "/what")
    assert r.stdout == b"one\n" and r.stderr == b"" and not registry.seen
    # Another image on the same layer: only the other layer comes.
    q = Picture([base, tar_of({"what": b"two\n"})])
    registry.add(q, "2")
    r = good(msb, "run", ref_of(registry, "other:2"), "--", "cat", "/what")
    assert r.stdout == b"two\n" and b": already here\n" in r.stderr
    assert sum("/blobs/" in path for _, path, _, _ in registry.seen) == 2, "a configuration and a layer"


def test_whom_to_trust(msb, base, tmp_path):
    """As msb pull does."""
    msb.env.update(DOCKER_CONFIG=str(tmp_path / "docker"), NO_PROXY="*")
    authority = Authority(tmp_path / "ca")
    with Hostile(authority=authority) as r:
        r.add(image(base, b"old"), "1")
        ref = ref_of(r)
        refused = msb.run(ref, "--", "cat", "/what")
        assert refused.returncode == FAILED and b"--ca-certs" in refused.stderr
        assert good(msb, "run", "--ca-certs", str(authority.ca), ref, "--", "cat", "/what").stdout == b"old\n"
        r.add(image(base, b"new"), "1")
        assert msb.run("--pull", "always", ref, "--", "cat", "/what").returncode == FAILED
        assert good(msb, "run", "--pull", "always", "--insecure", ref, "--", "cat", "/what").stdout == b"new\n"


def test_policies(msb, registry, base):
    registry.add(image(base, b"old"), "1")
    ref = ref_of(registry)
    r = msb.run("--pull", "never", ref)
    assert r.returncode == FAILED and b"is not here; get it with 'msb pull " in r.stderr and not registry.seen
    assert good(msb, "run", "--pull", "missing", ref, "--", "cat", "/what").stdout == b"old\n"
    registry.add(image(base, b"new"), "1")
    assert good(msb, "run", ref, "--", "cat", "/what").stdout == b"old\n"
    assert good(msb, "run", "--pull", "never", ref, "--", "cat", "/what").stdout == b"old\n"
    assert good(msb, "run", "--pull", "always", ref, "--", "cat", "/what").stdout == b"new\n"
    registry.seen.clear()
    r = good(msb, "run", "-q", "--pull", "always", ref, "--", "cat", "/what")
    assert r.stdout == b"new\n" and r.stderr == b"" and registry.seen


def test_a_sandbox_keeps_its_image(msb, registry, base):
    old, new = image(base, b"old"), image(base, b"new")
    registry.add(old, "1")
    ref = ref_of(registry)
    good(msb, "create", "-q", "--name", "dev", ref)
    try:
        good(msb, "exec", "dev", "--", "sh", "-c", "echo mine >/mine; sync")
        registry.add(new, "1")
        good(msb, "pull", "-q", ref)
        r = msb("rmi", old.digest)
        assert r.returncode == FAILED and b"is used by sandbox 'dev'" in r.stderr
        # The new one is nobody's.
        assert json.loads(good(msb, "image", "prune", "-y", "--format", "json").stdout)["images"] == 1
        good(msb, "stop", "dev")
        assert json.loads(good(msb, "image", "prune", "-y", "--format", "json").stdout)["images"] == 0
        r = good(msb, "exec", "-q", "dev", "--", "sh", "-c", "cat /what /mine; cat /large | busybox wc -c")
        assert r.stdout.split() == [b"old", b"mine", b"9000"]
    finally:
        good(msb, "rm", "-q", "-f", "dev")
    assert json.loads(good(msb, "image", "prune", "-y", "--format", "json").stdout)["images"] == 1
    assert not list((msb.home / "images/layers").iterdir())


def test_guests_do_not_see_each_other(msb, registry, base):
    registry.add(image(base, b"one"), "1")
    ref = ref_of(registry)
    r = good(msb, "run", "-q", ref, "--", "sh", "-c", "echo changed >/what; echo x >/new; cat /what")
    assert r.stdout == b"changed\n"
    r = good(msb, "run", "-q", ref, "--", "sh", "-c", "cat /what; ls /")
    assert r.stdout.split()[0] == b"one" and b"new" not in r.stdout.split()


def test_the_store_is_free_while_a_guest_runs(msb, registry, base):
    registry.add(image(base, b"one"), "1")
    ref = ref_of(registry)
    p = msb.start("-q", ref, "--", "sh", "-c", "echo up; cat; cat /large | busybox wc -c")
    assert p.stdout.readline() == b"up\n"
    r = msb("rmi", ref)
    assert r.returncode == FAILED and b"is used by sandbox" in r.stderr
    assert json.loads(good(msb, "image", "prune", "-y", "--format", "json").stdout)["images"] == 0
    out, err = p.communicate(timeout=LIMIT)
    assert out.split() == [b"9000"] and p.returncode == 0, err
    good(msb, "rmi", ref)


def test_mirror_for_short_names(msb, registry, base):
    registry.add(image(base, b"mirrored"), "3.20")
    msb.home.mkdir(exist_ok=True)
    (msb.home / "config.json").write_text(json.dumps(
        {"registries": {"hosts": {"docker.io": {"mirrors": [f"http://{registry.host}"]}}}}))
    assert good(msb, "run", "alpine:3.20", "--", "cat", "/what").stdout == b"mirrored\n"
    # The site loses its registry; what is here still runs.
    (msb.home / "config.json").unlink()
    assert good(msb, "run", "alpine:3.20", "--", "cat", "/what").stdout == b"mirrored\n"


def test_an_image_that_does_not_come_changes_nothing(msb, registry, base):
    registry.add(image(base, b"one"), "1")
    ref = ref_of(registry)
    good(msb, "create", "-q", "--name", "dev", ref)
    try:
        r = msb("create", "--name", "dev", "--replace", ref_of(registry, "app:2"), stdin=subprocess.DEVNULL)
        assert r.returncode == FAILED and f"{ref} is here" in r.stderr.decode()
        assert good(msb, "exec", "dev", "--", "cat", "/what").stdout == b"one\n"
    finally:
        good(msb, "rm", "-q", "-f", "dev")


def test_interrupted_while_pulling(msb, registry, base):
    p = image(base, b"one")
    registry.add(p, "1")

    def stall(handler, kind, name):
        if kind != "blob" or name == p.digest:
            return False
        try:
            handler.connection.recv(1)
        except OSError:
            pass
        handler.close_connection = True
        return True

    registry.hook = stall
    run = msb.start(ref_of(registry), "--", "cat", "/what", stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + LIMIT
    while not any("/blobs/" in path for _, path, _, _ in registry.seen):
        assert time.monotonic() < deadline and run.poll() is None
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGTERM)
    out, err = run.communicate(timeout=LIMIT)
    assert run.returncode == 128 + signal.SIGTERM and out == b"" and not msb.sandboxes()
