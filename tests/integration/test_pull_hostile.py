# SPDX-License-Identifier: Apache-2.0
"""Registries and images that mean harm: each is refused with a reason, and the store stays as it was."""

import ctypes
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
from puller import Puller  # noqa: E402
from registry import (CONFIG, INDEX, LAYER, MANIFEST, Authority, Hostile, Picture, digest, tar_of)  # noqa: E402

GOOD = Picture([tar_of({"good": b"good" * 5000}), tar_of({"other": os.urandom(50_000)})])


@pytest.fixture
def puller(tmp_path):
    return Puller(tmp_path / "user")


@pytest.fixture
def registry():
    with Hostile() as r:
        r.add(GOOD, "good", "bad")
        yield r


def dump(**document):
    return json.dumps(document).encode()


def still_works(puller, registry):
    """The same image pulls as soon as the registry behaves: nothing left behind is in the way."""
    registry.hook = lambda *a: False
    registry.add(GOOD, "bad")
    puller.good(f"{registry.host}/a:bad")
    assert not puller.parts()


# Contents that are not what they are called.

def test_wrong_digests(puller, registry):
    ref = f"{registry.host}/a:bad"
    layer, config = GOOD.layers[1], GOOD.config
    registry.manifests[GOOD.digest] = (MANIFEST, GOOD.manifest + b" ")
    puller.refused(f"{registry.host}/a@{GOOD.digest}", "manifest has the wrong digest", kind="protocol")
    registry.manifests["bad"] = (INDEX, GOOD.index())
    puller.refused(ref, "manifest has the wrong digest", kind="protocol")
    registry.add(GOOD, "bad")
    registry.blobs[digest(config)] = config.replace(b"A=b", b"A=c")
    puller.refused(ref, "image configuration has the wrong digest", kind="protocol")
    registry.blobs[digest(config)] = config
    registry.blobs[digest(layer)] = layer[:-1] + bytes([layer[-1] ^ 1])
    puller.refused(ref, "wrong digest", kind="protocol")
    # Not even an archive: the digest is still what is wrong.
    registry.blobs[digest(layer)] = os.urandom(len(layer))
    puller.refused(ref, "wrong digest", kind="protocol")
    assert digest(layer) not in puller.layers() and not puller.parts()
    still_works(puller, registry)


def test_a_header_is_no_digest(puller, registry):
    """Docker-Content-Digest is the registry's word; what counts is what we compute."""
    lie = "sha256:" + "0" * 64

    def hook(handler, kind, name):
        if kind != "manifest":
            return False
        registry.send(handler, GOOD.manifest, {"Content-Type": MANIFEST, "Docker-Content-Digest": lie})
        return True

    registry.hook = hook
    assert puller.good(f"{registry.host}/a:good").last["digest"] == GOOD.digest


def test_configuration_of_other_layers(puller, registry):
    other = json.loads(GOOD.config)
    other["rootfs"]["diff_ids"][1] = "sha256:" + "1" * 64
    for ids, why in ((other["rootfs"]["diff_ids"], "unpacks to"), (other["rootfs"]["diff_ids"][:1], "configuration for 1")):
        config = dump(**{**other, "rootfs": {"type": "layers", "diff_ids": ids}})
        manifest = json.loads(GOOD.manifest)
        manifest["config"].update(digest=digest(config), size=len(config))
        registry.blobs[digest(config)] = config
        registry.manifests["bad"] = (MANIFEST, dump(**manifest))
        puller.refused(f"{registry.host}/a:bad", why, kind="protocol")
    # The same lie about a layer that is here already.
    puller.good(f"{registry.host}/a:good")
    config = dump(**other)
    manifest["config"].update(digest=digest(config), size=len(config))
    registry.manifests["bad"] = (MANIFEST, dump(**manifest))
    puller.refused(f"{registry.host}/a:bad", "unpacks to", kind="protocol")
    still_works(puller, registry)


# Too much, too deep.

def test_documents_out_of_bounds(puller, registry):
    ref = f"{registry.host}/a:bad"
    layer = {"mediaType": LAYER, "digest": "sha256:" + "2" * 64, "size": 1}
    config = {"mediaType": CONFIG, "digest": digest(GOOD.config), "size": len(GOOD.config)}

    def refused(document, why, kind="limit", content_type=MANIFEST):
        registry.manifests["bad"] = (content_type, document)
        puller.refused(ref, why, kind=kind)

    refused(dump(schemaVersion=2, config=config, layers=[layer] * 10_000), "10000 layers")
    refused(dump(schemaVersion=2, config=config, layers=[layer] * 513), "513 layers")
    refused(dump(schemaVersion=2, config=config, layers=[{**layer, "size": 1 << 60}]), "at most")
    refused(b"[" * 100_000 + b"]" * 100_000, "nested deeper")
    refused(b" " * (4 << 20) + GOOD.manifest, "larger than")
    refused(dump(schemaVersion=2, manifests=[layer] * 1025), "1025 images", content_type=INDEX)
    refused(dump(schemaVersion=2, config=config, layers=[layer], manifests=[]), "both", kind="protocol")
    refused(dump(schemaVersion=1, fsLayers=[]), "schema 1", kind="unsupported")
    refused(b"<html>", "manifest: line 1", kind="protocol")
    refused(dump(schemaVersion=2, config={**config, "digest": "md5:1"}, layers=[]), "digest", kind="protocol")
    assert not puller.layers()


