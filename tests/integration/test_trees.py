# SPDX-License-Identifier: Apache-2.0
"""Root file systems as the Linux kernel sees them, against `umoci unpack` of the same image, to the last attribute."""

import os
import random
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))
import offline  # noqa: E402
import trees  # noqa: E402
from trees import (Image, InMemory, Layout, compare, directory, entry, file, hardlink, opaque, run, symlink,  # noqa: E402
                   whiteout)

pytestmark = pytest.mark.skipif(trees.missing() is not None, reason=str(trees.missing()))
GIB = 1 << 30


def test_debian(tmp_path):
    """The image that scripts/build-image.sh makes with mmdebstrap."""
    try:
        archive = offline.image("python")
    except offline.Missing as e:
        pytest.skip(str(e))
    run("skopeo", "copy", "-q", f"oci-archive:{archive}", f"oci:{tmp_path}/layout:x")
    want = compare(Layout(tmp_path, tmp_path / "layout", "x"), tmp_path)
    assert len(want) > 3000 and b"usr/bin/python3" in want
    assert any(e["owner"][1] == 42 for e in want.values()), "group shadow"


# Forty layers.

def whiteout_layers():
    """One function for each layer, in order; together every way in which a layer changes those below it."""
    def base(t):
        for d in ("a", "a/b", "a/b/c", "opaque", "opaque/sub", "dir2file", "gone", "again", "again/sub", "usr", "usr/lib",
                  "links", "attr", "link2dir-target", "nest", "nest/x", "nest/x/y", "full", "tolink"):
            directory(t, d)
        for f in ("a/1", "a/2", "a/b/3", "a/b/c/4", "opaque/5", "opaque/sub/6", "gone/7", "file2dir", "dir2file/8", "h1",
                  "again/9", "again/sub/10", "link2dir-target/11", "nest/x/y/12", "full/13", "same1", "same2", "tolink/14",
                  "file2link", "attr/15", "link-target"):
            file(t, f, f.encode() * 50)
        hardlink(t, "h2", "h1")
        hardlink(t, "links/h3", "h1")
        symlink(t, "lib", "usr/lib")
        symlink(t, "link2dir", "link2dir-target")
        symlink(t, "link-gone", "link-target")
        symlink(t, "dangling", "nowhere/at/all")

    def removals(t):
        whiteout(t, "a/1")
        whiteout(t, "a/b/c")  # with children
        whiteout(t, "gone")
        whiteout(t, "never-there")
        whiteout(t, "nor/this/one")
        whiteout(t, "h1")  # one name of three
        whiteout(t, "link-gone")  # the link, not what it points to

    def opaques(t):
        directory(t, "opaque")
        file(t, "opaque/before", b"stands before the mark")
        opaque(t, "opaque")
        file(t, "opaque/after", b"stands behind it")
        directory(t, "again")
        opaque(t, "again")

    def types(t):
        directory(t, "file2dir")
        file(t, "file2dir/in", b"in")
        file(t, "dir2file", b"now a file")
        symlink(t, "tolink", "a")
        symlink(t, "file2link", "a/2")

    def types_back(t):
        file(t, "file2dir", b"a file again")
        directory(t, "dir2file", mode=0o700)
        file(t, "dir2file/new", b"new")

    def readded(t):
        directory(t, "gone", mode=0o711, uid=3)
        file(t, "a/1", b"back", mode=0o600)
        directory(t, "a/b/c")
        directory(t, "again/sub")

    def same_layer(t):
        # A mark takes away what is below the layer, never what the layer brings, in whichever order.
        whiteout(t, "same1")
        file(t, "same1", b"new one")
        file(t, "same2", b"new two")
        whiteout(t, "same2")
        whiteout(t, "full")
        directory(t, "full")
        file(t, "full/only", b"only this")

    def through_links(t):
        file(t, "lib/through", b"lands in usr/lib")
        directory(t, "link2dir")  # a directory in the place of a link to one
        file(t, "link2dir/own", b"own")

    def attributes(t):
        directory(t, "attr", mode=0o2770, uid=1000, gid=70000, mtime=1234567890)
        hardlink(t, "h4", "links/h3")
        file(t, "h2", b"no longer a link")

    def deep(t):
        directory(t, "nest")
        opaque(t, "nest/x")
        whiteout(t, "links/h3")  # h4 remains of four names

    return [base, removals, opaques, types, types_back, readded, same_layer, through_links, attributes, deep]


