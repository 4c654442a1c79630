# SPDX-License-Identifier: Apache-2.0
"""Registries for tests, all on this machine: Debian's docker-registry, and one of our own that lies.

Usage: `Registry(dir)` as a context manager serves what is pushed to it by skopeo, with or without TLS and passwords.
`Hostile()` serves what a test puts into its tables, and lets the test break any answer.
"""

import base64
import gzip
import hashlib
import http.server
import io
import json
import os
import shutil
import socket
import ssl
import subprocess
import tarfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_REGISTRY = shutil.which("docker-registry")
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


def run(*argv, **kw):
    r = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False, **kw)
    assert r.returncode == 0, f"{argv}: {r.stderr}"
    return r.stdout


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Authority:
    """A certificate authority and one certificate for this machine."""

    def __init__(self, where, names=("DNS:localhost", "IP:127.0.0.1")):
        where.mkdir(parents=True, exist_ok=True)
        self.ca, self.cert, self.key = where / "ca.pem", where / "cert.pem", where / "key.pem"
        (where / "ext").write_text("subjectAltName=" + ",".join(names) + "\n")
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=test authority", "-keyout", where / "ca.key", "-out", self.ca)
        run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=server",
            "-keyout", self.key, "-out", where / "csr")
        run("openssl", "x509", "-req", "-in", where / "csr", "-CA", self.ca, "-CAkey", where / "ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", where / "ext", "-out", self.cert)

    def server_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context


