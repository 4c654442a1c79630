# SPDX-License-Identifier: Apache-2.0
"""msb load and msb save: archives of docker, skopeo, umoci and our own, there and back."""

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from archives import MSB, Store, archive_of, docker_members, link, oci_members  # noqa: E402
from registry import ARCH, INDEX, MANIFEST, Picture, digest, run, tar_of, zstd  # noqa: E402

needs_skopeo = pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is missing")
BIG = os.urandom(300_000)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "user")


def picture(*more, **kw):
    return Picture([tar_of({"etc/name": b"base\n", "big": BIG, "hole": bytes(200_000)}),
                    *[tar_of({f"f{i}": m}) for i, m in enumerate(more)]], **kw)


def inspect(where):
    return json.loads(run("skopeo", "inspect", where)), run("skopeo", "inspect", "--raw", "--config", where).encode()


def same_trees(store, a, b, tmp_path):
    """Two images have the same file system: our metadata is made of nothing else."""
    disks = [store.disk(d, tmp_path / f"disk{i}").read_bytes() for i, d in enumerate((a, b))]
    assert disks[0] == disks[1]


# Load.

@pytest.mark.parametrize("how", ["plain", "gzip", "zstd"])
@pytest.mark.parametrize("where", ["stdin", "file"])
def test_compressions(store, tmp_path, how, where):
    p = picture(b"one", b"two")
    archive = {"plain": bytes, "gzip": gzip.compress, "zstd": zstd}[how](archive_of(docker_members(p)))
    if where == "file":
        (tmp_path / "a.tar").write_bytes(archive)
        archive = tmp_path / "a.tar"
    assert store.load(archive) == ["pic:1"]
    assert store.config_of("pic", "1") == p.config
    assert store.load(archive_of(oci_members(p))) == ["pic:1"], "the same image from another format"
    assert store.digest_of("pic", "1") == p.digest
    assert len(store.layers()) == 3
    run("fsck.erofs", store.disk(p.digest, tmp_path / "disk"))
    assert not store.leftovers()


def test_any_order_of_members(store):
    p = picture(b"one")
    members = docker_members(p)
    for i in range(len(members)):
        rotated = members[i:] + members[:i]
        shutil.rmtree(store.images, ignore_errors=True)
        assert store.load(archive_of(rotated)) == ["pic:1"]
        shutil.rmtree(store.images)
        assert store.load(archive_of([("./" + n, d) for n, d in rotated], tarfile.PAX_FORMAT)) == ["pic:1"]


def test_layers_that_are_here_are_not_read(store, tmp_path):
    """By diff_id: the archive has them plain, the store has got them compressed. What is not read may be missing."""
    p = picture(b"one", b"two")
    store.load(archive_of(oci_members(p)))
    before = store.layers()
    members = docker_members(p, ["again:1"])
    for i, (name, data) in enumerate(members):
        if data in p.tars:
            members[i] = (name, bytes(len(data)))
    assert store.load(archive_of(members)) == ["again:1"]
    assert store.layers() == before == sorted(digest(b) for b in p.layers)
    same_trees(store, p.digest, store.digest_of("again", "1"), tmp_path)


def test_manifest_depends_on_the_image_alone(store, tmp_path):
    """Made for an archive without one: with compressed layers, with plain ones, with layers that were here."""
    p = picture(b"one")
    seen = set()
    for i, make in enumerate([lambda: docker_members(p, compressed=True), lambda: docker_members(p)] * 2):
        if i < 2:
            shutil.rmtree(store.images, ignore_errors=True)
        store.load(archive_of(make()))
        seen.add(store.digest_of("pic", "1"))
    assert len(seen) == 1