def test_indexes_nested_too_deep(puller, registry):
    index = GOOD.index()
    for depth, fits in ((1, True), (2, True), (3, False), (4, False)):
        registry.manifests["bad"] = registry.manifests[digest(index)] = (INDEX, index)
        if fits:
            puller.good(f"{registry.host}/a:bad")
        else:
            puller.refused(f"{registry.host}/a:bad", "nested deeper than 2", kind="limit")
        index = dump(schemaVersion=2, manifests=[{"mediaType": INDEX, "digest": digest(index), "size": len(index)}])


def test_headers_without_end(puller, registry):
    def hook(handler, kind, name):
        handler.send_response(200)
        for i in range(2000):
            handler.send_header(f"X-{i}", "x" * 200)
        handler.end_headers()
        return True

    registry.hook = hook
    puller.refused(f"{registry.host}/a:bad", "too many headers", kind="limit")


# Lies about lengths, hanging up, not answering.

def answer_layer(registry, reply):
    """@reply answers for the second layer of the good image."""
    blob = GOOD.layers[1]

    def hook(handler, kind, name):
        if name != digest(blob):
            return False
        reply(handler, blob)
        return True

    registry.hook = hook


def test_lengths_that_lie(puller, registry):
    ref = f"{registry.host}/a:bad"

    def chunked(handler, data):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data))

    answer_layer(registry, lambda h, b: registry.send(h, b + b"more"))
    puller.refused(ref, "by the registry", kind="protocol")
    answer_layer(registry, lambda h, b: registry.send(h, b[:-1]))
    puller.refused(ref, "by the registry", kind="protocol")
    answer_layer(registry, lambda h, b: chunked(h, b + b"more"))
    puller.refused(ref, "longer than", kind="protocol")
    answer_layer(registry, lambda h, b: chunked(h, b[:1000]))
    puller.refused(ref, "ends after 1000", kind="protocol")

    def other_range(handler, data):
        registry.send(handler, data[5:], {"Content-Range": f"bytes 5-{len(data) - 1}/{len(data)}"}, 206)

    answer_layer(registry, other_range)
    puller.refused(ref, "another part", kind="protocol")
    still_works(puller, registry)


def test_a_layer_that_always_ends_early(puller, registry):
    def cut(handler, data):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[:20_000])
        registry.hang_up(handler)

    answer_layer(registry, cut)
    puller.refused(f"{registry.host}/a:bad", registry.host, partial=True)
    assert list(puller.parts().values()) == [20_000], "what came is kept for the next pull"
    still_works(puller, registry)


def test_a_drip_is_not_followed_for_ever(puller, registry):
    """Each connection brings a little: the number of connections is bounded all the same."""
    big = Picture([tar_of({"big": os.urandom(30_000_000)})])
    blob = big.layers[0]
    registry.add(big, "drip")

    def drip(handler, kind, name):
        if name != digest(blob):
            return False
        first = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        handler.send_response(206)
        handler.send_header("Content-Length", str(len(blob) - first))
        handler.send_header("Content-Range", f"bytes {first}-{len(blob) - 1}/{len(blob)}")
        handler.end_headers()
        handler.wfile.write(blob[first:first + 300_000])
        registry.hang_up(handler)
        return True

    registry.hook = drip
    puller.refused(f"{registry.host}/a:drip", "")
    assert len([1 for _, path, _, _ in registry.seen if digest(blob) in path]) == 40


@pytest.mark.parametrize("where", ["before the head", "in the head", "in the body"])
def test_a_registry_that_stalls(puller, registry, where):
    def stall(handler, data):
        if where != "before the head":
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(data)))
        if where == "in the body":
            handler.end_headers()
            handler.wfile.write(data[:10_000])
        else:
            handler.flush_headers() if where == "in the head" else None
        handler.wfile.flush()
        registry.closing.wait()
        handler.close_connection = True

    answer_layer(registry, stall)
    begin = time.monotonic()
    puller.refused(f"{registry.host}/a:bad", registry.host, kind="timeout", partial=True,
                   limits={"stall_s": 1, "attempts": 2})
    assert time.monotonic() - begin < 30
    still_works(puller, registry)


# Being sent away.

