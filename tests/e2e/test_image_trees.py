# SPDX-License-Identifier: Apache-2.0
"""Images with every oddity, from a registry into a guest: it sees what umoci unpacks, and what the layers say."""

import ast
import io
import os
import random
import shutil
import sys
import tarfile
import time
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "lib"), str(TESTS / "integration")]

import offline
import trees
from registry import DOCKER_REGISTRY, Hostile, Picture, Registry, run
from trees import Layout, directory, file, hardlink, opaque, symlink, whiteout

BUSYBOX = Path("/bin/busybox")
TOPS = [b"R", b"S", b"usr/sbin", b"var"]
GUEST = (TESTS / "lib" / "trees.py").read_text() + f"\nprint({{top: tree(b'/' + top) for top in {TOPS!r}}})\n"
NAMES = [b"\xff\xfe", b"new\nline", b"\x1b[31m", b"-rf", b" ", b"x" * 255, "\u202eexe".encode(), b"...", b"\\"]


def odd(t):
    """Below S: names, hard links across directories, attributes, devices, holes."""
    directory(t, "S", mode=0o1777)
    for i, name in enumerate(os.fsdecode(n) for n in NAMES):
        file(t, f"S/f/{name}", b"%d" % i * 1000, uid=i, gid=70000 + i, mtime=i * 1000)
        hardlink(t, f"S/h/{name}", f"S/f/{name}")
        symlink(t, f"S/l/{name}", name)
    for kind, number in ((b"3", (4095, 1048575)), (b"4", (8, 300)), (b"6", (0, 0))):
        trees.entry(t, f"S/device{number[0]}", kind, devmajor=number[0], devminor=number[1], mode=0o640)
    file(t, "S/suid", b"x" * 10_000, mode=0o6755)
    file(t, "S/holes", b"a" * 5000 + bytes(1 << 20) + b"z")
    directory(t, "S/old", mtime=1)
    file(t, "S/old/1", b"1")
    directory(t, "S/opaque")
    file(t, "S/opaque/old", b"old")


def attributes(t):
    """Of the layer above, which also takes something away."""
    value = {"SCHILY.xattr.user.note": "value", "SCHILY.xattr.trusted.t": "for root"}
    file(t, "S/xattrs", b"x", pax_headers=value)
    directory(t, "S/xdir", pax_headers=value)
    whiteout(t, "S/old/1")
    file(t, "S/old/2", b"2")
    hardlink(t, "S/later", f"S/f/{os.fsdecode(NAMES[0])}")
    opaque(t, "S/opaque")
    file(t, "S/opaque/new", b"new")


@pytest.mark.skipif(os.geteuid() != 0, reason="unpacking with owners needs root")
@pytest.mark.skipif(not shutil.which("umoci"), reason="umoci is missing")
@pytest.mark.skipif(not DOCKER_REGISTRY or not shutil.which("skopeo"), reason="docker-registry or skopeo is missing")
def test_the_guest_sees_what_umoci_unpacks(msb, tmp_path):
    from test_trees import random_layer
    try:
        archive = offline.image("python")
    except offline.Missing as e:
        pytest.skip(str(e))
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    choice = random.Random(seed)
    run("skopeo", "copy", "-q", f"oci-archive:{archive}", f"oci:{tmp_path}/layout:x")
    image = Layout(tmp_path, tmp_path / "layout", "x")
    for fill in [odd, attributes] + [random_layer(choice) for _ in range(8)]:
        image.add(fill, encoding="utf-8", errors="surrogateescape")
    begin = time.time_ns()
    reference = os.fsencode(image.reference())
    with Registry(tmp_path / "r") as r:
        r.push(f"{image.layout}:x", "odd:1")
        ref = f"{r.host}/odd:1"
        text = msb.out("-q", "-m", "1G", ref, "--", "python3", "-", input=GUEST.encode())
        asked = len(r.requests())
        assert msb.out("-q", "-m", "1G", ref, "--", "cat", "/S/old/2") == "2"
        assert len(r.requests()) == asked, "what is here is not asked for"
    got = ast.literal_eval(text)
    for top in TOPS:
        trees.same_listing(trees.tree(os.path.join(reference, top)), got[top], begin, image.blobs()[0], top)
    assert got[b"S"][b"later"]["nlink"] == 3 and b"old/1" not in got[b"S"] and b"opaque/old" not in got[b"S"]