class TokenServer:
    """Gives signed tokens to whoever may have them, as Docker's token specification says.

    @users: {name: password}, who may do everything; others may pull what is below "public/".
    """

    def __init__(self, where, users):
        where.mkdir(parents=True, exist_ok=True)
        self.users, self.seen = users, []
        self.key, self.cert = where / "key.pem", where / "cert.pem"
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tokens",
            "-keyout", self.key, "-out", self.cert)
        self.chain = "".join(self.cert.read_text().splitlines()[1:-1])
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.answer(self)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.realm = f"http://127.0.0.1:{self.server.server_address[1]}/token"

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def answer(self, handler):
        query = urllib.parse.parse_qs(handler.path.partition("?")[2])
        login = base64.b64decode((handler.headers.get("Authorization") or "").removeprefix("Basic ")).decode()
        name, _, password = login.partition(":")
        self.seen.append((name, query.get("scope")))
        if name and self.users.get(name) != password:
            Hostile.send(handler, b'{"details":"incorrect username or password"}', status=401)
            return
        access = []
        for scope in query.get("scope", []):
            kind, repository, actions = scope.split(":")
            allowed = set(actions.split(",")) if name else {"pull"} if repository.startswith("public/") else set()
            access.append({"type": kind, "name": repository, "actions": sorted(allowed)})
        Hostile.send(handler, json.dumps({"token": self.token(name, access), "expires_in": 300}).encode(),
                     {"Content-Type": "application/json"})

    def token(self, name, access):
        now = int(time.time())
        parts = ({"typ": "JWT", "alg": "RS256", "x5c": [self.chain]},
                 {"iss": "tests", "sub": name, "aud": "registry", "exp": now + 300, "nbf": now - 10, "iat": now,
                  "jti": os.urandom(8).hex(), "access": access})
        text = b".".join(self.encode(json.dumps(p).encode()) for p in parts)
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=text, capture_output=True,
                                   check=True).stdout
        return (text + b"." + self.encode(signature)).decode()

    @staticmethod
    def encode(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")


class Registry:
    """Debian's docker-registry. @users: {name: password}; @authority: serve TLS with its certificate; @tokens: a
    TokenServer that knows the users, instead of the registry itself."""

    def __init__(self, where, users=None, authority=None, tokens=None):
        self.where, self.users, self.authority, self.tokens = where, users or {}, authority, tokens
        self.process = None

    def config(self):
        lines = ["version: 0.1", "log: {level: info, accesslog: {disabled: false}}",
                 "storage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}" % (self.where / "data"),
                 "http:", "  addr: 127.0.0.1:0"]
        if self.authority:
            lines += ["  tls:", f"    certificate: {self.authority.cert}", f"    key: {self.authority.key}"]
        if self.tokens:
            lines += ["auth:", "  token:", f"    realm: {self.tokens.realm}", "    service: registry", "    issuer: tests",
                      f"    rootcertbundle: {self.tokens.cert}"]
        elif self.users:
            lines += ["auth:", "  htpasswd:", "    realm: test", f"    path: {self.where / 'htpasswd'}"]
        return "\n".join(lines) + "\n"

    def __enter__(self):
        self.where.mkdir(parents=True, exist_ok=True)
        for i, (name, password) in enumerate(self.users.items()):
            run("htpasswd", "-iB" + ("" if i else "c"), self.where / "htpasswd", name, input=password)
        (self.where / "config.yml").write_text(self.config())
        self.log = open(self.where / "log", "wb")
        self.process = subprocess.Popen([DOCKER_REGISTRY, "serve", self.where / "config.yml"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        # It says where it listens; from then on its words go to a file.
        for line in self.process.stdout:
            self.log.write(line)
            if b"listening on" in line:
                self.port = int(line.split(b"listening on")[1].split(b'"')[0].split(b",")[0].rsplit(b":", 1)[1])
                break
        else:
            raise AssertionError("docker-registry does not start: " + (self.where / "log").read_text())
        self.lines, self.changed = [], threading.Condition()
        self.drain = threading.Thread(target=self.collect)
        self.drain.start()
        self.host = f"localhost:{self.port}"
        return self

    def collect(self):
        for line in self.process.stdout:
            self.log.write(line)
            with self.changed:
                self.lines.append(line.decode(errors="replace"))
                self.changed.notify_all()

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()
        self.drain.join()
        self.log.close()

    def requests(self):
        """Lines of its log about requests of msb, in order."""
        # The log follows behind: a request of our own shows how far it is.
        mark = f"/v2/?mark={len(self.lines)}"
        context = ssl._create_unverified_context()
        url = f"http{'s' if self.authority else ''}://{self.host}{mark}"
        try:
            urllib.request.urlopen(url, context=context).close()
        except urllib.error.HTTPError:
            pass  # without a password it answers, too
        with self.changed:
            assert self.changed.wait_for(lambda: any(mark in line for line in self.lines), timeout=20)
            return [line for line in self.lines if line.rstrip().endswith('"msb"')]

    def creds(self):
        """The first user, as skopeo and buildah want to hear it."""
        return ":".join(next(iter(self.users.items())))

    def push(self, layout, name, *options):
        """@layout: DIR:TAG of an OCI layout."""
        argv = ["skopeo", "copy", "-q", "--dest-tls-verify=false", *options]
        if self.users:
            argv += ["--dest-creds", self.creds()]
        run(*argv, f"oci:{layout}", f"docker://{self.host}/{name}")


def tar_of(files):
    """@files: {name: bytes, or a TarInfo}"""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as t:
        for name, data in files.items():
            if isinstance(data, tarfile.TarInfo):
                t.addfile(data)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


class Picture:
    """An image as blobs: layers from tar streams, configuration, manifest. @compress: "gzip", "zstd" or None; @config:
    how it runs"""

    def __init__(self, tars, compress="gzip", arch=ARCH, config=None):
        self.tars = tars
        how = {"gzip": lambda t: gzip.compress(t, 1, mtime=0), "zstd": zstd, None: bytes}[compress]
        self.layers = [how(t) for t in tars]
        self.config = json.dumps({"architecture": arch, "os": "linux", "config": {"Env": ["A=b"]} if config is None else config,
                                  "rootfs": {"type": "layers", "diff_ids": [digest(t) for t in tars]}}).encode()
        kind = LAYER + (f"+{compress}" if compress else "")
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest(self.config), "size": len(self.config)},
            "layers": [{"mediaType": kind, "digest": digest(b), "size": len(b)} for b in self.layers]}).encode()
        self.digest = digest(self.manifest)

    def blobs(self):
        return {digest(b): b for b in [self.config, *self.layers]}

    def index(self, **platform):
        platform = {"os": "linux", "architecture": ARCH, **platform}
        return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {"mediaType": MANIFEST, "digest": self.digest, "size": len(self.manifest), "platform": platform}]}).encode()

    def write_layout(self, where, tag="x"):
        """As an OCI layout, for skopeo."""
        (where / "blobs" / "sha256").mkdir(parents=True)
        for name, data in {**self.blobs(), self.digest: self.manifest}.items():
            (where / "blobs" / name.replace(":", "/")).write_bytes(data)
        (where / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (where / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [
            {"mediaType": MANIFEST, "digest": self.digest, "size": len(self.manifest),
             "annotations": {"org.opencontainers.image.ref.name": tag}}]}))
        return f"{where}:{tag}"