def test_names(store):
    p, q = picture(b"p"), picture(b"q")
    both = docker_members(p, ["one:1", "example.com:5000/team/one:2"])
    other = docker_members(q, ["two"])
    manifest = json.loads(both[-1][1]) + json.loads(other[-1][1])
    members = {**dict(both), **dict(other), "manifest.json": json.dumps(manifest).encode()}
    archive = archive_of(members.items())
    assert store.load(archive, "-t", "mine:3") == ["one:1", "example.com:5000/team/one:2", "mine:3", "two:latest"]
    assert store.digest_of("mine", "3") == store.digest_of("one", "1") != store.digest_of("two", "latest")
    assert store.load(archive, "--quiet") == []
    assert store.config_of("two", "latest") == q.config

    nameless = archive_of(docker_members(p, None))
    store.refused_archive(nameless, "image 1 of the archive has no name; give it one with --tag")
    assert store.load(nameless, "--tag", "given") == ["given:latest"]
    store.refused_archive(nameless, "digest", "--tag", f"x@{p.digest}")
    store.refused_archive(nameless, "no image reference", "--tag", "Not A Name")
    # A word alone may be a tag as well as a name.
    store.refused_archive(archive_of(oci_members(p, names=["latest"])), "has no name")
    store.refused_archive(archive_of(oci_members(p, annotate=False)), "has no name")
    assert store.load(archive_of(oci_members(p, q, names=["a:1", "docker.io/library/b:2"]))) == ["a:1", "b:2"]


def test_docker_25(store):
    """Both formats in one archive; the OCI side has the manifest, names stand in its annotations."""
    p = picture(b"x", compress=None)
    members = dict(oci_members(p))
    index = json.loads(members["index.json"])
    entry = index["manifests"][0]
    names = ["docker.io/library/pic:1", "docker.io/library/pic:2"]
    index["manifests"] = [{**entry, "annotations": {"io.containerd.image.name": n,
                                                    "org.opencontainers.image.ref.name": n[-1]}} for n in names]
    members["index.json"] = json.dumps(index).encode()
    members["manifest.json"] = json.dumps([{"Config": "blobs/sha256/" + digest(p.config)[7:], "RepoTags": ["pic:1", "pic:2"],
                                            "Layers": ["blobs/sha256/" + digest(t)[7:] for t in p.tars]}]).encode()
    assert store.load(archive_of(members.items())) == ["pic:1", "pic:2"]
    assert store.digest_of("pic", "2") == p.digest
    # The docker side alone names the same image.
    del members["index.json"]
    store.load(archive_of(members.items()))
    assert store.config_of("pic", "1") == p.config


def test_platforms(store):
    other = "arm64" if ARCH == "amd64" else "amd64"
    p, foreign = picture(b"ours"), picture(b"theirs", arch=other)

    def entry(q, arch):
        return {"mediaType": MANIFEST, "digest": q.digest, "size": len(q.manifest),
                "platform": {"os": "linux", "architecture": arch}}

    def archive(entries, *extra):
        members = dict(oci_members(p, foreign))
        members["index.json"] = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
        for blob in extra:
            members["blobs/" + digest(blob).replace(":", "/")] = blob
        return archive_of(members.items())

    nested = json.dumps({"schemaVersion": 2, "mediaType": INDEX,
                         "manifests": [entry(foreign, other), entry(p, ARCH),
                                       {**entry(foreign, "unknown"), "platform": {"os": "unknown",
                                                                                 "architecture": "unknown"}}]}).encode()
    name = {"annotations": {"io.containerd.image.name": "docker.io/library/multi:1"}}
    top = {"mediaType": INDEX, "digest": digest(nested), "size": len(nested), **name}
    assert store.load(archive([top], nested)) == ["multi:1"]
    assert store.digest_of("multi", "1") == p.digest
    assert store.load(archive([{**entry(foreign, other), **name}, {**entry(p, ARCH), **name}])) == ["multi:1"]
    assert store.digest_of("multi", "1") == p.digest
    store.refused_archive(archive([{**entry(foreign, other), **name}]), f"image is made for 'linux/{other}'")
    store.refused_archive(archive_of(docker_members(foreign)), f"image is made for 'linux/{other}'")


def legacy_members(p, names, ids=("b" * 64, "a" * 64), **about):
    """What docker before 1.10 wrote; @ids: topmost first."""
    members = []
    for i, (layer_id, tar) in enumerate(zip(ids, reversed(p.tars))):
        parent = {"parent": ids[i + 1]} if i + 1 < len(ids) else {}
        members += [(f"{layer_id}/VERSION", b"1.0"), (f"{layer_id}/layer.tar", tar),
                    (f"{layer_id}/json", json.dumps({"id": layer_id, "created": "2015-01-01T00:00:00Z", "os": "linux",
                                                     "architecture": ARCH, "config": {"Env": ["A=b"]}, **parent,
                                                     **about}).encode())]
    repositories = {}
    for name, tag in names:
        repositories.setdefault(name, {})[tag] = ids[0]
    return [*members, ("repositories", json.dumps(repositories).encode())]


