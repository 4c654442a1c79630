# SPDX-License-Identifier: Apache-2.0
"""Debian's docker-registry in every way it can be run, filled by skopeo and buildah: pull, pull again, share layers."""

import contextlib
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from puller import Puller  # noqa: E402
from registry import DOCKER_REGISTRY, LAYER, Authority, Picture, Registry, TokenServer, digest, run, tar_of  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not DOCKER_REGISTRY or not shutil.which("skopeo"), reason="docker-registry or skopeo is missing"),
    pytest.mark.skipif(os.geteuid() != 0, reason="buildah needs root without user name spaces"),
    pytest.mark.skipif(not shutil.which("buildah"), reason="buildah is missing"),
]
ANN = {"ann": "se:cret"}
BASE = Picture([tar_of({"etc/name": b"base\n", "big": os.urandom(700_000)}), tar_of({"second": b"s" * 5000})])


@pytest.fixture(params=["plain", "basic", "token", "tls", "tls-basic", "tls-token"])
def registry(request, tmp_path):
    """(the registry, what a pull needs to know of it)"""
    kind = request.param
    with contextlib.ExitStack() as stack:
        authority = Authority(tmp_path / "ca") if kind.startswith("tls") else None
        tokens = stack.enter_context(TokenServer(tmp_path / "tokens", ANN)) if kind.endswith("token") else None
        users = ANN if tokens or kind.endswith("basic") else None
        know = {"ca_file": str(authority.ca)} if authority else {}
        if users:
            know["auth"] = {"username": "ann", "password": "se:cret"}
        yield stack.enter_context(Registry(tmp_path / "r", users, authority, tokens)), know


class Buildah:
    """buildah with a storage of its own."""

    def __init__(self, where, registry):
        self.argv = ["buildah", "--root", where / "root", "--runroot", where / "run", "--storage-driver", "vfs"]
        self.creds = ["--creds", registry.creds()] if registry.users else []
        self.env = {**os.environ, "XDG_DATA_HOME": str(where / "data"), "HOME": str(where), "BUILDAH_ISOLATION": "chroot"}

    def __call__(self, verb, *args):
        far = [*self.creds, "--tls-verify=false"] if verb in ("from", "push") else []
        return run(*self.argv, verb, *far, *args, env=self.env).strip()


def blobs_asked(registry):
    return [line for line in registry.requests() if "/blobs/" in line and '"GET ' in line.replace("\\", "")]


def test_pull_again_and_share(tmp_path, registry):
    r, know = registry
    puller = Puller(tmp_path / "user")
    r.push(BASE.write_layout(tmp_path / "base"), "team/base:1")
    first = puller.good(f"{r.host}/team/base:1", **know).last
    assert first["digest"] == BASE.digest and first["downloaded_layers"] == 2
    assert first["downloaded_bytes"] == sum(map(len, BASE.layers))
    run("fsck.erofs", puller.disk(first["digest"], tmp_path / "first"))

    asked = len(blobs_asked(r))
    assert asked == 3, "two layers and the configuration"
    again = puller.good(f"{r.host}/team/base:1", **know).last
    assert again["downloaded_layers"] == again["downloaded_bytes"] == 0
    assert len(blobs_asked(r)) == asked, "no blob was asked for"

    # Built upon it, by another program, in Docker's format.
    buildah = Buildah(tmp_path / "buildah", r)
    container = buildah("from", f"docker://{r.host}/team/base:1")
    (tmp_path / "new").write_bytes(os.urandom(50_000))
    buildah("add", container, tmp_path / "new", "/opt/new")
    buildah("config", "--cmd", "/opt/new", "--env", "A=b", container)
    buildah("commit", "--format", "docker", container, "derived")
    buildah("push", "derived", f"docker://{r.host}/team/derived:1")
    second = puller.good(f"{r.host}/team/derived:1", **know)
    image = puller.image(second.last["digest"])
    manifest = json.loads((image / "manifest.json").read_text())
    assert manifest["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    layers = [d["digest"] for d in manifest["layers"]]
    assert layers[:2] == [digest(b) for b in BASE.layers] and len(layers) == 3
    assert {e["digest"] for e in second.of("layer", state="exists")} == set(layers[:2])
    assert second.last["downloaded_layers"] == 1 and second.last["downloaded_bytes"] == manifest["layers"][2]["size"]
    run("fsck.erofs", puller.disk(second.last["digest"], tmp_path / "second"))
    assert not puller.parts() and not puller.leftovers()
    if r.tokens:
        assert ("ann", ["repository:team/base:pull"]) in r.tokens.seen


def test_strangers(tmp_path, registry):
    """Without what the registry wants there is nothing, and the reason names what is missing."""
    r, know = registry
    puller = Puller(tmp_path / "user")
    ref = f"{r.host}/team/base:1"
    r.push(BASE.write_layout(tmp_path / "base"), "team/base:1")
    if r.authority:
        puller.refused(ref, "--ca-certs", **{**know, "ca_file": None})
    if r.users:
        puller.refused(ref, f"msb registry login {r.host}", kind="permission", **{**know, "auth": None})
        puller.refused(ref, "refuses the credentials", **{**know, "auth": {"username": "ann", "password": "x"}})
        login = {"op": "login", "host": r.host, "policy": None}
        assert puller.pull(None, **{**know, **login}).code == 0
        assert puller.pull(None, **{**know, **login, "auth": {"username": "ann", "password": "x"}}).code == 1
    if r.tokens:
        r.push(BASE.write_layout(tmp_path / "public"), "public/base:1")
        assert puller.good(f"{r.host}/public/base:1", **{**know, "auth": None}).last["downloaded_layers"] == 2
    else:
        puller.good(ref, **know)


def test_formats(tmp_path, registry):
    """zstd instead of gzip, Docker's manifest (skopeo converts): what comes out is the same."""
    r, know = registry
    layout = BASE.write_layout(tmp_path / "base")
    zstd = Picture(BASE.tars, compress="zstd").write_layout(tmp_path / "zstd-layout")
    disks = set()
    media_types = {"oci": LAYER + "+gzip", "zstd": LAYER + "+zstd", "v2s2": "application/vnd.docker.image.rootfs.diff.tar.gzip"}
    for name, options in {"oci": [], "zstd": [], "v2s2": ["--format=v2s2"]}.items():
        r.push(zstd if name == "zstd" else layout, f"{name}:1", *options)
        puller = Puller(tmp_path / name)
        got = puller.good(f"{r.host}/{name}:1", **know).last
        manifest = json.loads((puller.image(got["digest"]) / "manifest.json").read_text())
        assert {d["mediaType"] for d in manifest["layers"]} == {media_types[name]}
        disks.add(digest(puller.disk(got["digest"], tmp_path / f"{name}.disk").read_bytes()))
    assert len(disks) == 1
