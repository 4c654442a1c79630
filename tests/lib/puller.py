# SPDX-License-Identifier: Apache-2.0
"""Runs msb-pull as the CLI does, and looks into the store."""

import json
import os
import subprocess
from pathlib import Path

BUILD = Path(os.environ.get("MSB_TEST_BUILD", "build"))


def program(variable, name, built):
    path = os.environ.get(variable)
    if not path and os.environ.get("MSB_LIB"):
        path = os.path.join(os.environ["MSB_LIB"], name)
    return Path(path or BUILD / built).resolve()


PULL = program("MSB_PULL", "msb-pull", "src/image/registry/msb-pull")
LAYER = program("MSB_LAYER", "msb-layer", "src/image/msb-layer")


class Result:
    def __init__(self, code, out):
        self.code = code
        self.events = [json.loads(line) for line in out.splitlines()]
        self.last = self.events[-1] if self.events else {}
        self.text = f"{self.last.get('msg', '')} | {self.last.get('hint', '')}"

    def of(self, event, **fields):
        return [e for e in self.events if e["event"] == event and all(e[k] == v for k, v in fields.items())]


class Puller:
    """One user: a home of msb's and one of Docker's."""

    def __init__(self, where):
        self.home = where / "msb"
        self.docker = where / "docker"
        self.lib = where / "lib"
        self.images = self.home / "images"
        self.docker.mkdir(parents=True)
        self.lib.mkdir()
        (self.lib / "msb-layer").symlink_to(LAYER)
        self.env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        self.env.update(DOCKER_CONFIG=str(self.docker), MSB_LIB=str(self.lib))

    def request(self, ref, **fields):
        # Failures are quick unless a test wants them slow.
        limits = {"attempts": 3, "first_wait_ms": 1, "stall_s": 20, **fields.pop("limits", {})}
        request = {"home": str(self.home), "ref": ref, "policy": "always", "limits": limits, **fields}
        return json.dumps({k: v for k, v in request.items() if v is not None}).encode()

    def start(self, ref, env=None, **fields):
        p = subprocess.Popen([PULL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env={**self.env, **(env or {})})
        p.stdin.write(self.request(ref, **fields))
        p.stdin.close()
        p.stdin = None
        return p

    @staticmethod
    def wait(p):
        out, err = p.communicate(timeout=120)
        assert not err, err.decode()
        result = Result(p.returncode, out)
        assert (p.returncode == 0) == (result.last.get("event") == "done"), out
        assert p.returncode == 0 or (p.returncode == 1 and result.last["event"] == "error"), (p.returncode, out)
        return result

    def pull(self, ref, **kw):
        return self.wait(self.start(ref, **kw))

    def good(self, ref, **kw):
        r = self.pull(ref, **kw)
        assert r.code == 0, r.text
        return r

    def refused(self, ref, why, kind=None, partial=False, **kw):
        """The pull fails, for this reason, and the store is as before; with @partial, the next pull will find layers."""
        before = self.visible(partial)
        r = self.pull(ref, **kw)
        assert r.code == 1, r.events
        assert why in r.text, r.text
        assert kind is None or r.last["kind"] == kind, r.last
        assert self.visible(partial) == before, "the store is unchanged"
        assert not self.leftovers(), "no work left behind"
        return r

    def visible(self, partial=False):
        """Everything of the store but its locks and interrupted downloads, with sizes."""
        return sorted((str(p.relative_to(self.images)), p.stat().st_size if p.is_file() else 0)
                      for top in ("refs", "manifests", "tmp", *([] if partial else ["layers"]))
                      for p in (self.images / top).rglob("*"))

    def leftovers(self):
        return list((self.images / "tmp").glob("*"))

    def parts(self):
        return {p.name: p.stat().st_size for p in (self.images / "parts").glob("*")}

    def layers(self):
        return sorted("sha256:" + p.name for p in (self.images / "layers").glob("*"))

    def resolved(self, path):
        """Digest behind a reference, by its path under refs/."""
        return json.loads((self.images / "refs" / path).read_text())["digest"]

    def image(self, digest):
        return self.images / "manifests" / digest.split(":")[1]

    def disk(self, digest, out):
        """The guest's disk of an image, as one file."""
        meta = (self.image(digest) / "meta.erofs").read_bytes()
        layers = json.loads((self.image(digest) / "image.json").read_text())["layers"]
        with open(out, "wb") as f:
            f.write(meta[:4096])
            for layer in layers:
                f.write((self.images / "layers" / layer.split(":")[1] / "data").read_bytes())
            f.write(meta[4096:])
        return out
