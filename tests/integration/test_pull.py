# SPDX-License-Identifier: Apache-2.0
"""msb-pull against Debian's docker-registry, and against one that can count, forget and be slow."""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from puller import Puller  # noqa: E402
from registry import (DOCKER_REGISTRY, INDEX, Authority, Hostile, Picture, Registry, digest, run, tar_of)  # noqa: E402
import trees  # noqa: E402
from trees import Image, Mounted, tree  # noqa: E402

needs_registry = pytest.mark.skipif(not DOCKER_REGISTRY or not shutil.which("skopeo"),
                                    reason="docker-registry or skopeo is missing")
LOREM = os.urandom(700_000)


@pytest.fixture
def puller(tmp_path):
    return Puller(tmp_path / "user")


def picture(*more):
    return Picture([tar_of({"etc/name": b"base\n", "big": LOREM}), *[tar_of({f"f{i}": m}) for i, m in enumerate(more)]])


# Debian's registry.

@needs_registry
def test_pull_twice_and_share_layers(tmp_path, puller):
    first, second = picture(b"one"), picture(b"two", b"three")
    with Registry(tmp_path / "r") as r:
        r.push(first.write_layout(tmp_path / "a"), "team/app:1")
        r.push(second.write_layout(tmp_path / "b"), "team/app:2")
        got = puller.good(f"{r.host}/team/app:1")
        assert got.last["digest"] == first.digest and got.last["downloaded_layers"] == 2
        assert got.of("resolve")[0]["layers"] == 2
        assert puller.resolved(f"{r.host}/team/app/@1.json") == first.digest
        assert (puller.image(first.digest) / "manifest.json").read_bytes() == first.manifest
        assert (puller.image(first.digest) / "config.json").read_bytes() == first.config
        run("fsck.erofs", puller.disk(first.digest, tmp_path / "disk"))

        again = puller.good(f"{r.host}/team/app:1")
        assert again.last["downloaded_layers"] == again.last["downloaded_bytes"] == 0
        blobs = [line for line in r.requests() if f"/blobs/{digest(first.layers[0])}" in line]
        assert len(blobs) == 1, "the layer was fetched once"

        other = puller.good(f"{r.host}/team/app:2")
        assert other.last["downloaded_layers"] == 2, "the first layer is shared"
        assert other.last["downloaded_bytes"] == sum(map(len, second.layers[1:]))
        assert [e["digest"] for e in other.of("layer", state="exists")] == [digest(first.layers[0])]
    assert not puller.parts() and not puller.leftovers()


@needs_registry
@pytest.mark.skipif(trees.missing() is not None, reason=str(trees.missing()))
def test_same_tree_as_umoci(tmp_path, puller):
    image = Image(tmp_path)
    image.add(lambda t: t.add("/usr/share/doc/bash", "doc"))
    image.add(lambda t: (t.add("/etc", "etc", recursive=False), t.add("/usr/lib/os-release", "etc/os-release")))
    with Registry(tmp_path / "r") as r:
        r.push(f"{image.layout}:x", "a:1")
        got = puller.good(f"{r.host}/a:1")
    want = tree(image.reference())
    with Mounted(puller.disk(got.last["digest"], tmp_path / "disk"), tmp_path / "mnt") as where:
        have = tree(where)
    want.pop(b"."), have.pop(b".")  # umoci touches the root directory
    assert have == want


@needs_registry
def test_policies(tmp_path, puller):
    p = picture()
    with Registry(tmp_path / "r") as r:
        ref = f"{r.host}/a:1"
        r.push(p.write_layout(tmp_path / "a"), "a:1")
        puller.refused(ref, "pull it first", kind="not_found", policy="never")
        before = len(r.requests())
        assert puller.good(ref, policy="if-missing").last["downloaded_layers"] == 1
        asked = len(r.requests())
        assert asked > before
        for policy in ("if-missing", "never"):
            assert puller.good(ref, policy=policy).last["digest"] == p.digest
        assert len(r.requests()) == asked, "the registry was not asked"
        puller.good(ref)
        assert len(r.requests()) > asked
    # By digest, too, without a registry.
    assert puller.good(f"{r.host}/a@{p.digest}", policy="if-missing").last["digest"] == p.digest