def test_docker_before_1_10(store, tmp_path):
    p = picture(b"old")
    assert store.load(archive_of(legacy_members(p, [("old", "1"), ("old", "2"), ("x/y", "z")]))) == ["old:1", "old:2", "x/y:z"]
    config = json.loads(store.config_of("old", "1"))
    assert config["rootfs"] == {"type": "layers", "diff_ids": [digest(t) for t in p.tars]}
    assert config["config"] == {"Env": ["A=b"]} and len(config["history"]) == 2 and not {"id", "parent"} & set(config)
    store.load(archive_of(docker_members(p)))
    same_trees(store, store.digest_of("old", "2"), store.digest_of("pic", "1"), tmp_path)

    bad = store.refused_archive
    names = [("old", "3")]
    bad(archive_of([("repositories", b"{}"), ("x/layer.tar", b"")]), "it has no images")
    bad(archive_of([("repositories", b'{"a": {"b": "../../etc"}}')]), "no ID")
    bad(archive_of([("repositories", b'{"a": ["b"]}')]), "no list of names")
    bad(archive_of(legacy_members(p, names, parent="a" * 64)), "its own ancestor")
    bad(archive_of(legacy_members(p, names, parent="x")), "a parent that is no ID")
    bad(archive_of(legacy_members(p, [("Bad Name", "1")])), "no image reference")
    bad(archive_of(m for m in legacy_members(p, names) if not m[0].startswith("a")), "it has no file")


def test_links_between_layers(store):
    """Old versions of docker wrote a layer that occurs twice as a link to its first place."""
    same = tar_of({"f": b"x"})
    p = Picture([same, tar_of({"g": b"y"}), same])
    members = docker_members(p)
    manifest = json.loads(members[-1][1])
    manifest[0]["Layers"] = ["a/layer.tar", "b/layer.tar", "c/layer.tar"]
    config = members[-2]
    archive = archive_of([("a/layer.tar", same), ("b/layer.tar", p.tars[1]), link("c/layer.tar", "../a/layer.tar"),
                          config, ("manifest.json", json.dumps(manifest).encode())])
    assert store.load(archive) == ["pic:1"]
    hard = archive_of([("a/layer.tar", same), ("b/layer.tar", p.tars[1]),
                       link("c/layer.tar", "a/layer.tar", tarfile.LNKTYPE), config,
                       ("manifest.json", json.dumps(manifest).encode())])
    assert store.load(hard) == ["pic:1"]


def test_layout_directory(store, tmp_path):
    p = picture(b"x")
    p.write_layout(tmp_path / "layout", "dir:7")
    assert store.load(tmp_path / "layout") == ["dir:7"]
    assert store.digest_of("dir", "7") == p.digest
    (tmp_path / "empty").mkdir()
    store.refused_archive(tmp_path / "empty", "no OCI image layout")
    blob = tmp_path / "layout" / "blobs" / p.digest.replace(":", "/")
    blob.unlink()
    blob.symlink_to("/etc/passwd")
    store.refused_archive(tmp_path / "layout", "cannot read")


@needs_skopeo
@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive"])
def test_from_skopeo(store, tmp_path, transport):
    p = picture(b"one", b"two")
    layout = p.write_layout(tmp_path / "layout")
    out = tmp_path / "skopeo.tar"
    run("skopeo", "copy", "-q", f"oci:{layout}", f"{transport}:{out}:skopeo/made:1")
    assert store.load(out) == ["skopeo/made:1"]
    got = (store.image(store.resolved("docker.io/skopeo/made/@1.json")) / "config.json").read_bytes()
    if transport == "oci-archive":
        assert got == p.config
    assert json.loads(got)["rootfs"]["diff_ids"] == [digest(t) for t in p.tars]


@pytest.mark.skipif(not shutil.which("umoci"), reason="umoci is missing")
def test_from_umoci(store, tmp_path):
    layout = tmp_path / "layout"
    (tmp_path / "t.tar").write_bytes(tar_of({"f": b"x" * 9000}))
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", f"{layout}:v1")
    run("umoci", "raw", "add-layer", "--image", f"{layout}:v1", tmp_path / "t.tar")
    assert store.load(layout, "-t", "umoci:1") == ["umoci:1"]
    run("tar", "-C", layout, "-czf", tmp_path / "layout.tgz", ".")
    assert store.load(tmp_path / "layout.tgz", "-t", "umoci:2") == ["umoci:2"]
    assert store.digest_of("umoci", "1") == store.digest_of("umoci", "2")


