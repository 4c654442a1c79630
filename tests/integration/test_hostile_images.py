# SPDX-License-Identifier: Apache-2.0
"""Images that mean harm, pulled as a whole: each is refused with a reason, and the store is as it was.

What lies outside the layers (digests, lengths, documents, redirects) is in test_pull_hostile.py.
"""

import functools
import gzip
import io
import os
import random
import sys
import tarfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from puller import Puller  # noqa: E402
from registry import Hostile, Picture, digest, run, tar_of, zstd  # noqa: E402
from trees import directory, file, hardlink, symlink  # noqa: E402

SHARED = tar_of({"etc/passwd": b"root:x:0:0::/:\n", "shared": os.urandom(100_000)})
INNOCENT = tar_of({"innocent": os.urandom(100_000)})
GOOD = Picture([SHARED, tar_of({"own": b"own" * 1000})])
EVIL = "an image that is refused brings a layer that is here, one that is not, and the evil one"


def archive(fill, fmt=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt) as t:
        fill(t)
    return out.getvalue()


class Outside:
    """A place that an image would like to reach, with the distance to it from anywhere in the store."""

    def __init__(self, where):
        self.dir = where / "outside"
        self.dir.mkdir()
        (self.dir / "victim").write_text("untouched")
        self.up = "../" * 40 + str(self.dir)[1:]

    def untouched(self):
        return os.listdir(self.dir) == ["victim"] and (self.dir / "victim").read_text() == "untouched" and \
            (self.dir / "victim").stat().st_nlink == 1


@pytest.fixture
def world(tmp_path):
    """(puller that has the good image, registry, outside)"""
    puller = Puller(tmp_path / "user")
    with Hostile() as r:
        r.add(GOOD, "good")
        puller.good(f"{r.host}/a:good")
        yield puller, r, Outside(tmp_path)


def refuse(world, evil, why, kind, compress="gzip"):
    """@evil: a tar, or a function that makes one for the outside; or a whole Picture."""
    puller, r, outside = world
    evil = evil(outside) if callable(evil) else evil
    picture = evil if isinstance(evil, Picture) else Picture([SHARED, INNOCENT, evil], compress)
    assert digest(picture.layers[0]) in puller.layers(), EVIL
    r.add(picture, "evil")
    got = puller.refused(f"{r.host}/a:evil", why, kind=kind)
    assert got.of("layer", state="exists"), "the shared layer was not even asked for"
    assert not puller.parts() and outside.untouched()
    assert puller.good(f"{r.host}/a:good", policy="never").last["digest"] == GOOD.digest
    run("fsck.erofs", puller.disk(GOOD.digest, outside.dir.parent / "disk"))


# Paths and links that lead out.

PATHS = {
    "up": lambda o: f"{o.up}/x",
    "up from inside": lambda o: f"a/b/{o.up}/x",
    "absolute and up": lambda o: f"/{o.up}/x",
    "dotdot alone": lambda o: "..",
    "dotdot at the end": lambda o: "a/..",
    "whiteout": lambda o: f"{o.up}/.wh.victim",
}


@pytest.mark.parametrize("name", PATHS)
def test_path_traversal(world, name):
    refuse(world, lambda o: archive(lambda t: file(t, PATHS[name](o), b"x")), "leads out of the image", "protocol")


def test_whiteouts_without_a_name(world):
    for name in (".wh.", ".wh..", ".wh...", "a/.wh..."):
        refuse(world, archive(lambda t, name=name: file(t, name)), "whiteout without a name", "protocol")


def test_paths_that_stay_inside_are_just_odd(world, tmp_path):
    """Absolute paths and links that lead up mean the image's root, as after chroot: what is outside stays as it is."""
    puller, r, outside = world

    def fill(t):
        file(t, f"/{outside.dir}/victim", b"not yours")
        symlink(t, "up", outside.up)
        file(t, "up/through-up", b"x")
        symlink(t, "absolute", str(outside.dir))
        file(t, "absolute/through-absolute", b"x")
        hardlink(t, "hard", f"{outside.dir}/victim")

    r.add(Picture([archive(fill)]), "odd")
    got = puller.good(f"{r.host}/a:odd").last
    assert outside.untouched()
    run("fsck.erofs", f"--extract={tmp_path}/tree", puller.disk(got["digest"], tmp_path / "disk"))
    there = tmp_path / "tree" / str(outside.dir)[1:]
    assert sorted(os.listdir(there)) == ["through-absolute", "through-up", "victim"]
    assert (tmp_path / "tree" / "hard").read_text() == "not yours"