@needs_registry
def test_certificates(tmp_path, puller):
    p = picture()
    authority = Authority(tmp_path / "ca")
    stranger = Authority(tmp_path / "other")
    with Registry(tmp_path / "r", authority=authority) as r:
        ref = f"{r.host}/a:1"
        r.push(p.write_layout(tmp_path / "a"), "a:1")
        puller.refused(ref, "--ca-certs")
        puller.refused(ref, "certificate", ca_file=str(stranger.ca))
        puller.refused(ref, "cannot read the certificates", ca_file=str(tmp_path / "none"))
        puller.refused(ref, "no certificate", ca_file="/etc/hostname")
        assert not r.requests(), "nothing was asked of an unknown server"
        puller.good(ref, ca_file=str(authority.ca))
        puller.good(ref, insecure=True)
        puller.good(ref, hosts={r.host: {"insecure": True}})
        puller.refused(ref, "certificate", hosts={"other.example": {"insecure": True}})

        # Authorities of a host are believed for that host, and beside the others.
        q = picture(b"of the host")
        r.push(q.write_layout(tmp_path / "b"), "b:1")
        ref = f"{r.host}/b:1"
        puller.refused(ref, "certificate", hosts={"other.example": {"ca_file": str(authority.ca)}})
        puller.refused(ref, "cannot read the certificates", hosts={r.host: {"ca_file": str(tmp_path / "none")}})
        puller.good(ref, ca_file=str(stranger.ca), hosts={r.host: {"ca_file": str(authority.ca)}})


@needs_registry
def test_passwords(tmp_path, puller):
    p = picture()
    with Registry(tmp_path / "r", users={"ann": "se:cret"}) as r:
        ref = f"{r.host}/a:1"
        r.push(p.write_layout(tmp_path / "a"), "a:1")
        got = puller.refused(ref, f"msb registry login {r.host}", kind="permission")
        assert "needs a login" in got.text
        wrong = puller.refused(ref, "refuses the credentials", auth={"username": "ann", "password": "hunter2"})
        assert "hunter2" not in json.dumps(wrong.events)
        puller.good(ref, auth={"username": "ann", "password": "se:cret"})
        for password, code in (("se:cret", 0), ("wrong", 1)):
            login = puller.pull(None, op="login", host=r.host, policy=None,
                                auth={"username": "ann", "password": password})
            assert login.code == code
        assert "user name or password" in login.text

        write = {
            puller.home / "registry.json":
                {"version": 1, "hosts": {r.host: {"username": "ann", "password": "se:cret"}}},
            puller.docker / "config.json":
                {"auths": {f"https://{r.host}/v1/": {"auth": base64.b64encode(b"ann:se:cret").decode()}}},
        }
        for path, content in write.items():
            path.write_text(json.dumps(content))
            path.chmod(0o600)
            puller.good(ref)
            path.unlink()
        puller.refused(ref, "needs a login")


# Mirrors, platforms, digests.

def test_mirrors_of_the_default_registry(puller):
    p = picture(b"x")
    with Hostile() as dead, Hostile() as mirror:
        mirror.add(p, "3.12")
        mirrors = [f"http://{dead.host}", f"http://{mirror.host}/proxy/cache/"]
        got = puller.good("python:3.12", hosts={"docker.io": {"mirrors": mirrors}})
        assert got.of("resolve")[0]["from"] == mirror.host
        assert "has no manifest" in got.of("warning")[0]["msg"]
        assert {path for _, path, _, _ in mirror.seen if "manifests" in path} == {
            "/v2/proxy/cache/library/python/manifests/3.12"}
        assert not any("blobs" in path for _, path, _, _ in dead.seen), "layers come from where the manifest came"
    assert puller.resolved("docker.io/library/python/@3.12.json") == p.digest
    puller.refused("python:3", "no mirror", kind="usage", hosts={"docker.io": {"mirrors": ["ftp://x"]}})


def test_a_registry_that_is_not_there(puller):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        # At once: a second attempt would come half a minute later.
        begin = time.monotonic()
        puller.refused(f"127.0.0.1:{closed.getsockname()[1]}/a:1", "a mirror can stand in", limits={"first_wait_ms": 60000})
        assert time.monotonic() - begin < 25