# Save.

@needs_skopeo
@pytest.mark.parametrize("fmt", ["docker", "oci"])
def test_there_and_back(store, tmp_path, fmt):
    """Image ID, layers and names survive; others read it; saved again it is the same file."""
    p, q = picture(b"one", b"two"), picture(b"one", b"three")
    store.load(archive_of(oci_members(p, q, names=["a:1", "b:1"])))
    out = store.save(tmp_path / "out.tar", "a:1", "b:1", fmt=fmt)
    again = Store(tmp_path / "other")
    assert again.load(out) == ["a:1", "b:1"]
    assert again.config_of("a", "1") == p.config and again.config_of("b", "1") == q.config
    twice = again.save(tmp_path / "twice.tar", "a:1", "b:1", fmt=fmt)
    assert twice.read_bytes() == out.read_bytes()
    with tarfile.open(out) as t:
        names = t.getnames()
        assert len(names) == len(set(names))
        assert {digest(t.extractfile(m).read()) for m in t} >= {digest(tar) for tar in p.tars + q.tars}
        assert {(m.mtime, m.uid, m.gid, m.mode) for m in t} == {(0, 0, 0, 0o644)}
    same_trees(store, store.digest_of("a", "1"), p.digest, tmp_path)

    one = store.save(tmp_path / "one.tar", "a:1", fmt=fmt)
    about, config = inspect(f"{fmt}-archive:{one}")
    assert about["Architecture"] == ARCH and about["Layers"] == [digest(t) for t in p.tars]
    assert config == p.config
    run("skopeo", "copy", "-q", f"{fmt}-archive:{one}", f"oci:{tmp_path}/copied:x")
    third = Store(tmp_path / "third")
    third.load(tmp_path / "copied", "-t", "a:1")
    third.load(one)
    assert third.config_of("a", "1") == p.config


def test_manifest_survives(store, tmp_path):
    """One of plain layers is written as it came, and another one keeps its notes."""
    p = picture(b"x", compress=None)
    store.load(archive_of(oci_members(p, names=["plain:1"])))
    again = Store(tmp_path / "other")
    again.load(store.save(tmp_path / "o.tar", "plain:1", fmt="oci"))
    assert again.digest_of("plain", "1") == p.digest
    q = picture(b"y")
    q.manifest = json.dumps({**json.loads(q.manifest), "annotations": {"org.example.note": "kept"}}).encode()
    q.digest = digest(q.manifest)
    store.load(archive_of(oci_members(q, names=["noted:1"])))
    again.load(store.save(tmp_path / "o.tar", "noted:1", fmt="oci"))
    manifest = json.loads((again.image(again.digest_of("noted", "1")) / "manifest.json").read_bytes())
    assert manifest["annotations"] == {"org.example.note": "kept"}
    assert [layer["digest"] for layer in manifest["layers"]] == [digest(t) for t in q.tars]


def test_by_digest(store, tmp_path):
    """Without a tag there is no name in the archive."""
    p = picture(b"x")
    store.load(archive_of(oci_members(p)))
    for fmt in ("docker", "oci"):
        out = store.save(tmp_path / "o.tar", f"pic@{p.digest}", fmt=fmt)
        store.refused_archive(out, "no name")
        assert store.load(out, "-t", f"back:{fmt}") == [f"back:{fmt}"]
        assert store.config_of("back", fmt) == p.config


def test_output(store, tmp_path):
    p = picture(b"x")
    store.load(archive_of(docker_members(p)))
    stream = store.msb("save", "pic:1").stdout
    out = store.save(tmp_path / "o.tar", "pic:1")
    assert out.read_bytes() == stream
    # A failure leaves an earlier file alone, and nothing of its own.
    before = sorted(os.listdir(tmp_path))
    r = store.msb("save", "-o", out, "pic:1", "other:1")
    assert r.returncode == 125 and r.stderr == b"msb: no image other:1 here\n"
    assert out.read_bytes() == stream and sorted(os.listdir(tmp_path)) == before
    r = store.msb("save", "-o", "/dev/full", "pic:1")
    assert r.returncode == 125 and b"No space left" in r.stderr
    assert store.msb("save", "-o", "/dev/null", "pic:1").returncode == 0
    assert store.msb("save").returncode == 2
    assert store.msb("save", "--format", "squashfs", "pic:1").returncode == 2
    main, worker = os.openpty()
    for argv in (["save", "pic:1"], ["load"]):
        r = subprocess.run([MSB, *argv], stdin=worker, stdout=worker, stderr=subprocess.PIPE, env=store.env,
                           check=False)
        assert r.returncode == 2 and b"is a terminal" in r.stderr
    os.close(main), os.close(worker)


