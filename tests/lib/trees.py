# SPDX-License-Identifier: Apache-2.0
"""Images made for a purpose, unpacked by umoci and by msb-layer, and the comparison of the two trees.

Usage: `image = Image(tmp)`, `image.add(fill)` for each layer, `compare(image, tmp)`. What we made is looked at as the Linux
kernel mounts it, and fsck.erofs has to agree with it, too.
"""

import fcntl
import hashlib
import io
import json
import os
import shutil
import stat
import struct
import subprocess
import tarfile
import time

LAYER = os.environ.get("MSB_LAYER", "build/src/image/msb-layer")
RESULT = struct.Struct("<iI400s65s7sQQQ")
SAMPLE = 64 << 20  # larger files are read where they have data, and in places where they have none


def have_erofs():
    """The module may come only with the first mount."""
    subprocess.run(["modprobe", "-q", "erofs"], check=False) if shutil.which("modprobe") else None
    return "erofs" in open("/proc/filesystems").read()


def missing():
    """Why trees cannot be compared here, or None."""
    if os.geteuid() != 0:
        return "comparing ownership needs root"
    for tool in ("umoci", "fsck.erofs"):
        if not shutil.which(tool):
            return f"{tool} is missing"
    return None if have_erofs() else "this kernel cannot mount EROFS"


def run(*argv):
    r = subprocess.run([str(a) for a in argv], capture_output=True, text=True, errors="replace", check=False)
    assert r.returncode == 0, f"{argv}: {r.stderr}"
    return r.stdout


# msb-layer, as msb-pull starts it.

def fcntl_dup(fd, minimum):
    new = fcntl.fcntl(fd, fcntl.F_DUPFD, minimum)
    os.close(fd)
    os.set_inheritable(new, True)
    return new


def spawn(job, fds, stdin):
    """Runs the worker with descriptors at the numbers of worker.h; its result."""
    read, write = os.pipe()
    # Dup everything high first so that no target number is still needed as a source.
    high = {target: os.dup(fd) for target, fd in {**fds, 3: write}.items()}
    base = max([*high.values(), 64]) + 1
    high = {t: fcntl_dup(fd, base) for t, fd in high.items()}

    def place():
        for target, fd in high.items():
            os.dup2(fd, target)

    p = subprocess.Popen([LAYER, job], stdin=stdin, preexec_fn=place, close_fds=False)
    for fd in high.values():
        os.close(fd)
    os.close(write)
    data = b""
    while chunk := os.read(read, 65536):
        data += chunk
    os.close(read)
    code = p.wait()
    assert len(data) == RESULT.size, f"worker ended with {code}"
    error, kind, text, diff_id, compression, entries, data_bytes, tar_bytes = RESULT.unpack(data)
    return {"error": error, "text": text.split(b"\0")[0].decode(), "diff_id": diff_id.split(b"\0")[0].decode(),
            "compression": compression.split(b"\0")[0].decode(), "entries": entries, "data_bytes": data_bytes, "code": code}


def recipe(data):
    return f"{data}.recipe"


def unpack(blob, data, index):
    fds = {fd: os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC) for fd, path in ((4, data), (5, index), (6, recipe(data)))}
    with open(blob, "rb") as f:
        r = spawn("unpack", fds, f)
    for fd in fds.values():
        os.close(fd)
    return r


