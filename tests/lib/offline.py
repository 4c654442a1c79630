# SPDX-License-Identifier: Apache-2.0
"""Images that scripts/build-image.sh makes from Debian packages, kept in ~/.cache/msb/images between runs."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "msb" / "images"


class Missing(Exception):
    """What building an image needs is not here."""


def image(name, packages=()):
    """Path of an OCI archive of the image @name (debian, python, node) with more Debian @packages."""
    stem = "+".join((name, *packages))
    more = ["--with", ",".join(packages)] if packages else []
    path = CACHE / f"{stem}.tar"
    if path.exists():
        return path
    for tool in ("mmdebstrap", "umoci", "skopeo"):
        if not shutil.which(tool):
            raise Missing(f"{tool} is missing, which builds images")
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{stem}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            part = CACHE / f"{stem}.tar.part"
            subprocess.run([ROOT / "scripts" / "build-image.sh", "-o", part, "-t", name, *more, name], check=True)
            part.rename(path)
    return path
