# SPDX-License-Identifier: Apache-2.0
"""The EROFS writer against fsck.erofs: what goes in comes out, to the last attribute."""

import os
import re
import shutil
import stat
import struct
import subprocess
import sys

import pytest

MKEROFS = os.environ.get("MKEROFS", "build/src/image/mkerofs")

pytestmark = pytest.mark.skipif(
    shutil.which("fsck.erofs") is None, reason="fsck.erofs is missing (package erofs-utils)")


def make_tree(root):
    """A tree with every kind of file, awkward sizes and awkward names."""
    os.makedirs(root / "empty")
    os.makedirs(root / "deep" / "er" / "still")
    many = root / "many"
    many.mkdir()
    for i in range(3000):
        (many / f"{'n' * (i % 200)}-{i}").write_bytes(bytes([i % 251]) * (i % 97))
    sizes = root / "sizes"
    sizes.mkdir()
    for size in (0, 1, 1023, 1024, 1025, 4031, 4032, 4095, 4096, 4097, 8191, 8192, 100_000):
        (sizes / str(size)).write_bytes(os.urandom(size))
    names = root / "names"
    names.mkdir()
    for name in (b"x" * 255, b"\xff\xfe", b" lead", b"new\nline", b"-rf", b"!", b".hidden", b"\x01"):
        fd = os.open(bytes(names) + b"/" + name, os.O_CREAT | os.O_WRONLY)
        os.write(fd, name)
        os.close(fd)
    with open(root / "sparse", "wb") as f:
        f.seek(5_000_000)
        f.write(b"end")
    os.link(root / "sparse", root / "deep" / "hard")
    os.symlink("/etc/passwd", root / "absolute")
    os.symlink("t" * 4000, root / "long")
    os.symlink("../nowhere", root / "deep" / "dangling")
    os.mkfifo(root / "fifo")
    if os.geteuid() == 0:
        os.mknod(root / "chr", stat.S_IFCHR | 0o600, os.makedev(300, 70000))
        os.mknod(root / "blk", stat.S_IFBLK | 0o640, os.makedev(8, 1))
        os.chown(root / "sizes" / "1", 1234, 70000)
    os.chmod(root / "sizes" / "1024", 0o4751)


def listing(root):
    """Every path with all that must survive."""
    out = {}
    root = os.fsencode(root)
    for where, dirs, files in os.walk(root):
        for name in dirs + files:
            path = os.path.join(where, name)
            st = os.lstat(path)
            # Extraction changes the owner last, which clears the set-id bits.
            entry = [st.st_mode & ~0o6000, st.st_uid, st.st_gid]
            rel = os.path.relpath(path, root)
            if stat.S_ISREG(st.st_mode):
                with open(path, "rb") as f:
                    entry.append(f.read())
            if stat.S_ISLNK(st.st_mode):
                entry.append(os.readlink(path))
            if stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
                entry.append(st.st_rdev)
            out[rel] = entry
    return out


def dump(image, path):
    """What dump.erofs says of one file."""
    r = subprocess.run(["dump.erofs", f"--path={path}", image], capture_output=True, text=True, check=True)
    return r.stdout


def stored_mode(image, path):
    """The mode field of the inode, which dump.erofs shows without the set-id bits."""
    nid = int(re.search(r"NID: (\d+)", dump(image, path)).group(1))
    data = image.read_bytes()
    meta_block = struct.unpack_from("<I", data, 1024 + 40)[0]
    return struct.unpack_from("<H", data, meta_block * 4096 + nid * 32 + 4)[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="ownership in an image needs root")
def test_tree_survives(tmp_path):
    # mkerofs makes everything root's with a fixed time, so compare with a root-owned tree.
    source = tmp_path / "in"
    source.mkdir()
    make_tree(source)
    image = tmp_path / "image"
    subprocess.run([MKEROFS, source, image], check=True)
    check = subprocess.run(["fsck.erofs", image], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr
    subprocess.run(["fsck.erofs", f"--extract={tmp_path / 'out'}", "--preserve", image], check=True,
                   capture_output=True)
    want = listing(source)
    for entry in want.values():
        entry[1] = entry[2] = 0
    got = listing(tmp_path / "out")
    assert sorted(got) == sorted(want)
    for rel, entry in want.items():
        assert got[rel] == entry, rel

    # What extraction loses is asked of the image itself.
    nids = {re.search(r"NID: (\d+) +Links: 2 ", dump(image, p)).group(1) for p in ("/sparse", "/deep/hard")}
    assert len(nids) == 1
    assert stored_mode(image, "/sizes/1024") == stat.S_IFREG | 0o4751


def test_same_tree_same_image(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    (source / "f").write_text("content")
    images = []
    for name in ("a", "b"):
        subprocess.run([MKEROFS, source, tmp_path / name], check=True)
        images.append((tmp_path / name).read_bytes())
    assert images[0] == images[1]


def test_unreadable_directory_is_named(tmp_path):
    r = subprocess.run([MKEROFS, tmp_path / "missing", tmp_path / "image"], capture_output=True, text=True)
    assert r.returncode == 1
    assert "missing: No such file or directory" in r.stderr


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
