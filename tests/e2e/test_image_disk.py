# SPDX-License-Identifier: Apache-2.0
"""Machines on images of the store: many layers as one disk without copies, and what happens when a layer is damaged."""

import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from registry import Hostile, Picture, tar_of  # noqa: E402
from test_life import life, ok  # noqa: E402, F401 (life is a fixture)

BUSYBOX = shutil.which("busybox")
TOOLS = ("sh", "cat", "df", "ls", "rm", "find", "sha256sum", "sort", "stat", "sync", "true", "wc")
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


def pulled(msb, layers, more=()):
    """Name of an image of so many layers and a system, which is in the store."""
    if not BUSYBOX:
        pytest.skip("busybox is not installed")
    picture = Picture([system()] + [tar_of({f"data/f{i}": content(i)}) for i in range(layers)] + list(more))
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


def oddities():
    """A layer with whatever a copy could lose."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        def add(name, kind=tarfile.REGTYPE, data=b"", mode=0o644, **fields):
            info = tarfile.TarInfo("odd/" + name)
            info.type, info.mode, info.size, info.mtime = kind, mode, len(data), 1000000000 + len(name)
            for key, value in fields.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(data))

        add("", tarfile.DIRTYPE, mode=0o1770, uid=12, gid=34)
        add("suid", data=b"x", mode=0o6755, uid=1000, gid=1001)
        add("sparse", data=b"a" + bytes(3_000_000) + b"z")
        add("first", data=b"shared")
        add("deep", tarfile.DIRTYPE, mode=0o700)
        add("deep/second", tarfile.LNKTYPE, linkname="odd/first")
        add("third", tarfile.LNKTYPE, linkname="odd/first")
        add("absolute", tarfile.SYMTYPE, linkname="/etc/passwd")
        add("fifo", tarfile.FIFOTYPE, mode=0o600)
        add("device", tarfile.CHRTYPE, mode=0o640, devmajor=1, devminor=3)
        add("capable", data=b"c", mode=0o755,
            pax_headers={"SCHILY.xattr.security.capability": "\x01\0\0\x02\0\x04" + "\0" * 14})
    return out.getvalue()


TREE = ("cd / && find bin data odd | sort | while read -r f; do stat -c '%n %f %u %g %h %s %Y %t %T' \"$f\"; done; "
        "find bin data odd -type f | sort | while read -r f; do sha256sum \"$f\"; done; stat -c %i odd/first odd/deep/second")


def test_flat_disk_is_the_same_tree(life):  # noqa: F811
    image = pulled(life, 3, [oddities()])
    layered = ok(life, "run", "--root-disk", "tmpfs", image, "--", "sh", "-c", TREE).splitlines()
    ok(life, "create", "--name", "flat", "--root-disk", "flat:1G", image)
    flat = ok(life, "exec", "flat", "--", "sh", "-c", TREE).splitlines()
    assert len(flat) > 40 and flat[-1] == flat[-2]
    # Directories count their size in another way, inode numbers are anybody's.
    def alike(lines):
        return [line for line in lines[:-2] if line.split()[1][0] != "4" or len(line.split()[1]) == 64]
    assert alike(flat) == alike(layered)
    directories = [[w for i, w in enumerate(line.split()) if i not in (4, 5)] for line in flat[:-2]]
    assert ["odd", "43f8", "12", "34"] == next(d for d in directories if d[0] == "odd")[:4]
    assert "/dev/vdb" in ok(life, "exec", "flat", "--", "df", "/")
    ok(life, "exec", "flat", "--", "sh", "-c", "echo changed >/odd/first; rm /odd/third")
    ok(life, "stop", "flat")
    disk = life.home / "sandboxes/flat/upper.ext4"
    assert disk.stat().st_blocks * 512 < 30 * MIB
    debugfs = shutil.which("debugfs", path="/sbin:/usr/sbin:/bin:/usr/bin")
    if debugfs:
        said = subprocess.run([debugfs, "-R", "ea_list /u/odd/capable", str(disk)], capture_output=True, text=True, check=True)
        assert "security.capability (20)" in said.stdout
    ok(life, "start", "flat")
    assert ok(life, "exec", "flat", "--", "sh", "-c", "cat /odd/deep/second; ls /odd") == (
        "changed\nabsolute\ncapable\ndeep\ndevice\nfifo\nfirst\nsparse\nsuid\n")


def test_flat_disk_without_room_says_so(life):  # noqa: F811
    image = pulled(life, 1, [tar_of({"big": hashlib.shake_256(b"big").digest(31 * MIB)})])
    r = life("run", "--root-disk", "flat:32M", image, "--", "true")
    assert r.returncode == 125, r.stderr
    assert b"copy the image to the root disk: No space left on device" in r.stderr.replace(b"'", b"")
    assert life.sandboxes() == []
