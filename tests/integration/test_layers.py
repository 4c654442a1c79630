# SPDX-License-Identifier: Apache-2.0
"""Layers to root file system: our unpack and merge against what umoci makes of the same image."""

import errno
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
import trees  # noqa: E402
from trees import Image, Mounted, compare, disk, entry, file, merge, recipe, spawn, unpack  # noqa: E402

pytestmark = pytest.mark.skipif(trees.missing() is not None, reason=str(trees.missing()))


@pytest.mark.parametrize("fmt", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_kinds_and_attributes(tmp_path, fmt):
    image = Image(tmp_path)

    def fill(t):
        entry(t, "./", tarfile.DIRTYPE)
        entry(t, "./dir/", tarfile.DIRTYPE, mode=0o1777, uid=7, gid=8)
        for size in (0, 1, 511, 512, 513, 1024, 1025, 4096, 5000, 1_000_000):
            file(t, f"dir/{size}", os.urandom(size), uid=1000, gid=70000 if fmt == tarfile.PAX_FORMAT else 7)
        file(t, "dir/" + "n" * 200, b"long name")
        file(t, "/".join(["deep"] * 60) + "/leaf", b"deep path")
        entry(t, "dir/link", tarfile.SYMTYPE, linkname="../" + "t" * 300)
        entry(t, "dir/hard", tarfile.LNKTYPE, linkname="dir/5000")
        entry(t, "hard2", tarfile.LNKTYPE, linkname="./dir/5000")
        entry(t, "chr", tarfile.CHRTYPE, devmajor=10, devminor=229)
        entry(t, "blk", tarfile.BLKTYPE, devmajor=8, devminor=300)
        entry(t, "fifo", tarfile.FIFOTYPE)
        file(t, "suid", b"x", mode=0o6755)
        if fmt == tarfile.PAX_FORMAT:
            file(t, "frac", b"", mtime=1700000000.123456789)
            file(t, "xattr", b"x" * 2000, pax_headers={"SCHILY.xattr.user.note": "v\u00e4lue", "SCHILY.xattr.user.empty": ""})
            file(t, "\u00fcn\u00efcode", b"y")

    image.add(fill, fmt)
    compare(image, tmp_path)


def test_whiteouts_and_replacements(tmp_path):
    image = Image(tmp_path)

    def base(t):
        for d in ("a", "a/b", "a/b/c", "opaque", "opaque/sub", "todir", "gone"):
            entry(t, d, tarfile.DIRTYPE)
        for f in ("a/1", "a/2", "a/b/3", "a/b/c/4", "opaque/5", "opaque/sub/6", "gone/7", "tofile", "todir/8", "h1"):
            file(t, f, f.encode())
        entry(t, "h2", tarfile.LNKTYPE, linkname="h1")
        entry(t, "usr", tarfile.DIRTYPE)
        entry(t, "usr/lib", tarfile.DIRTYPE)
        entry(t, "lib", tarfile.SYMTYPE, linkname="usr/lib")

    def second(t):
        file(t, "a/.wh.1")
        file(t, "a/b/.wh.c")
        file(t, "opaque/new", b"new")
        file(t, "opaque/.wh..wh..opq")
        file(t, ".wh.gone")
        entry(t, "tofile", tarfile.DIRTYPE)
        file(t, "tofile/in", b"in")
        file(t, "todir", b"now a file")
        file(t, ".wh.h1")
        file(t, "lib/through-the-link", b"x")
        file(t, ".wh.never-there")

    def third(t):
        file(t, "a/1", b"back again")
        entry(t, "gone", tarfile.DIRTYPE, mode=0o700)
        entry(t, "a", tarfile.DIRTYPE, mode=0o500, uid=5)
        entry(t, "h3", tarfile.LNKTYPE, linkname="h2")

    for fill in (base, second, third):
        image.add(fill)
    compare(image, tmp_path)


def test_forty_layers(tmp_path):
    image = Image(tmp_path)
    for n in range(40):
        def fill(t, n=n):
            entry(t, f"d{n % 7}", tarfile.DIRTYPE)
            file(t, f"d{n % 7}/f{n}", str(n).encode() * n)
            if n > 3:
                file(t, f"d{(n - 3) % 7}/.wh.f{n - 3}")
            file(t, "counter", str(n).encode())
        image.add(fill)
    compare(image, tmp_path)


def test_sparse_files_of_gnu_tar(tmp_path):
    source = tmp_path / "src"
    source.mkdir()
    with open(source / "sparse", "wb") as f:
        for at in range(0, 40):
            f.seek(at * 100_000)
            f.write(b"data%d" % at)
        f.truncate(10_000_000)
    with open(source / "empty-sparse", "wb") as f:
        f.truncate(5_000_000)
    for i, options in enumerate((["--format=gnu"], ["--format=pax", "--sparse-version=1.0"],
                                 ["--format=pax", "--sparse-version=0.1"], ["--format=pax", "--sparse-version=0.0"])):
        tar = tmp_path / f"s{i}.tar"
        Image.run("tar", "-C", source, "-S", *options, "-cf", tar, ".")
        where = tmp_path / str(i)
        where.mkdir()
        pair = (where / "data", where / "index")
        r = unpack(tar, *pair)
        assert r["error"] == 0, r["text"]
        r = merge([pair], where / "meta")
        assert r["error"] == 0, r["text"]
        disk([pair], where / "meta", where / "disk")
        with Mounted(where / "disk", where / "mnt") as mnt:
            for name in ("sparse", "empty-sparse"):
                assert (mnt / name).read_bytes() == (source / name).read_bytes(), options


HOSTILE = {
    "dotdot": lambda t: file(t, "../../etc/passwd", b"x"),
    "dotdot-inside": lambda t: file(t, "a/../../b", b"x"),
    "hardlink-out": lambda t: entry(t, "h", tarfile.LNKTYPE, linkname="../../etc/passwd"),
    "hardlink-missing": lambda t: entry(t, "h", tarfile.LNKTYPE, linkname="nothing"),
    "too-deep": lambda t: file(t, "d/" * 200 + "f", b"x"),
    "below-a-file": lambda t: (file(t, "f", b"x"), file(t, "f/g", b"x")),
    "loop": lambda t: (entry(t, "l1", tarfile.SYMTYPE, linkname="l2"), entry(t, "l2", tarfile.SYMTYPE, linkname="l1"),
                       file(t, "l1/x", b"x")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_layers_are_refused(tmp_path, name):
    with tarfile.open(tmp_path / "t.tar", "w") as t:
        HOSTILE[name](t)
    pair = (tmp_path / "data", tmp_path / "index")
    r = unpack(tmp_path / "t.tar", *pair)
    if r["error"] == 0:
        r = merge([pair], tmp_path / "meta")
    assert r["error"] != 0 and r["code"] == 1
    assert r["text"], "a refusal has a reason"


def test_truncated_and_damaged_archives(tmp_path):
    with tarfile.open(tmp_path / "t.tar.gz", "w:gz") as t:
        file(t, "f", os.urandom(100_000))
    good = (tmp_path / "t.tar.gz").read_bytes()
    pair = (tmp_path / "data", tmp_path / "index")
    bad = tmp_path / "bad"
    for cut in (1, 3, 10, len(good) // 2, len(good) - 1):
        bad.write_bytes(good[:cut])
        assert unpack(bad, *pair)["error"] != 0, cut
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    bad.write_bytes(flipped)
    assert unpack(bad, *pair)["error"] != 0
    bad.write_bytes(good + good)  # two members are one stream: the second archive is behind the end of the first
    assert unpack(bad, *pair)["error"] == 0


def test_a_layer_that_is_only_large(tmp_path):
    """More than 4 GiB of zeroes in many members is no bomb, and takes no space."""
    size, chunks = 64 << 20, 66
    info = tarfile.TarInfo("zeroes")
    info.size = chunks * size
    blob, data, index = (tmp_path / name for name in ("blob", "data", "index"))
    blob.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT)) + gzip.compress(bytes(size)) * chunks +
                     gzip.compress(bytes(1024)))
    r = unpack(blob, data, index)
    assert r["error"] == 0 and r["data_bytes"] == chunks * size > 4 << 30
    assert data.stat().st_size == chunks * size and data.stat().st_blocks * 512 < 1 << 20


def test_zeroes_become_holes(tmp_path):
    content = os.urandom(5000) + bytes(300_000) + b"x" + bytes(200_000) + os.urandom(70_000) + bytes(100_000)
    with tarfile.open(tmp_path / "t.tar", "w") as t:
        file(t, "small", b"s" * 3000)
        file(t, "holes", content)
    pair = (tmp_path / "data", tmp_path / "index")
    assert unpack(tmp_path / "t.tar", *pair)["error"] == 0
    raw = pair[0].read_bytes()
    assert raw == b"s" * 3000 + bytes(1096) + content + bytes(-len(content) % 4096)
    assert pair[0].stat().st_blocks * 512 < len(raw) - 300_000


# The tar again.

def pack(data):
    """The tar that the worker makes of data and recipe."""
    fds = {4: os.open(data, os.O_RDONLY), 5: os.open(f"{data}.tar", os.O_RDWR | os.O_CREAT | os.O_TRUNC),
           6: os.open(recipe(data), os.O_RDONLY)}
    with open("/dev/null", "rb") as null:
        r = spawn("pack", fds, null)
    for fd in fds.values():
        os.close(fd)
    return r, f"{data}.tar"


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else \
            hashlib.sha256(f.read()).hexdigest()


def same_again(tmp_path, blob):
    pair = (tmp_path / "data", tmp_path / "index")
    r = unpack(blob, *pair)
    assert r["error"] == 0, r["text"]
    packed, path = pack(pair[0])
    assert packed["error"] == 0, packed["text"]
    assert sha256(path) == r["diff_id"]
    return path


@pytest.mark.parametrize("fmt", ["gnu", "pax", "ustar", "oldgnu", "v7"])
def test_tar_again_bit_by_bit(tmp_path, fmt):
    """What GNU tar writes, with holes, links and contents of every size around the limits of inlining and blocks."""
    src = tmp_path / "src"
    src.mkdir()
    for size in (0, 1, 511, 512, 513, 1023, 1024, 1025, 4095, 4096, 4097, 300_000, 3 << 20):
        (src / f"f{size}").write_bytes(os.urandom(size))
    (src / "zeroes").write_bytes(bytes(1 << 20))
    with open(src / "sparse", "wb") as f:
        f.write(b"a" * 5000)
        f.seek(3 << 20)
        f.write(b"b" * 5000)
    os.link(src / "f4097", src / "hard")
    os.symlink("f1", src / "sym")
    (src / ".wh.gone").write_bytes(b"a whiteout with content" * 500)
    blob = tmp_path / "layer.tar"
    subprocess.run(["tar", "-C", src, "-cf", blob, f"--format={fmt}", *(["-S"] if fmt in ("gnu", "pax") else []), "."],
                   check=True)
    with open(blob, "ab") as f:
        f.write(b"what stands behind the end belongs to the digest" * 100)
    path = same_again(tmp_path, blob)
    assert open(path, "rb").read() == blob.read_bytes()
    compressed = tmp_path / "layer.tar.gz"
    compressed.write_bytes(gzip.compress(blob.read_bytes(), 1))
    same_again(tmp_path, compressed)


def test_tar_again_of_nothing(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    same_again(tmp_path, tmp_path / "empty")


def test_damaged_recipe(tmp_path):
    """Neither a crash nor success: the caller has the digest to compare, this is what stands before it."""
    blob = tmp_path / "layer.tar"
    with tarfile.open(blob, "w") as t:
        info = tarfile.TarInfo("f")
        info.size = 100_000
        t.addfile(info, io.BytesIO(os.urandom(info.size)))
    assert unpack(blob, tmp_path / "data", tmp_path / "index")["error"] == 0
    whole = open(recipe(tmp_path / "data"), "rb").read()
    for bad in (b"", whole[:-1], whole[:10], whole + b"x", b"\0" * 100, whole + whole):
        open(recipe(tmp_path / "data"), "wb").write(bad)
        r, _ = pack(tmp_path / "data")
        assert r["error"] == -errno.EBADMSG or r["error"] == -errno.ENODATA, r
        assert r["text"] == "layer recipe is damaged"
    open(recipe(tmp_path / "data"), "wb").write(whole)
    os.truncate(tmp_path / "data", 4096)
    r, _ = pack(tmp_path / "data")
    assert r["error"] == -errno.EBADMSG and r["text"] == "layer data is too short"