def merge(layers, meta):
    """@layers: (data, index) paths."""
    fds = {4: os.open(meta, os.O_RDWR | os.O_CREAT | os.O_TRUNC)}
    head = struct.pack("<I", len(layers))
    for i, (data, index) in enumerate(layers):
        fds[5 + i] = os.open(index, os.O_RDONLY)
        head += struct.pack("<Q", os.path.getsize(data) // 4096)
    read, write = os.pipe()
    os.write(write, head)
    os.close(write)
    r = spawn("merge", fds, read)
    os.close(read)
    for fd in fds.values():
        os.close(fd)
    return r


def extents(f):
    """(offset, end) of what is no hole."""
    size = os.fstat(f.fileno()).st_size
    at = 0
    while at < size:
        try:
            begin = os.lseek(f.fileno(), at, os.SEEK_DATA)
        except OSError:
            return
        at = os.lseek(f.fileno(), begin, os.SEEK_HOLE)
        yield begin, min(at, size)


def copy_sparse(source, out, at):
    """@source to offset @at of @out, holes as holes; where it ends."""
    with open(source, "rb") as f:
        for begin, end in extents(f):
            while begin < end:
                begin += os.copy_file_range(f.fileno(), out.fileno(), end - begin, begin, at + begin)
        return at + os.fstat(f.fileno()).st_size


def disk(layers, meta, out):
    """The guest's disk, as one file."""
    with open(out, "wb") as f:
        raw = open(meta, "rb").read()
        f.write(raw[:4096])
        f.flush()
        at = 4096
        for data, _ in layers:
            at = copy_sparse(data, f, at)
        f.seek(at)
        f.write(raw[4096:])


class Image:
    """An OCI layout built layer by layer from tar streams."""

    scratch = None  # where umoci unpacks, if not beside the layout

    def __init__(self, tmp):
        self.tmp = tmp
        self.layout = tmp / "layout"
        self.tag = "x"
        self.n = 0
        run("umoci", "init", "--layout", self.layout)
        run("umoci", "new", "--image", f"{self.layout}:x")

    run = staticmethod(run)

    def add(self, fill, fmt=tarfile.PAX_FORMAT, **kw):
        path = self.tmp / f"layer{self.n}.tar"
        self.n += 1
        with tarfile.open(path, "w", format=fmt, **kw) as t:
            fill(t)
        self.add_file(path)

    def add_file(self, path):
        run("umoci", "raw", "add-layer", "--image", f"{self.layout}:{self.tag}", path)

    def blobs(self):
        def blob(digest):
            return self.layout / "blobs" / digest.replace(":", "/")
        index = json.load(open(self.layout / "index.json"))
        manifest = json.load(open(blob(index["manifests"][0]["digest"])))
        config = json.load(open(blob(manifest["config"]["digest"])))
        return [blob(d["digest"]) for d in manifest["layers"]], [d.split(":")[1] for d in config["rootfs"]["diff_ids"]]

    def reference(self):
        # "raw" leaves out the manifest of digests that umoci makes for its own use.
        rootfs = (self.scratch or self.tmp) / "rootfs"
        run("umoci", "raw", "unpack", "--image", f"{self.layout}:{self.tag}", rootfs)
        return rootfs

    def ours(self):
        layers = []
        blobs, diff_ids = self.blobs()
        for i, blob in enumerate(blobs):
            pair = (self.tmp / f"data{i}", self.tmp / f"index{i}")
            r = unpack(blob, *pair)
            assert r["error"] == 0, r["text"]
            assert r["diff_id"] == diff_ids[i]
            layers.append(pair)
        r = merge(layers, self.tmp / "meta")
        assert r["error"] == 0, r["text"]
        disk(layers, self.tmp / "meta", self.tmp / "disk")
        run("fsck.erofs", self.tmp / "disk")
        return self.tmp / "disk"


class Layout(Image):
    """An image that is there already, as an OCI layout."""

    def __init__(self, tmp, layout, tag):
        self.tmp, self.layout, self.tag, self.n = tmp, layout, tag, 0


class InMemory:
    """A directory in memory when there is plenty of it: umoci writes holes in full. Else one on the disk."""

    def __init__(self, where, gib):
        self.where, self.gib = where, gib
        available = int(open("/proc/meminfo").read().split("MemAvailable:")[1].split()[0]) >> 20
        self.mount = available >= gib + 3

    def __enter__(self):
        self.where.mkdir()
        if self.mount:
            run("mount", "-t", "tmpfs", "-o", f"size={self.gib}g", "none", self.where)
        return self.where

    def __exit__(self, *exc):
        if self.mount:
            run("umount", self.where)
        shutil.rmtree(self.where)


class Mounted:
    def __init__(self, image, where):
        self.image, self.where = image, where

    def __enter__(self):
        self.where.mkdir()
        run("mount", "-t", "erofs", "-o", "loop,ro", self.image, self.where)
        return self.where

    def __exit__(self, *exc):
        run("umount", self.where)


# Trees.

def content(path, size):
    """Small files as they are, larger ones by digest, very large ones when two are compared."""
    if size > SAMPLE:
        return None
    with open(path, "rb") as f:
        data = f.read()
    return data if size <= 64 else hashlib.sha256(data).digest()


def tree(root):
    root = os.fsencode(root)
    out = {}
    groups = {}
    for where, dirs, files in os.walk(root):
        for name in [b"", *files, *dirs] if where == root else dirs + files:
            path = os.path.join(where, name) if name else root
            st = os.lstat(path)
            rel = os.path.relpath(path, root)
            entry = {"mode": oct(st.st_mode), "owner": (st.st_uid, st.st_gid), "mtime": st.st_mtime_ns,
                     "xattrs": {n: os.getxattr(path, n, follow_symlinks=False)
                                for n in os.listxattr(path, follow_symlinks=False)}}
            if not stat.S_ISDIR(st.st_mode):
                entry["nlink"] = st.st_nlink
                if st.st_nlink > 1:
                    groups.setdefault(st.st_ino, []).append(rel)
            if stat.S_ISREG(st.st_mode):
                entry["size"] = st.st_size
                entry["data"] = content(path, st.st_size)
            if stat.S_ISLNK(st.st_mode):
                entry["target"] = os.readlink(path)
            if stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
                entry["rdev"] = st.st_rdev
            out[rel] = entry
    for names in groups.values():
        for rel in names:
            out[rel]["same"] = sorted(names)
    return out


def same_large(want, got):
    """Two files of one size: equal wherever either has data, and in samples of the rest."""
    with open(want, "rb") as a, open(got, "rb") as b:
        size = os.fstat(a.fileno()).st_size
        # Digests of strides: every byte of the beginning, the end and around 4 GiB, and samples between.
        places = {*range(0, size, 16 << 20), size - (1 << 20), (4 << 30) - (1 << 20), 4 << 30}
        for f in (a, b):
            runs = list(extents(f))
            if sum(end - begin for begin, end in runs) < SAMPLE:
                places.update(at for begin, end in runs for at in range(begin, end, 1 << 20))
        for at in sorted(p for p in places if 0 <= p < size):
            assert os.pread(a.fileno(), 1 << 20, at) == os.pread(b.fileno(), 1 << 20, at), (want, at)


def check_link_counts(root):
    """Directories: one name, ".", and ".." of each child; file systems disagree, so we count."""
    for where, dirs, _ in os.walk(os.fsencode(root)):
        below = sum(not os.path.islink(os.path.join(where, d)) for d in dirs)
        assert os.lstat(where).st_nlink == 2 + below, where


def directory_times(blobs):
    """{path: times that the layers give this directory}"""
    times = {}
    for blob in blobs:
        with tarfile.open(blob) as t:
            for info in t:
                if info.isdir():
                    path = os.path.normpath("./" + info.name).encode(errors="surrogateescape")
                    times.setdefault(path, set()).add(int(info.mtime * 10**9))
    return times


def same_listing(want, got, begin, blobs, top=b"."):
    """Listings of umoci's and of our tree. @begin: when umoci began; @blobs: the layers; @top: where the listings begin."""
    assert sorted(got) == sorted(want)
    now = time.time_ns()
    declared = None
    for rel, entry in want.items():
        if stat.S_ISDIR(int(entry["mode"], 8)) and begin <= entry["mtime"] <= now:
            # umoci leaves some directories the time of the unpacking. Ours have what a layer says, or none.
            declared = declared or directory_times(blobs)
            assert got[rel]["mtime"] in {0, *declared.get(os.path.normpath(os.path.join(top, rel)), [])}, rel
            entry["mtime"] = got[rel]["mtime"]
        assert got[rel] == entry, (rel, {k: (v, got[rel].get(k)) for k, v in entry.items() if got[rel].get(k) != v})


def compare_trees(reference, where, begin, blobs):
    want, got = tree(reference), tree(where)
    same_listing(want, got, begin, blobs)
    # One name of each large file is enough.
    large = {tuple(e.get("same", [rel]))[0]: rel for rel, e in want.items() if e.get("size", 0) > SAMPLE}
    for rel in large.values():
        same_large(os.path.join(os.fsencode(reference), rel), os.path.join(os.fsencode(where), rel))
    check_link_counts(where)
    return want


def compare(image, tmp):
    begin = time.time_ns()
    reference = image.reference()
    with Mounted(image.ours(), tmp / "mnt") as where:
        return compare_trees(reference, where, begin, image.blobs()[0])


# Entries.

def file(t, name, data=b"", **kw):
    i = tarfile.TarInfo(name)
    i.size = len(data)
    i.mtime = kw.pop("mtime", 1700000000)
    i.mode = kw.pop("mode", 0o644)
    for k, v in kw.items():
        setattr(i, k, v)
    t.addfile(i, io.BytesIO(data))


def entry(t, name, kind, **kw):
    i = tarfile.TarInfo(name)
    i.type = kind
    i.mode = kw.pop("mode", 0o755)
    i.mtime = kw.pop("mtime", 1600000000)
    for k, v in kw.items():
        setattr(i, k, v)
    t.addfile(i)


def directory(t, name, **kw):
    entry(t, name, tarfile.DIRTYPE, **kw)


def symlink(t, name, target, **kw):
    entry(t, name, tarfile.SYMTYPE, linkname=target, **kw)


def hardlink(t, name, target):
    entry(t, name, tarfile.LNKTYPE, linkname=target)


def whiteout(t, name):
    where, base = os.path.split(name)
    file(t, os.path.join(where, ".wh." + base))


def opaque(t, name):
    file(t, os.path.join(name, ".wh..wh..opq"))