class Hostile:
    """A registry in Python. Tables: manifests {"name/tag or digest": (type, bytes)}, blobs {digest: bytes}.

    `hook(handler, kind, name)` runs before an answer, with kind "manifest", "blob" or "other"; when it returns True it
    has answered. `seen` lists (method, path, headers) of all requests.
    """

    def __init__(self, address="127.0.0.1", authority=None):
        self.manifests, self.blobs, self.seen = {}, {}, []
        self.hook = lambda handler, kind, name: False
        self.closing = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.answer(self)

            do_POST = do_GET

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # clients that hang up are what these tests are about

        self.server = Server((address, 0), Handler)
        self.port = self.server.server_address[1]
        self.host = f"{address}:{self.port}"
        if authority:
            self.server.socket = authority.server_context().wrap_socket(self.server.socket, server_side=True)

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.closing.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def add(self, picture, *names):
        self.blobs.update(picture.blobs())
        for name in [*names, picture.digest]:
            self.manifests[name] = (MANIFEST, picture.manifest)
        return picture

    def add_archive(self, archive, *names):
        """The image of an OCI archive."""
        with tarfile.open(archive) as t:
            for m in t:
                if m.isfile() and m.name.removeprefix("./").startswith("blobs/sha256/"):
                    self.blobs["sha256:" + m.name.rsplit("/", 1)[1]] = t.extractfile(m).read()
                elif m.name.removeprefix("./") == "index.json":
                    image = json.load(t.extractfile(m))["manifests"][0]["digest"]
        for name in [*names, image]:
            self.manifests[name] = (MANIFEST, self.blobs[image])

    def answer(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        self.seen.append((handler.command, handler.path, dict(handler.headers), body))
        parts = handler.path.split("?")[0].split("/")
        kind = {"manifests": "manifest", "blobs": "blob"}.get(parts[-2] if len(parts) > 2 else "", "other")
        name = parts[-1]
        if self.hook(handler, kind, name):
            return
        if kind == "manifest" and name in self.manifests:
            content_type, data = self.manifests[name]
            self.send(handler, data, {"Content-Type": content_type})
        elif kind == "blob" and name in self.blobs:
            self.send_range(handler, self.blobs[name])
        elif handler.path == "/v2/":
            self.send(handler, b"{}")
        else:
            self.send(handler, b'{"errors":[{"code":"UNKNOWN","message":"no such thing"}]}', status=404)

    @staticmethod
    def send(handler, data, headers=None, status=200):
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    @classmethod
    def send_range(cls, handler, data):
        wanted = handler.headers.get("Range")
        if not wanted:
            cls.send(handler, data)
            return
        first = int(wanted.removeprefix("bytes=").removesuffix("-"))
        cls.send(handler, data[first:], {"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}, 206)

    @staticmethod
    def hang_up(handler):
        """The connection ends here, whatever was promised."""
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True
