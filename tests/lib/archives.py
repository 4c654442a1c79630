# SPDX-License-Identifier: Apache-2.0
"""Archives of images for tests, and `msb load` and `msb save` on a store of their own."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from puller import BUILD, Puller, program  # noqa: E402
from registry import digest  # noqa: E402

MSB = Path(os.environ.get("MSB") or BUILD / "src/cli/msb").resolve()
ARCHIVE = program("MSB_ARCHIVE", "msb-archive", "src/image/archive/msb-archive")


def archive_of(members, fmt=tarfile.GNU_FORMAT):
    """A tar of @members: (name, bytes or TarInfo) pairs, in this order."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt) as t:
        for name, data in members:
            if isinstance(data, tarfile.TarInfo):
                t.addfile(data)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return name, info


def docker_members(picture, names=("pic:1",), compressed=False):
    """What `docker save` made before version 25."""
    config = digest(picture.config)[7:] + ".json"
    blobs = picture.layers if compressed else picture.tars
    files = [f"{digest(t)[7:]}/layer.tar" for t in picture.tars]
    manifest = [{"Config": config, "RepoTags": list(names) if names else None, "Layers": files}]
    return [*zip(files, blobs), (config, picture.config), ("manifest.json", json.dumps(manifest).encode())]


def oci_members(*pictures, names=None, annotate=True):
    """An OCI image layout; @names: one for each picture."""
    entries, members = [], {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    for i, p in enumerate(pictures):
        entry = {"mediaType": json.loads(p.manifest)["mediaType"], "digest": p.digest, "size": len(p.manifest)}
        if annotate:
            entry["annotations"] = {"org.opencontainers.image.ref.name": (names or [f"pic:{n}" for n in range(1, 99)])[i]}
        entries.append(entry)
        for name, blob in {**p.blobs(), p.digest: p.manifest}.items():
            members["blobs/" + name.replace(":", "/")] = blob
    members["index.json"] = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    return list(members.items())


class Store(Puller):
    def __init__(self, where):
        super().__init__(where)
        (self.lib / "msb-archive").symlink_to(ARCHIVE)
        self.where = where
        self.env.update(MSB_HOME=str(self.home), MSB_LIB=str(self.lib))

    def msb(self, *argv, stdin=b"", **kw):
        return subprocess.run([MSB, *map(str, argv)], input=stdin, capture_output=True, env=self.env, timeout=300,
                              check=False, **kw)

    def load(self, archive, *options):
        """@archive: bytes for standard input, or a path. The names that were loaded."""
        r = self.try_load(archive, *options)
        assert r.returncode == 0, r.stderr
        return [line.removeprefix("Loaded image: ") for line in r.stdout.decode().splitlines()]

    def try_load(self, archive, *options):
        if isinstance(archive, bytes):
            return self.msb("load", *options, stdin=archive)
        return self.msb("load", "-i", archive, *options)

    def refused_archive(self, archive, why, *options):
        """Not loaded, for this reason, told in one line, from a stream and from a file; the store is as before."""
        before = self.visible()
        path = self.where / "refused.tar"
        sources = [archive]
        if isinstance(archive, bytes):
            path.write_bytes(archive)
            sources.append(path)
        for source in sources:
            r = self.try_load(source, *options)
            text = r.stderr.decode()
            assert r.returncode in (2, 125), text
            assert not r.stdout
            assert why in text, text
            assert text.count("\n") == 1 and text.startswith("msb: "), text
            assert self.visible() == before, "the store is unchanged"
            assert not self.leftovers(), "no work left behind"

    def save(self, out, *refs, fmt="docker"):
        r = self.msb("save", "--format", fmt, "-o", out, *refs)
        assert r.returncode == 0, r.stderr
        assert not r.stdout and not r.stderr
        return out

    def digest_of(self, name, tag):
        return self.resolved(f"docker.io/library/{name}/@{tag}.json")

    def config_of(self, name, tag):
        return (self.image(self.digest_of(name, tag)) / "config.json").read_bytes()