def redirect(registry, location, status=307):
    def hook(handler, kind, name):
        if kind != "blob":
            return False
        registry.send(handler, b"", {"Location": location(name) if callable(location) else location}, status)
        return True

    registry.hook = hook


def test_redirects(tmp_path, puller, registry):
    ref = f"{registry.host}/a:bad"
    for location, why in (("ftp://127.0.0.1/x", "no URL for us"), ("file:///etc/passwd", "no URL for us"),
                          ("http://user:pw@127.0.0.1/", "no URL for us"), ("/loop", "too many redirects"),
                          ("http://169.254.169.254/latest/meta-data", "inside this network"),
                          ("http://[fe80::1]/", "inside this network"), ("http://0.0.0.0/", "inside this network")):
        redirect(registry, location)
        if location == "/loop":
            registry.hook = lambda h, kind, name: kind != "manifest" and not registry.send(h, b"", {"Location": "/loop"}, 302)
        puller.refused(ref, why, kind="protocol")
    with Hostile() as store:
        # A registry on this machine may send us elsewhere on it; what is for the registry stays there.
        store.add(GOOD)
        (puller.docker / "config.json").write_text(json.dumps({"auths": {registry.host: {"username": "u", "password": "p"}}}))

        def hook(handler, kind, name):
            if not handler.headers.get("Authorization"):
                registry.send(handler, b"", {"WWW-Authenticate": 'Basic realm="x"'}, 401)
            elif kind == "blob":
                registry.send(handler, b"", {"Location": f"http://localhost:{store.port}/v2/x/blobs/{name}?key=v"}, 307)
            else:
                return False
            return True

        registry.hook = hook
        puller.good(ref)
        assert len(store.seen) == 3 and not any("Authorization" in headers for _, _, headers, _ in store.seen)


def test_redirect_to_less_security(tmp_path, puller):
    authority = Authority(tmp_path / "ca", names=("DNS:registry.example",))
    with Hostile() as plain, Hostile(authority=authority) as secure:
        secure.add(GOOD, "bad")
        plain.add(GOOD)
        redirect(secure, lambda name: f"http://{plain.host}/v2/a/blobs/{name}")

        # A public name that a proxy leads to our server: TLS inside, so the certificate is checked.
        def tunnel(handler, kind, name):
            return False

        plain.hook = tunnel
        proxy = Tunnel(secure.port)
        try:
            got = puller.refused("registry.example/a:bad", "not secure", kind="protocol", ca_file=str(authority.ca),
                                 env={"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"})
            assert "registry.example" in got.text
            redirect(secure, "https://127.0.0.1/x")
            puller.refused("registry.example/a:bad", "inside this network", kind="protocol", ca_file=str(authority.ca),
                           env={"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"})
        finally:
            proxy.close()
        assert not plain.seen


class Tunnel:
    """A proxy that answers every CONNECT with one port of this machine."""

    def __init__(self, port):
        import socket
        import threading
        self.to = port
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        import socket
        import threading
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            assert head.startswith(b"CONNECT ")
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            server = socket.create_connection(("127.0.0.1", self.to))
            for a, b in ((client, server), (server, client)):
                threading.Thread(target=self.copy, args=(a, b), daemon=True).start()

    @staticmethod
    def copy(a, b):
        import socket
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.socket.close()


