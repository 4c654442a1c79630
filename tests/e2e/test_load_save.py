# SPDX-License-Identifier: Apache-2.0
"""Images that come from archives and go into archives, run on every engine. No registry anywhere."""

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from archives import archive_of, docker_members, oci_members
from conftest import Msb
from offline import Missing, image as offline_image
from registry import Picture, digest, tar_of
from test_run_image import BUSYBOX, busybox_layer

pytestmark = pytest.mark.skipif(BUSYBOX is None, reason="busybox-static is not installed")


def good(msb, *argv, **kw):
    r = msb(*argv, **kw)
    assert r.returncode == 0, r.stderr.decode()
    return r


def report(msb, *argv):
    return json.loads(good(msb, *argv, "--format", "json").stdout)


def test_run_what_was_loaded_saved_and_loaded(msb, engine, tmp_path):
    """The same image three times: of docker's archive, of ours in both formats. Its ID and its content stay."""
    p = Picture([busybox_layer(), tar_of({"what": b"content\n", "large": b"block" * 3000})])
    show = ["--", "sh", "-c", "cat /what; cat /large | busybox md5sum; echo $A"]
    assert good(msb, "load", input=gzip.compress(archive_of(docker_members(p, ["app:1"])), 1)).stdout == b"Loaded image: app:1\n"
    want = good(msb, "run", "--pull", "never", "app:1", *show, input=b"").stdout
    assert want.split()[0] == b"content" and want.split()[-1] == b"b"
    previous = msb
    for fmt in ("docker", "oci"):
        path = tmp_path / f"{fmt}.tar"
        good(previous, "image", "save", "--format", fmt, "-o", str(path), "app:1")
        other = Msb(tmp_path / f"home-{fmt}", engine)
        try:
            good(other, "image", "load", "-i", str(path))
            about = report(other, "image", "inspect", "app:1")
            assert about["config"]["digest"] == digest(p.config)
            assert [layer["diff_id"] for layer in about["layers"]] == [digest(t) for t in p.tars]
            assert good(other, "run", "--pull", "never", "app:1", *show, input=b"").stdout == want
        finally:
            other.close()
        previous = other


def test_in_the_list(msb):
    p, q = (Picture([tar_of({"f": name})]) for name in (b"one", b"two"))
    good(msb, "load", input=archive_of(oci_members(p, q, names=["one:1", "example.com/two:2"])))
    listed = {i["reference"]: i["digest"] for i in report(msb, "image", "ls")}
    assert sorted(listed.values()) == sorted([p.digest, q.digest])
    assert any("one:1" in name for name in listed) and any("example.com/two:2" in name for name in listed)
    good(msb, "rmi", "one:1")
    r = msb("save", "one:1")
    assert r.returncode == 125 and b"no image one:1 here" in r.stderr


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is missing")
def test_an_image_built_without_registries(msb, engine, tmp_path):
    """What scripts/build-image.sh makes, as it comes, and through skopeo as docker would have saved it."""
    try:
        built = offline_image("python")
    except Missing as e:
        pytest.skip(str(e))
    good(msb, "load", "-i", str(built), "-t", "py:built")
    docker = tmp_path / "docker.tar"
    subprocess.run(["skopeo", "copy", "-q", f"oci-archive:{built}", f"docker-archive:{docker}:py:skopeo"], check=True)
    assert good(msb, "load", "-i", str(docker)).stdout == b"Loaded image: py:skopeo\n"
    layers = [{layer["blob_digest"] for layer in report(msb, "image", "inspect", f"py:{tag}")["layers"]}
              for tag in ("built", "skopeo")]
    assert layers[0] == layers[1], "unpacked once"
    r = good(msb, "run", "--pull", "never", "py:skopeo", "--", "python3", "-c", "print(6 * 7)", input=b"")
    assert r.stdout == b"42\n"