def test_damaged_store_is_not_saved(store, tmp_path):
    p = picture(b"x")
    store.load(archive_of(docker_members(p)))
    layer = next(d for d in (store.images / "layers").iterdir() if (d / "data").stat().st_size)
    for name, damage in (("data", b"\1"), ("recipe", b"\1")):
        path = layer / name
        good = path.read_bytes()
        path.write_bytes(good[:20] + bytes([good[20] ^ 1]) + good[21:])
        r = store.msb("save", "-o", tmp_path / "o.tar", "pic:1")
        assert r.returncode == 125 and b"damaged layer" in r.stderr and not (tmp_path / "o.tar").exists()
        path.write_bytes(good)
    store.save(tmp_path / "o.tar", "pic:1")


# Harm.

def test_hostile_tar(store, tmp_path):
    p = picture(b"one")
    store.load(archive_of(docker_members(picture(b"before"))))
    good = docker_members(p)
    bad = store.refused_archive
    bad(archive_of([*good, ("../../escape", b"x")]), "leads out of the archive")
    bad(archive_of([*good, good[0]]), "two members of the name")
    bad(archive_of([*good, ("manifest.json", b"[]")]), "two members of the name 'manifest.json'")
    whole = archive_of(good)
    for cut in (100, 700, 5000, len(p.tars[0]) // 2):
        bad(whole[:cut], "")
    bad(gzip.compress(whole)[:-5000], "ends in the middle")
    bad(b"\x1f\x8b" + os.urandom(5000), "cannot decompress")
    bad(os.urandom(5000), "no valid tar")
    bad(b"", "no archive of images")
    bad(archive_of([("etc/passwd", b"x")]), "neither index.json nor manifest.json")
    bad(archive_of((f"m{i}", b"") for i in range(100_001)), "too many members")
    # A size that is only a number.
    head = bytearray(archive_of([("manifest.json", b"x" * 600)]))
    head[124:136] = b"\x80" + (1 << 40).to_bytes(11, "big")
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head[:512])
    bad(bytes(head), "")
    # Links that lead out or in a circle are no files.
    for target in ("../../etc/passwd", "/etc/passwd", "manifest.json", "loop"):
        bad(archive_of([link("manifest.json", target), link("loop", "manifest.json")]), "neither index.json nor")


