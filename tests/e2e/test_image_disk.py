# SPDX-License-Identifier: Apache-2.0
"""Machines on images of the store: many layers as one disk without copies, and what happens when a layer is damaged."""

import hashlib
import io
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from registry import Hostile, Picture, tar_of  # noqa: E402
from test_life import life, ok  # noqa: E402, F401 (life is a fixture)

BUSYBOX = shutil.which("busybox")
TOOLS = ("sh", "cat", "df", "ls", "rm", "sha256sum", "sync", "true", "wc")
LAYERS = 120
MIB = 1 << 20


def content(i):
    # Small files share the metadata; large ones lie in the layer's own data, and some span many blocks.
    return hashlib.shake_256(b"%d" % i).digest(2_000_003 if i % 25 == 0 else 50 + i * 401)


def system():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        binary = Path(BUSYBOX).read_bytes()
        info = tarfile.TarInfo("bin/busybox")
        info.mode, info.size = 0o755, len(binary)
        tar.addfile(info, io.BytesIO(binary))
        for name in TOOLS:
            link = tarfile.TarInfo("bin/" + name)
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return out.getvalue()


def pulled(msb, layers):
    """Name of an image of so many layers and a system, which is in the store."""
    if not BUSYBOX:
        pytest.skip("busybox is not installed")
    picture = Picture([system()] + [tar_of({f"data/f{i}": content(i)}) for i in range(layers)])
    with Hostile() as registry:
        registry.add(picture, "1")
        name = f"{registry.host}/many:1"
        r = msb("pull", "--insecure", "-q", name)
        assert r.returncode == 0, r.stderr.decode()
    return name


@pytest.fixture
def image(life):  # noqa: F811
    return pulled(life, 3)


def space(path):
    return sum(p.stat().st_blocks * 512 for p in path.rglob("*") if p.is_file())


def test_every_byte_of_many_layers(life):  # noqa: F811
    image = pulled(life, LAYERS)
    sums = "".join(f"{hashlib.sha256(content(i)).hexdigest()}  /data/f{i}\n" for i in range(LAYERS))
    r = life("run", image, "--", "sh", "-c", "sha256sum -c - && df /", input=sums.encode())
    out = r.stdout.decode()
    assert r.returncode == 0, out[-500:] + r.stderr.decode()
    assert out.count(": OK\n") == LAYERS
    size = int([line.split() for line in out.splitlines() if line.endswith(" /")][0][1])
    assert 3.5 * 1024 ** 2 < size < 4 * 1024 ** 2


def test_sandboxes_share_the_image(life, image):  # noqa: F811
    store = space(life.home / "images")
    assert store > 3 * MIB
    ok(life, "create", "--name", "one", image)
    first = space(life.home)
    ok(life, "create", "--name", "two", image)
    assert ok(life, "exec", "two", "--", "sh", "-c", "echo own >/data/f1; cat /data/f1") == "own\n"
    assert ok(life, "exec", "one", "--", "sh", "-c", "wc -c </data/f1").strip() == str(len(content(1)))
    assert space(life.home) - first < 5 * MIB
    assert space(life.home / "images") == store
    ok(life, "stop", "two")
    ok(life, "start", "two")
    assert ok(life, "exec", "two", "--", "cat", "/data/f1") == "own\n"


def layer_data(home):
    """The data of a layer with one large file."""
    size = (len(content(0)) + 4095) // 4096 * 4096
    return next(p for p in (home / "images/layers").glob("*/data") if p.stat().st_size == size)


def test_damaged_layers_are_refused(life, image):  # noqa: F811
    data = layer_data(life.home)
    whole = data.read_bytes()
    data.chmod(0o600)
    data.write_bytes(whole[:-4096])
    r = life("run", image, "--", "true")
    assert r.returncode == 125 and b"damaged layer" in r.stderr and b"msb rmi" in r.stderr
    data.unlink()
    r = life("run", image, "--", "true")
    assert r.returncode == 125 and b"damaged layer" in r.stderr
    assert life.sandboxes() == []