def random_layer(choice):
    """Changes of a small tree. Entries that an archiver would write: a parent stands before what is in it."""
    names = [f"{a}{b}" for a in "pq" for b in "012"]

    def fill(t):
        used = set()
        for _ in range(choice.randrange(3, 15)):
            path = "/".join(choice.choice(names) for _ in range(choice.randrange(1, 4)))
            # Nothing below what this layer has made a file, and no second entry of one name.
            parents = {path.rsplit("/", n)[0] for n in range(1, path.count("/") + 1)}
            if path in used or parents & used or any(u.startswith(path + "/") for u in used):
                continue
            used.add(path)
            what = choice.choice(["file", "file", "dir", "dir", "link", "out", "out", "opaque", "fifo"])
            for parent in sorted(parents):
                directory(t, "R/" + parent, mode=0o750, mtime=choice.randrange(1 << 31))
            if what == "file":
                file(t, "R/" + path, choice.randbytes(choice.choice([0, 10, 1024, 5000])), uid=choice.randrange(5))
            elif what == "dir":
                directory(t, "R/" + path, mode=choice.choice([0o755, 0o700]))
                used.discard(path)
            elif what == "link":
                symlink(t, "R/" + path, choice.choice(["nowhere", "/absolute", "../x" * 3]))
            elif what == "fifo":
                entry(t, "R/" + path, tarfile.FIFOTYPE)
            elif what == "opaque":
                directory(t, "R/" + path)
                opaque(t, "R/" + path)
            else:
                whiteout(t, "R/" + path)

    return fill


def test_forty_layers_with_whiteouts_of_every_kind(tmp_path):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    choice = random.Random(seed)
    image = Image(tmp_path)
    layers = whiteout_layers()
    layers += [random_layer(choice) for _ in range(40 - len(layers))]
    assert len(layers) == 40
    for fill in layers:
        image.add(fill)
    want = compare(image, tmp_path)
    for gone in (b"h1", b"link-gone", b"opaque/5", b"opaque/sub", b"again/9", b"gone/7", b"nest/x/y", b"links/h3", b"full/13"):
        assert gone not in want, gone
    for here in (b"link-target", b"opaque/before", b"opaque/after", b"same1", b"same2", b"full/only", b"usr/lib/through"):
        assert here in want, here
    assert want[b"h4"]["nlink"] == 1


def test_hundred_thousand_files(tmp_path):
    image = Image(tmp_path)
    with tarfile.open(tmp_path / "many.tar", "w", format=tarfile.GNU_FORMAT) as t:
        for d in range(20):
            directory(t, f"d{d}")
        # Many directories of a few, few of many, and one of very many: each is laid out differently.
        for i in range(100_000):
            where = "wide" if i < 30_000 else f"d{i % 20}" if i < 60_000 else f"d{i % 20}/{i % 4000}"
            file(t, f"{where}/{'n' * (i % 60)}{i}", b"%d" % i, uid=i % 3, mtime=i)
    image.add_file(tmp_path / "many.tar")
    with InMemory(tmp_path / "memory", 2) as image.scratch:
        want = compare(image, tmp_path)
    assert sum("size" in e for e in want.values()) == 100_000


def test_links_across_directories_and_large_sparse_files(tmp_path):
    source = tmp_path / "src"
    for d in ("one", "two/three"):
        (source / d).mkdir(parents=True)
    with open(source / "one" / "huge", "wb") as f:
        for at in (0, 1_000_000, 4 * GIB - 3, 4 * GIB + 123_456):
            f.seek(at)
            f.write(b"data at %d" % at)
        f.truncate(4 * GIB + 5_000_001)
    with open(source / "one" / "sparse", "wb") as f:
        f.seek(3_000_000)
        f.write(os.urandom(100_000))
        f.truncate(50_000_000)
    (source / "two" / "small").write_bytes(b"small")
    for name, target in (("two/huge", "one/huge"), ("two/three/huge", "one/huge"), ("sparse", "one/sparse"),
                         ("one/small", "two/small"), ("two/three/small", "two/small")):
        os.link(source / target, source / name)
    (source / "two" / "absolute").symlink_to("/one/huge")
    image = Image(tmp_path)
    run("tar", "-C", source, "-S", "--format=pax", "-cf", tmp_path / "a.tar", ".")
    image.add_file(tmp_path / "a.tar")

    def more(t):
        hardlink(t, "across", "one/huge")  # of a file that a lower layer has
        hardlink(t, "two/three/again", "across")
        whiteout(t, "two/huge")

    image.add(more)
    with InMemory(tmp_path / "memory", 5) as image.scratch:
        want = compare(image, tmp_path)
    assert want[b"one/huge"]["size"] > 4 * GIB and want[b"one/huge"]["nlink"] == 4
    assert want[b"two/small"]["nlink"] == 3
    assert (tmp_path / "data0").stat().st_blocks * 512 < 2 << 20, "holes take no space in the store"


# Names.