def test_a_mirror_without_the_layer_is_passed_over(puller):
    p = picture(b"x")
    with Hostile() as half, Hostile() as full:
        half.add(p, "1")
        del half.blobs[digest(p.layers[0])]
        full.add(p, "1")
        puller.good("a:1", hosts={"docker.io": {"mirrors": [f"http://{half.host}", f"http://{full.host}"]}})
        # One whose layer is damaged, as well.
    with Hostile() as half, Hostile() as full:
        q = Picture([tar_of({"q": LOREM})])
        half.add(q, "1")
        half.blobs[digest(q.layers[0])] = bytes(len(q.layers[0]))
        full.add(q, "1")
        got = puller.good("a:1", hosts={"docker.io": {"mirrors": [f"http://{half.host}", f"http://{full.host}"]}})
        assert "wrong digest" in got.of("warning")[0]["msg"]


def test_credentials_stay_with_their_host(puller):
    p = picture()
    with Hostile() as mirror:
        mirror.add(p, "1")
        puller.good("a:1", hosts={"docker.io": {"mirrors": [f"http://{mirror.host}"]}},
                    auth={"username": "u", "password": "p"})
        assert not any("Authorization" in headers for _, _, headers, _ in mirror.seen)


def test_platform_from_an_index(puller):
    p, other = picture(b"x"), picture(b"other")
    with Hostile() as r:
        r.add(p)
        r.add(other)
        mixed = json.loads(other.index(architecture="s390x"))
        mixed["manifests"] += json.loads(p.index())["manifests"]
        index = json.dumps(mixed).encode()
        r.manifests["1"] = r.manifests[digest(index)] = (INDEX, index)
        nested = json.dumps({"schemaVersion": 2, "manifests": [
            {"mediaType": INDEX, "digest": digest(index), "size": len(index)}]}).encode()
        r.manifests["2"] = (INDEX, nested)
        assert puller.good(f"{r.host}/a:1").last["digest"] == p.digest
        assert puller.good(f"{r.host}/a:2").last["digest"] == p.digest
        assert puller.good(f"{r.host}/b@{digest(index)}").last["digest"] == p.digest
        r.manifests["3"] = (INDEX, other.index(architecture="s390x"))
        puller.refused(f"{r.host}/a:3", "only for linux/s390x", kind="not_found")
        r.add(Picture([tar_of({"a": b"a"})], arch="s390x"), "4")
        puller.refused(f"{r.host}/a:4", "made for another machine", kind="unsupported")
    # What was pulled by the digest of an index is found by it again.
    assert puller.good(f"{r.host}/b@{digest(index)}", policy="never").last["digest"] == p.digest


def test_odd_but_valid_images(tmp_path, puller):
    twice = tar_of({"same": b"same" * 1000})
    with Hostile() as r:
        r.add(Picture([twice, tar_of({"x": b"x"}), twice]), "repeated")
        r.add(Picture([]), "empty")
        r.add(Picture([tar_of({"x": LOREM})], compress=None), "plain")
        r.add(Picture([tar_of({f"f{i}": b"%d" % i * 2000}) for i in range(40)]), "forty")
        got = {}
        for tag in ("repeated", "empty", "plain", "forty"):
            got[tag] = puller.good(f"{r.host}/a:{tag}").last
            run("fsck.erofs", puller.disk(got[tag]["digest"], tmp_path / tag))
    assert got["repeated"]["downloaded_layers"] == 2 and got["repeated"]["layers"] == 3
    assert got["empty"]["downloaded_layers"] == 0
    assert got["forty"]["downloaded_layers"] == 40


def test_a_layer_for_every_descriptor(puller):
    """As many layers as we accept; the merge gets all of them at once."""
    with Hostile() as r:
        r.add(Picture([tar_of({f"f{i}": b"%d" % i}) for i in range(512)]), "1")
        assert puller.good(f"{r.host}/a:1").last["layers"] == 512


# Tokens.