def test_hostile_documents(store):
    p = picture(b"one")
    good = dict(docker_members(p))
    entry = json.loads(good["manifest.json"])[0]

    def docker(manifest):
        text = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        return archive_of({**good, "manifest.json": text}.items())

    bad = store.refused_archive
    bad(docker(b"{"), "manifest.json: line 1")
    bad(docker({}), "no list of images")
    bad(docker([]), "no list of images")
    bad(docker([{**entry, "Config": 5}]), "'Config' must be a string")
    bad(docker([{**entry, "Config": "../../etc/passwd"}]), "it has no file")
    bad(docker([{**entry, "Layers": entry["Layers"][:1]}]), "has 1 layers but a configuration for 2")
    bad(docker([{**entry, "Layers": [entry["Layers"][0]] * 600}]), "at most 512")
    bad(docker([{**entry, "Layers": entry["Layers"][::-1]}]), "the image configuration says")
    bad(docker([{**entry, "Layers": ["nowhere", "nothing"]}]), "it has no file 'nowhere'")
    bad(docker([{**entry, "RepoTags": ["../../x"]}]), "no image reference")
    bad(docker([{**entry, "RepoTags": ["x:1\n\x1b[2J"]}]), "no image reference")
    bad(docker([entry] * 1025), "more than 1024 images")
    bad(docker([{**entry, "RepoTags": [f"a:{i}" for i in range(5000)]}]), "more than 4096 names")
    bad(docker(b" " * (5 << 20)), "at most 4194304")
    large = json.dumps({**json.loads(p.config), "comment": "x" * (4_000_000)}).encode()
    bad(archive_of({**good, "c": large, "manifest.json": json.dumps([{**entry, "Config": "c"}] * 40).encode()}.items()),
        "more than 64 MiB of manifests and configurations")
    bad(docker(b"[" * 100_000), "manifest.json")
    bad(docker([entry] * 40_000), "manifest.json")
    bad(archive_of({**good, entry["Config"]: p.config.replace(b"A=b", b"A=c")}.items()), "wrong digest")
    bad(archive_of({**good, entry["Layers"][1]: b"no tar at all" * 100}.items()), "layer")

    oci = dict(oci_members(p))

    def layout(**change):
        members = {**oci, **{k.replace("__", "/"): v for k, v in change.items() if v is not None}}
        return archive_of((k, v) for k, v in members.items())

    top = json.loads(oci["index.json"])
    blob = "blobs/sha256/"
    many = json.dumps({**top, "manifests": top["manifests"] * 100_000}).encode()
    bad(layout(**{"index.json": many}), "")
    bad(layout(**{"index.json": json.dumps({**top, "manifests": top["manifests"] * 1025}).encode()}), "at most 1024")
    bad(layout(**{"index.json": json.dumps({**top, "manifests": []}).encode()}), "no list of images")
    bad(layout(**{blob + p.digest[7:]: p.manifest + b" "}), "manifest has the wrong digest")
    bad(layout(**{blob + digest(p.config)[7:]: p.config + b" "}), "image configuration has the wrong digest")
    layer = bytearray(p.layers[1])
    layer[-1] ^= 1
    bad(layout(**{blob + digest(p.layers[1])[7:]: bytes(layer)}), "wrong digest")
    bad(layout(**{blob + digest(p.layers[1])[7:]: bytes(layer[:-1])}), "another size")
    # Right digest, wrong diff_id.
    liar = picture(b"one")
    liar.config = liar.config.replace(digest(liar.tars[1]).encode(), digest(b"other").encode())
    manifest = json.loads(liar.manifest)
    manifest["config"] = {**manifest["config"], "digest": digest(liar.config), "size": len(liar.config)}
    liar.manifest = json.dumps(manifest).encode()
    liar.digest = digest(liar.manifest)
    bad(archive_of(oci_members(liar)), "the image configuration says")
    # Indexes in indexes without end.
    deep, members = (MANIFEST, p.digest, p.manifest), dict(oci)
    for _ in range(6):
        text = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {"mediaType": deep[0], "digest": deep[1], "size": len(deep[2])}]}).encode()
        deep = (INDEX, digest(text), text)
        members[blob + deep[1][7:]] = text
    members["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [
        {"mediaType": INDEX, "digest": deep[1], "size": len(deep[2]),
         "annotations": {"io.containerd.image.name": "deep:1"}}]}).encode()
    bad(archive_of(members.items()), "nested too deep")


def test_bombs(store, tmp_path):
    """Zeroes do not fill the disk, and layers are no archives of layers."""
    p = picture(b"x")
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as t:
        info = tarfile.TarInfo("zeroes")
        info.size = 1 << 30
        t.addfile(info, open("/dev/zero", "rb"))
    bomb = Picture([gzip.compress(inner.getvalue(), 1)], compress=None)
    archive = archive_of([(n, d) for n, d in docker_members(bomb)])
    # Two times compressed: the layer unpacks to what the configuration does not say.
    store.refused_archive(archive, "the image configuration says")
    used = int(run("du", "-sk", store.images).split()[0])
    assert used < 20_000, used
    store.load(archive_of(docker_members(p)))


def test_a_second_image_fails(store):
    """All or nothing: no name changes when a later image of the archive is bad."""
    p, q = picture(b"p"), picture(b"q")
    store.load(archive_of(docker_members(p, ["name:1"])))
    members = dict(oci_members(q, picture(b"r"), names=["name:1", "other:1"]))
    name = "blobs/sha256/" + digest(picture(b"r").layers[1])[7:]
    members[name] = members[name][:-1] + bytes([members[name][-1] ^ 1])
    store.refused_archive(archive_of(members.items()), "wrong digest")
    assert store.config_of("name", "1") == p.config