NAMES = [b"\xff\xfe\x80", b"latin-\xe9", b"utf8-\xc3\xa9-\xe2\x82\xac-\xf0\x9f\x98\x80", b"new\nline", b"\n", b"\t", b"\r", b"\x1b[31mred",
         b"\x01\x02\x7f", b"-rf", b"--", b"-", b" ", b" lead and trail ", b"...", b"..x", b"x..", b"~", b"*?[a]", b"back\\slash",
         b"quo\"te'`$(id)", b"%s%n", b"#", b"semi;colon|&", b"a:b", b"x" * 255, b"\xff" * 255, b".wh", b"wh.x", b".wh\xff",
         "\u202egnp.exe".encode(), b"NUL", b"con.txt", b".", b".hidden", b"=", b"user.attr"]


def named(path):
    return os.fsdecode(path)


@pytest.mark.parametrize("fmt", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_hostile_names(tmp_path, fmt):
    image = Image(tmp_path)
    names = [n for n in NAMES if n != b"."]
    if fmt == tarfile.PAX_FORMAT:
        # Python writes what is no UTF-8 as a header that other programs read as they like: see the test below.
        names = [n for n in names if n.decode(errors="ignore").encode() == n]

    def fill(t):
        for i, name in enumerate(names):
            file(t, named(b"f/" + name), name)
            directory(t, named(b"d/" + name), mtime=i)
            file(t, named(b"d/" + name + b"/" + names[-1 - i]), b"inside")
            symlink(t, named(b"l/" + name), named(name))
            hardlink(t, named(b"h/" + name), named(b"f/" + name))
        deep = b"/".join([b"e%02d-\n-\xc3\xa9" % i + b"p" * 19 for i in range(110)])
        file(t, named(deep + b"/leaf"), b"deep")

    def second(t):
        whiteout(t, named(b"f/" + names[0]))
        opaque(t, named(b"d/" + names[1]))
        for name in names[2:5]:
            file(t, named(b"f/" + name), b"replaced")

    image.add(fill, fmt, encoding="utf-8", errors="surrogateescape")
    image.add(second, fmt, encoding="utf-8", errors="surrogateescape")
    want = compare(image, tmp_path)
    assert len(want) > 5 * len(names)
    assert max(len(p) for p in want) > 3000


def test_names_that_gnu_tar_writes(tmp_path):
    """The same with an archiver of other people, in its three formats."""
    source = tmp_path / "src"
    source.mkdir()
    for name in NAMES:
        if name != b".":
            with open(os.fsencode(source) + b"/" + name, "wb") as f:
                f.write(name)
    image = Image(tmp_path)
    for i, fmt in enumerate(("gnu", "pax", "oldgnu")):
        prefix = tmp_path / str(i)
        prefix.mkdir()
        source.rename(prefix / fmt)
        run("tar", "-C", prefix, f"--format={fmt}", "-cf", tmp_path / f"{fmt}.tar", fmt)
        (prefix / fmt).rename(source)
        image.add_file(tmp_path / f"{fmt}.tar")
    want = compare(image, tmp_path)
    assert len(want) == 1 + 3 * len(NAMES)


def test_attributes_of_every_kind(tmp_path):
    """Capabilities, ACLs, user and trusted attributes, times before 1970 and after 2038, devices."""
    source = tmp_path / "src"
    source.mkdir()
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    acl = bytes.fromhex("0200000001000600ffffffff02000600e803000004000400ffffffff10000600ffffffff20000400ffffffff")
    for name, attrs in (("ping", {"security.capability": capability}), ("acl", {"system.posix_acl_access": acl}),
                        ("user", {"user.a": b"\0binary\xff", "user.empty": b"", "user." + "n" * 240: b"x" * 1000}),
                        ("trusted", {"trusted.x": b"t"}), ("many", {f"user.{i}": b"%d" % i * 10 for i in range(40)})):
        (source / name).write_bytes(b"x" * 5000)
        for attr, value in attrs.items():
            os.setxattr(source / name, attr, value)
    (source / "dir").mkdir()
    os.setxattr(source / "dir", "system.posix_acl_default", acl)
    os.setxattr(source / "dir", "user.d", b"of a directory")
    for name, mtime in (("before", -1_000_000_000), ("late", 9_000_000_000), ("ns", 1_700_000_000)):
        (source / name).write_bytes(b"")
        os.utime(source / name, ns=(0, mtime * 10**9 + (987654321 if name == "ns" else 0)))
    for name, major, minor in (("null", 1, 3), ("large", 4095, 1048575), ("zero", 1, 5)):
        os.mknod(source / name, 0o020640, os.makedev(major, minor))
    os.mknod(source / "blk", 0o060660, os.makedev(259, 70000))
    os.mkfifo(source / "fifo")
    image = Image(tmp_path)
    run("tar", "-C", source, "--xattrs", "--xattrs-include=*", "--format=pax", "-cf", tmp_path / "a.tar", ".")
    image.add_file(tmp_path / "a.tar")
    want = compare(image, tmp_path)
    assert want[b"ping"]["xattrs"]["security.capability"] == capability
    assert len(want[b"many"]["xattrs"]) == 40
    assert want[b"large"]["rdev"] == os.makedev(4095, 1048575)