class TokenServer:
    """Hook for Hostile: wants a bearer token, gives `token`."""

    def __init__(self, r, users=None):
        self.r, self.users, self.token, self.given = r, users, "token-1", []
        r.hook = self

    def __call__(self, handler, kind, name):
        path, _, query = handler.path.partition("?")
        if path == "/token":
            self.given.append((handler.command, urllib.parse.parse_qs(query), dict(handler.headers),
                               self.r.seen[-1][3]))
            login = handler.headers.get("Authorization", "").removeprefix("Basic ")
            if self.users and base64.b64decode(login).decode() not in self.users and handler.command == "GET":
                self.r.send(handler, b"{}", status=401)
            else:
                self.r.send(handler, json.dumps({"token": self.token, "expires_in": 60}).encode())
            return True
        if handler.headers.get("Authorization") == f"Bearer {self.token}":
            return False
        self.r.send(handler, b"{}", {"WWW-Authenticate": f'Bearer realm="http://{self.r.host}/token",service="svc x",'
                                     'scope="repository:a:pull"'}, 401)
        return True


def test_bearer_tokens(puller):
    p = picture(b"1", b"2", b"3", b"4", b"5")
    with Hostile() as r:
        server = TokenServer(r)
        r.add(p, "1")
        puller.good(f"{r.host}/a:1")
        assert [(c, q) for c, q, _, _ in server.given] == [
            ("GET", {"service": ["svc x"], "scope": ["repository:a:pull"]})], "one token for all"
        assert "Authorization" not in server.given[0][2]


def test_a_token_that_expires_is_replaced(puller):
    p = picture(b"1", b"2", b"3", b"4", b"5")
    with Hostile() as r:
        server = TokenServer(r)
        r.add(p, "1")

        def expire_once(handler, kind, name):
            if kind == "blob" and server.token == "token-1":
                server.token = "token-2"
            return server(handler, kind, name)

        r.hook = expire_once
        puller.good(f"{r.host}/a:1")
        assert len(server.given) == 2


def test_tokens_for_users(puller):
    p = picture()
    with Hostile() as r:
        server = TokenServer(r, users=["ann:pw"])
        r.add(p, "1")
        puller.refused(f"{r.host}/a:1", "needs a login", kind="permission")
        puller.refused(f"{r.host}/a:1", "refuses the credentials", auth={"username": "ann", "password": "x"})
        puller.good(f"{r.host}/a:1", auth={"username": "ann", "password": "pw"})
        blob = [h for _, path, h, _ in r.seen if "/blobs/" in path]
        assert all(h["Authorization"].startswith("Bearer ") for h in blob)

        # An identity token is exchanged, not sent along.
        server.given.clear()
        (puller.docker / "config.json").write_text(json.dumps({"auths": {r.host: {"identitytoken": "id/&tok"}}}))
        puller.good(f"{r.host}/a:1")
        command, _, headers, body = server.given[0]
        assert command == "POST" and "Authorization" not in headers
        form = urllib.parse.parse_qs(body.decode())
        assert form["grant_type"] == ["refresh_token"] and form["refresh_token"] == ["id/&tok"]
        assert form["scope"] == ["repository:a:pull"]


# Interruptions.

def test_an_interrupted_download_continues(puller):
    p = Picture([tar_of({"big": os.urandom(4_000_000)})])
    blob, half = p.layers[0], 2_000_000
    with Hostile() as r:
        r.add(p, "1")

        def cut(handler, kind, name):
            if kind != "blob" or name == digest(p.config):
                return False
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(blob)))
            handler.end_headers()
            handler.wfile.write(blob[:half])
            r.hang_up(handler)
            return True

        r.hook = cut
        puller.refused(f"{r.host}/a:1", "", limits={"attempts": 1})
        assert puller.parts() == {digest(blob)[7:] + ".part": half}
        r.hook = lambda *a: False
        r.seen.clear()
        got = puller.good(f"{r.host}/a:1")
        assert [h.get("Range") for _, path, h, _ in r.seen if digest(blob) in path] == [f"bytes={half}-"]
        assert got.last["downloaded_bytes"] == len(blob) - half
    assert not puller.parts()


def test_a_lost_connection_is_continued_within_one_pull(puller):
    p = Picture([tar_of({"big": os.urandom(4_000_000)})])
    blob = p.layers[0]
    with Hostile() as r:
        r.add(p, "1")
        pieces = iter([700_000, 700_000, 1_400_000])

        def cut(handler, kind, name):
            piece = next(pieces, None) if name == digest(blob) else None
            if piece is None:
                return False
            first = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
            handler.send_response(206 if first else 200)
            handler.send_header("Content-Length", str(len(blob) - first))
            if first:
                handler.send_header("Content-Range", f"bytes {first}-{len(blob) - 1}/{len(blob)}")
            handler.end_headers()
            handler.wfile.write(blob[first:first + piece])
            r.hang_up(handler)
            return True

        r.hook = cut
        # Fewer attempts than interruptions: progress earns new ones.
        got = puller.good(f"{r.host}/a:1", limits={"attempts": 2})
        ranges = [h.get("Range") for _, path, h, _ in r.seen if digest(blob) in path]
        assert ranges == [None, "bytes=700000-", "bytes=1400000-", "bytes=2800000-"]
        assert got.last["downloaded_bytes"] == len(blob), "no byte twice"