# The same without other programs, so that it runs wherever an engine does.

def layer(fill):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape") as t:
        fill(t)
    return out.getvalue()


def below(tree, path):
    return [p for p in tree if p == path or p.startswith(path + "/")]


def entries(tar):
    """[(path, member, contents)]"""
    with tarfile.open(fileobj=io.BytesIO(tar), encoding="utf-8", errors="surrogateescape") as t:
        return [(m.name.strip("/"), m, t.extractfile(m).read() if m.isreg() else b"") for m in t]


def applied(layers):
    """The tree that layers make, each on those before it, by the words of the OCI specification: {path: [member, contents]}"""
    tree = {}
    for tar in layers:
        found = entries(tar)
        for path, _, _ in found:
            where, base = os.path.split(path)
            gone = below(tree, os.path.join(where, base[4:])) if base.startswith(".wh.") else []
            if base == ".wh..wh..opq":
                gone = [p for p in below(tree, where) if p != where]
            for p in gone:
                del tree[p]
        for path, m, data in found:
            if os.path.basename(path).startswith(".wh."):
                continue
            if not (m.isdir() and path in tree and tree[path][0].isdir()):
                for p in below(tree, path):
                    del tree[p]
            parent = os.path.dirname(path)
            while parent and parent not in tree:
                made = tarfile.TarInfo(parent)
                made.type, made.mode = tarfile.DIRTYPE, 0o755
                tree[parent] = [made, b""]
                parent = os.path.dirname(parent)
            tree[path] = tree[m.linkname] if m.islnk() else [m, data]
    return tree


def facts(node):
    m, data = node
    device = (m.devmajor, m.devminor) if m.ischr() or m.isblk() else None
    return (m.type, m.mode if not m.issym() else None, m.uid, m.gid, int(m.mtime), m.linkname if m.issym() else None, device, data)


def names_of(tree):
    """Which paths are one file."""
    groups = {}
    for path, node in tree.items():
        groups.setdefault(id(node), set()).add(path)
    return {frozenset(g) for g in groups.values()}


def test_layers_as_they_are_written(msb):
    busybox = layer(lambda t: (file(t, "bin/busybox", BUSYBOX.read_bytes(), mode=0o755), symlink(t, "bin/sh", "busybox")))
    layers = [layer(odd), layer(attributes)]
    changes = [
        lambda t: (directory(t, "R"), [file(t, f"R/{a}/{b}", (a + b).encode() * 700) for a in "abc" for b in "xyz"]),
        lambda t: (whiteout(t, "R/a"), file(t, "R/b", b"a file now"), directory(t, "R/c"), opaque(t, "R/c"), file(t, "R/c/n", b"n")),
        lambda t: (file(t, "R/a/again", b"again"), whiteout(t, "R/b"), directory(t, "R/b"), file(t, "R/b/dir", b"again a directory")),
        lambda t: (whiteout(t, "R/a/again"), file(t, "R/a/again", b"this one stays"), whiteout(t, "R/nothing"))]
    layers += [layer(c) for c in changes]
    with Hostile() as r:
        r.add(Picture([busybox, *layers], config={"Cmd": ["/bin/busybox", "tar", "-C", "/", "-cf", "-", "S", "R"]}), "1")
        result = msb.run("-q", f"{r.host}/odd:1")
    assert result.returncode == 0, result.stderr.decode(errors="replace")
    want, got = applied(layers), {}
    for path, m, data in entries(result.stdout):
        got[path] = got[m.linkname] if m.islnk() else [m, data]
    assert sorted(got) == sorted(want)
    for path, node in want.items():
        assert facts(got[path]) == facts(node), path
    assert names_of(got) == names_of(want)
    assert len(names_of(want)) < len(want), "there are hard links"