HARD_LINKS = {
    "up": (lambda t, o: hardlink(t, "h", f"{o.up}/victim"), "hard link leads out"),
    "absolute": (lambda t, o: hardlink(t, "h", f"{o.dir}/victim"), "hard link to a file that is not there"),
    "through a link": (lambda t, o: (symlink(t, "s", str(o.dir)), hardlink(t, "h", "s/victim")),
                       "hard link to a file that is not there"),
    "to a link, then through it": (lambda t, o: (symlink(t, "s", o.up), hardlink(t, "h", "s"), hardlink(t, "i", "h/victim")),
                                   "hard link to a file that is not there"),
    "to a directory": (lambda t, o: (directory(t, "d"), hardlink(t, "h", "d")), "hard link to a directory"),
    "to itself": (lambda t, o: hardlink(t, "h", "h"), "hard link to a file that is not there"),
    "to the root": (lambda t, o: hardlink(t, "h", "/"), "hard link"),
}


@pytest.mark.parametrize("name", HARD_LINKS)
def test_hard_links_to_elsewhere(world, name):
    fill, why = HARD_LINKS[name]
    refuse(world, lambda o: archive(lambda t: fill(t, o)), why, "protocol")


LOOPS = {
    "to itself": lambda t: symlink(t, "l", "l"),
    "of two": lambda t: (symlink(t, "l", "m"), symlink(t, "m", "l")),
    "growing": lambda t: symlink(t, "l", "l/l/l/l"),
    "absolute": lambda t: symlink(t, "l", "/l/x"),
    "a long chain": lambda t: (symlink(t, "l", "c0"), [symlink(t, f"c{i}", f"c{i + 1}") for i in range(1000)]),
    "exponential": lambda t: (symlink(t, "l", "e0/x"), [symlink(t, f"e{i}", f"e{i + 1}/../e{i + 1}") for i in range(60)]),
}


@pytest.mark.parametrize("name", LOOPS)
def test_looping_links(world, name):
    """In the way of a path they are refused; looked at by nobody, they are just files."""
    puller, r, _ = world
    refuse(world, archive(lambda t: (LOOPS[name](t), file(t, "l/x", b"x"))), "too many symbolic links", "protocol")
    r.add(Picture([archive(LOOPS[name])]), "loop")
    puller.good(f"{r.host}/a:loop")


def test_below_a_file(world):
    refuse(world, archive(lambda t: (file(t, "f", b"x"), file(t, "f/g", b"x"))), "below something that is no directory", "protocol")
    refuse(world, archive(lambda t: file(t, "etc/passwd/x", b"x")), "below something that is no directory", "protocol")


# Too much.

def bomb(compress, chunks=150):
    """One file of zeroes, @chunks times 64 MiB, as members or frames that each cost next to nothing."""
    size = 64 << 20
    info = tarfile.TarInfo("zeroes")
    info.size = chunks * size
    return compress(info.tobuf(tarfile.GNU_FORMAT)) + compress(bytes(size)) * chunks + compress(bytes(1024))


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_bombs(world, kind):
    compress = {"gzip": functools.partial(gzip.compress, mtime=0), "zstd": zstd}[kind]
    picture = Picture([SHARED, INNOCENT, b""])
    evil = bomb(compress)
    assert len(evil) < 12 << 20
    replace_layer(picture, 2, evil)
    refuse(world, picture, "times its compressed size", "limit")


def replace_layer(picture, at, blob):
    """The picture with another blob in this place; its diff_id is nobody's."""
    old = digest(picture.layers[at])
    picture.manifest = picture.manifest.replace(old.encode(), digest(blob).encode()).replace(
        b'"size": %d}]' % len(picture.layers[at]), b'"size": %d}]' % len(blob))
    picture.layers[at] = blob
    picture.digest = digest(picture.manifest)