def test_a_public_registry_cannot_send_us_into_the_network(tmp_path):
    """In a network namespace of its own, where 8.8.8.8 and 10.9.8.7 are ours."""
    wrap = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    if subprocess.run([*wrap, "ip", "link", "set", "lo", "up"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this host does not let us make a network namespace")
    r = subprocess.run([*wrap, sys.executable, __file__, str(tmp_path)], capture_output=True, text=True, check=False,
                       timeout=120)
    assert r.returncode == 0, r.stdout + r.stderr
    assert r.stdout.splitlines()[-1] == "ok", r.stdout


def inside_namespace(tmp_path):
    for argv in (["link", "set", "lo", "up"], ["addr", "add", "8.8.8.8/32", "dev", "lo"],
                 ["addr", "add", "10.9.8.7/32", "dev", "lo"], ["addr", "add", "10.9.8.8/32", "dev", "lo"]):
        subprocess.run(["ip", *argv], check=True)
    puller = Puller(tmp_path / "user")
    (tmp_path / "hosts").write_text("")
    with Hostile("8.8.8.8") as public, Hostile("10.9.8.7") as private, Hostile("10.9.8.8") as neighbour, \
            Hostile("127.0.0.1") as local:
        for r in (public, private, neighbour, local):
            r.add(GOOD, "bad")
        for victim in (private, local):
            redirect(public, lambda name, victim=victim: f"http://{victim.host}/v2/a/blobs/{name}")
            puller.refused(f"{public.host}/a:bad", "inside this network", kind="protocol", insecure=True)
            public.hook = lambda h, kind, name, victim=victim: not public.send(
                h, b"", {"WWW-Authenticate": f'Bearer realm="http://{victim.host}/steal",service="s"'}, 401)
            puller.refused(f"{public.host}/a:bad", "inside this network", kind="protocol", insecure=True,
                           auth={"username": "u", "password": "p"})
            assert not victim.seen, "nothing arrived"
        redirect(private, lambda name: f"http://{local.host}/v2/a/blobs/{name}")
        puller.refused(f"{private.host}/a:bad", "inside this network", kind="protocol", insecure=True)
        assert not local.seen
        # The other way is what registries in a company do.
        redirect(private, lambda name: f"http://{neighbour.host}/v2/a/blobs/{name}")
        puller.good(f"{private.host}/a:bad", insecure=True)
        assert len(neighbour.seen) == 3
    print("ok")


# Token servers.

def test_token_servers_that_lie(puller, registry):
    ref = f"{registry.host}/a:bad"

    def serve(challenge, token=b"{}", status=200):
        def hook(handler, kind, name):
            if handler.path.startswith("/token"):
                registry.send(handler, token, status=status)
            else:
                registry.send(handler, b"", {"WWW-Authenticate": challenge}, 401)
            return True

        registry.hook = hook

    here = f'Bearer realm="http://{registry.host}/token"'
    for challenge, token, why in (
            ('Bearer realm="ftp://x/"', b"", "token server 'ftp://x/'"),
            ('Bearer realm="http://u:p@127.0.0.1/"', b"", "token server"),
            ('Bearer realm="http://169.254.169.254/token"', b"", "inside this network"),
            ('Bearer realm="open', b"", "not supported"),
            ("Negotiate", b"", "not supported"),
            (here, b"no JSON", "token server"),
            (here, b"{}", "access_token"),
            (here, json.dumps({"token": "a\r\nHost: evil"}).encode(), "not a token"),
            (here, json.dumps({"token": "x" * 20_000}).encode(), "not a token"),
            (here, b" " * 300_000, "too long"),
            (here, json.dumps({"token": "fine but useless"}).encode(), "not a token"),
            (here, json.dumps({"token": "useless"}).encode(), "denies access")):
        serve(challenge, token)
        puller.refused(ref, why)
        assert len(registry.seen) < 12, "it does not ask again and again"
        registry.seen.clear()


# Layers that mean harm; most of what they can try is in test_layers.py.

def test_hostile_archives(puller, registry):
    out = tarfile.TarInfo("../../escape")
    out.size = 0
    link = tarfile.TarInfo("l")
    link.type, link.linkname = tarfile.LNKTYPE, "missing"
    for name, tar, why in (("out", tar_of({"../../escape": out}), "'../../escape'"),
                           ("link", tar_of({"l": link}), "hard link"),
                           ("garbage", os.urandom(4096), "layer sha256:")):
        registry.add(Picture([tar]), name)
        puller.refused(f"{registry.host}/a:{name}", why, kind="protocol")
        assert not puller.parts()
    escaped = Path(puller.home).parent.rglob("escape*")
    assert not list(escaped)


def landlock_version():
    return ctypes.CDLL(None, use_errno=True).syscall(444, None, ctypes.c_size_t(0), 1)


@pytest.mark.skipif(landlock_version() < 2, reason="this kernel has no Landlock that knows renames")
def test_a_pull_that_was_taken_over_reaches_no_other_files(puller, registry, tmp_path):
    """What msb-pull starts stands where it stands: a worker in its place tries to get out."""
    (tmp_path / "secret").write_text("the key")
    (puller.lib / "msb-layer").unlink()
    (puller.lib / "msb-layer").write_text(f"""#!/bin/sh
cat >/dev/null
exec >{puller.images}/probe 2>&1
cat {tmp_path}/secret
echo x >{tmp_path}/written && echo written
echo y >{puller.images}/tmp/inside && echo inside
""")
    (puller.lib / "msb-layer").chmod(0o755)
    assert puller.pull(f"{registry.host}/a:good", limits={"parallel": 1}).code == 1
    probe = (puller.images / "probe").read_text()
    assert "the key" not in probe and "denied" in probe
    assert "inside" in probe.splitlines()
    assert not (tmp_path / "written").exists()


def test_foreign_words_are_made_printable(puller, registry):
    evil = "\x1b]0;owned\x07\u202egnp.exe\n\x00 \x9b2J"

    def hook(handler, kind, name):
        registry.send(handler, json.dumps({"errors": [{"code": "X", "message": evil}]}).encode(), status=404)
        return True

    registry.hook = hook
    got = puller.refused(f"{registry.host}/a:bad", "owned", kind="not_found")
    assert all(0x20 <= ord(c) <= 0x7e for c in got.last["msg"])


if __name__ == "__main__":
    inside_namespace(Path(sys.argv[1]))
