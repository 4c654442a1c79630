# SPDX-License-Identifier: Apache-2.0
"""scripts/build-image.sh: what the images are made of, and what it says when it cannot make them."""

import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))
import offline  # noqa: E402
from registry import ARCH, run  # noqa: E402

SCRIPT = ROOT / "scripts" / "build-image.sh"


def build(*argv, **kw):
    return subprocess.run(["bash", SCRIPT, *argv], capture_output=True, text=True, check=False, **kw)


def test_words(tmp_path):
    assert build("--help").stdout.startswith("usage: ")
    for argv, code, why in (([], 2, "usage:"), (["-x"], 2, "unknown option '-x'"), (["debian", "node"], 2, "usage:"),
                            (["alpine"], 1, "no recipe for 'alpine'")):
        r = build(*argv)
        assert r.returncode == code and why in r.stderr and not r.stdout, (argv, r.stderr)
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("bash", "cat"):
        (tools / tool).symlink_to(shutil.which(tool))
    r = build("debian", env={"PATH": str(tools)})
    assert r.returncode == 1 and "apt-get install mmdebstrap" in r.stderr


def test_nothing_is_left_of_a_build_that_fails(tmp_path):
    if not shutil.which("mmdebstrap") or not shutil.which("umoci"):
        pytest.skip("mmdebstrap or umoci is missing, which builds images")
    (tmp_path / "tmp").mkdir()
    r = build("-o", tmp_path / "out.tar", "--mirror", "http://127.0.0.1:9/debian", "debian",
              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(tmp_path / "tmp")})
    assert r.returncode != 0
    assert not (tmp_path / "out.tar").exists() and not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize("name,cmd,files", [
    ("python", "python3", ("usr/bin/python3", "usr/lib/python3/dist-packages/pip/__init__.py")),
    ("node", "node", ("usr/bin/node", "usr/bin/npm"))])
def test_images(tmp_path, name, cmd, files):
    try:
        archive = offline.image(name)
    except offline.Missing as e:
        pytest.skip(str(e))
    config = json.loads(run("skopeo", "inspect", "--config", f"oci-archive:{archive}"))
    assert config["architecture"] == ARCH and config["os"] == "linux" and config["config"]["Cmd"] == [cmd]
    assert config["config"]["Env"] == ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    layers = json.loads(run("skopeo", "inspect", "--raw", f"oci-archive:{archive}"))["layers"]
    assert len(layers) == 1
    with tarfile.open(archive) as t:
        blob = t.extractfile("blobs/" + layers[0]["digest"].replace(":", "/")).read()
    with tarfile.open(fileobj=io.BytesIO(blob)) as t:
        names = {m.name.removeprefix("./") for m in t if not m.isdir() and (m.size or not m.isreg())}
    assert names.issuperset(files) and "usr/share/doc/bash/copyright" in names
    assert not [n for n in names if n.startswith(("var/lib/apt/lists/", "var/cache/apt/", "usr/share/man/man1/"))]