def many_entries(n):
    """A tar of @n empty files, one name each."""
    head = bytearray(tarfile.TarInfo("0" * 11).tobuf(tarfile.USTAR_FORMAT))
    rest = sum(head) - sum(head[148:156]) + 8 * 32 - sum(head[:11])
    before, after = bytes(head[11:148]), bytes(head[156:512])
    parts = []
    for i in range(n):
        name = b"%03d/%07d" % (i // 5000, i)
        parts.append(b"%s%s%06o\0 %s" % (name, before, rest + sum(name), after))
    return b"".join(parts) + bytes(1024)


def test_a_million_entries(world):
    """As many as a layer may have are fine; one more is too much."""
    puller, r, _ = world
    tar = many_entries(1_000_001)
    refuse(world, tar, "too many entries", "limit")
    fine = Picture([tar[:-1024 - 512] + bytes(1024)])
    r.add(fine, "million")
    assert puller.good(f"{r.host}/a:million").last["downloaded_layers"] == 1


def test_too_deep_and_too_long(world):
    refuse(world, archive(lambda t: file(t, "d/" * 200 + "f", b"x")), "too long or too deep", "limit")
    refuse(world, archive(lambda t: file(t, "n" * 256, b"x")), "too long or too deep", "limit")
    refuse(world, archive(lambda t: file(t, "/".join(["n" * 200] * 21), b"x")), "too long", None)
    refuse(world, archive(lambda t: symlink(t, "l", "t" * 5000)), "too long", None)
    refuse(world, archive(lambda t: file(t, "x", b"", pax_headers={f"SCHILY.xattr.user.{i}": "v" for i in range(65)})),
           "attributes", "limit")
    refuse(world, archive(lambda t: file(t, "x", b"", pax_headers={"SCHILY.xattr.user.x": "v" * 300_000})), "attributes", "limit")
    refuse(world, archive(lambda t: file(t, "x", b"", pax_headers={"comment": "c" * (2 << 20)})), "header too long", "limit")


def sized(size):
    """A header that announces @size bytes which do not come."""
    info = tarfile.TarInfo("f")
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def test_sizes_that_lie(world):
    refuse(world, sized(1 << 62), "too large", "limit")
    refuse(world, sized(1 << 45), "too large", "limit")
    refuse(world, sized(1 << 30) + bytes(4096), "ends inside an entry", "protocol")
    sparse = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "f", "GNU.sparse.realsize": str(1 << 50)}
    body = b"1\n0\n0\n".ljust(512, b"\0")
    refuse(world, archive(lambda t: file(t, "f", body, pax_headers=sparse)), "too large", "limit")
    body = b"1\n1000\n100\n".ljust(512, b"\0") + bytes(512)
    refuse(world, archive(lambda t: file(t, "f", body, pax_headers={**sparse, "GNU.sparse.realsize": "50"})), "sparse map", "protocol")
    body = b"99999999\n".ljust(512, b"\0")
    refuse(world, archive(lambda t: file(t, "f", body, pax_headers={**sparse, "GNU.sparse.realsize": "50"})), "sparse map", "limit")


# Damage.

def test_truncated_and_garbled_layers(world):
    """With the right digest: it is the image's builder who lies."""
    body = gzip.compress(archive(lambda t: file(t, "f", random.randbytes(100_000))), mtime=0)
    flipped = bytearray(body)
    flipped[len(body) // 2] ^= 1
    for evil, why in ((body[:-1], "ends in the middle"), (body[:len(body) // 2], "ends in the middle"), (body[:5], ""),
                      (bytes(flipped), ""), (body + b"garbage" * 10, "damaged"), (os.urandom(5000), "no valid tar"),
                      (b"\x1f\x8b" + bytes([9]) * 5000, ""), (b"\x28\xb5\x2f\xfd" + bytes([255]) * 5000, ""),
                      (b"<html>not found</html>" * 100, "no valid tar")):
        picture = Picture([SHARED, INNOCENT, b"x"])
        replace_layer(picture, 2, evil)
        refuse(world, picture, why, "protocol")


def test_two_archives_under_one_digest(world, tmp_path):
    """The first end of the archive is its end, for us as for others."""
    puller, r, _ = world
    first, second = archive(lambda t: file(t, "a", b"1")), archive(lambda t: file(t, "a", b"2"))
    r.add(Picture([first + second]), "twice")
    got = puller.good(f"{r.host}/a:twice").last
    run("fsck.erofs", f"--extract={tmp_path}/tree", puller.disk(got["digest"], tmp_path / "disk"))
    assert (tmp_path / "tree" / "a").read_bytes() == b"1"