def test_a_registry_without_ranges(puller):
    p = Picture([tar_of({"big": os.urandom(3_000_000)})])
    blob = p.layers[0]
    puller.images.mkdir(parents=True)
    (puller.images / "parts").mkdir()
    with Hostile() as r:
        r.add(p, "1")
        (puller.images / "parts" / (digest(blob)[7:] + ".part")).write_bytes(blob[:1_000_000])
        r.send_range = r.send
        puller.good(f"{r.host}/a:1")
    assert not puller.parts()


@pytest.mark.parametrize("poison", ["zeroes", "longer", "whole-but-wrong", "complete"])
def test_a_poisoned_part_is_survived(puller, poison):
    p = Picture([tar_of({"big": os.urandom(3_000_000)})])
    blob = p.layers[0]
    part = {"zeroes": blob[:500_000] + bytes(500_000), "longer": blob + b"x", "complete": blob,
            "whole-but-wrong": bytes(len(blob))}[poison]
    (puller.images / "parts").mkdir(parents=True)
    (puller.images / "parts" / (digest(blob)[7:] + ".part")).write_bytes(part)
    with Hostile() as r:
        r.add(p, "1")
        got = puller.good(f"{r.host}/a:1")
    assert (got.last["downloaded_bytes"] == 0) == (poison == "complete")
    assert not puller.parts() and puller.layers() == [digest(blob)]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_passing_failures_are_waited_out(puller, status):
    p = picture()
    with Hostile() as r:
        r.add(p, "1")
        failed = set()

        def once(handler, kind, name):
            if (kind, name) in failed:
                return False
            failed.add((kind, name))
            r.send(handler, b"", {"Retry-After": "0"}, status)
            return True

        r.hook = once
        puller.good(f"{r.host}/a:1")
        assert len(failed) == 3


def test_two_pulls_at_once(puller):
    p = picture(b"a", b"b", b"c")
    with Hostile() as r:
        r.add(p, "1")
        both = [puller.start(f"{r.host}/a:1") for _ in range(3)]
        for pull in both:
            assert puller.wait(pull).code == 0
    assert puller.layers() == sorted(map(digest, p.layers))
    assert not puller.parts() and not puller.leftovers()


def test_proxy(puller):
    p = picture()
    with Hostile() as proxy:
        proxy.add(p, "1")
        env = {"http_proxy": f"http://{proxy.host}"}
        puller.good("registry.example:80/a:1", insecure=True, env=env)
        assert all(path.startswith("http://registry.example/v2/a/") for _, path, _, _ in proxy.seen)
        proxy.seen.clear()
        puller.refused("registry.example:80/b:1", "", insecure=True, env={**env, "NO_PROXY": ".example"},
                       limits={"attempts": 1})
        assert not proxy.seen
        # Without "insecure" there is no plain HTTP, through a proxy neither.
        puller.refused("registry.example:80/b:1", "", env=env, limits={"attempts": 1})
        assert not proxy.seen


def test_quiet_and_bad_requests(puller):
    p = picture(b"x")
    with Hostile() as r:
        r.add(p, "1")
        assert [e["event"] for e in puller.good(f"{r.host}/a:1", quiet=True).events] == ["done"]
    puller.refused("UPPER", "no image reference", kind="usage")
    puller.refused("a:1", "surprise", surprise=1)
    puller.refused("a:1", "policy", policy="sometimes", kind="usage")
    for text in (b"", b"{", b"[]", b"x" * 2_000_000):
        r = subprocess.run([str(puller_program())], input=text, capture_output=True, check=False)
        assert r.returncode == 1 and json.loads(r.stdout)["event"] == "error"


def puller_program():
    from puller import PULL
    return PULL
