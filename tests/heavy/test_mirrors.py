# SPDX-License-Identifier: Apache-2.0
"""Packages from the mirrors that this host uses, installed inside a sandbox with the default policy."""

import ipaddress
import os
import socket
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from conftest import LIMIT
from offline import Missing, image

SLOW = LIMIT * 10  # seconds: lists of all packages, unpacked and indexed by an emulated machine
APT = r"""
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
! command -v hello
apt-get install -y -qq --no-install-recommends hello > /tmp/log 2>&1 || { cat /tmp/log; exit 1; }
hello
"""
PIP = r"""
set -e
python3 -m pip install --quiet --disable-pip-version-check --no-input --target /tmp/packages six
PYTHONPATH=/tmp/packages python3 -c 'import six; print(six.__name__, six.PY3)'
"""
# What a host says about its index, for pip in the sandbox as well.
PASSED = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT", "http_proxy", "https_proxy", "no_proxy")


def output(*words):
    r = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    return r.stdout.split() if r.returncode == 0 else []


def apt_urls():
    """Of the host; the image was made from them."""
    return output("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Release: bookworm")


def pip_urls():
    return (output(sys.executable, "-m", "pip", "config", "get", "global.index-url")
            or output(sys.executable, "-c", "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"))


def options(urls):
    """What a sandbox needs to reach the first of @urls; skips where this host does not reach it."""
    if any(k.endswith("_proxy") for k in PASSED if os.environ.get(k) or os.environ.get(k.upper())):
        pytest.skip("the mirrors are behind a proxy here, and the default policy reaches none")
    if not urls:
        pytest.skip("this host names no mirror")
    url = urlsplit(urls[0])
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = {a[4][0] for a in socket.getaddrinfo(url.hostname, port, type=socket.SOCK_STREAM)}
        socket.create_connection((url.hostname, port), 10).close()
    except OSError as e:
        pytest.skip(f"the mirror of this host is not reached: {e}")
    if any(ipaddress.ip_address(a).is_private for a in found):
        # An address that no public name has; a policy that allows public ones reaches it where it is for documentation.
        return ["--no-dns-rebind-protection"]
    return []


@pytest.fixture
def python(msb):
    """An image with apt and pip."""
    try:
        archive = image("python")
    except Missing as e:
        pytest.skip(str(e))
    r = msb("load", "-i", str(archive), "-t", "py:mirrors")
    assert r.returncode == 0, r.stderr
    return "py:mirrors"


def run(msb, python, script, more):
    env = [word for k in PASSED if os.environ.get(k) for word in ("-e", f"{k}={os.environ[k]}")]
    r = msb("run", "--pull", "never", "-m", "1G", "--trust-host-cas", *more, *env, python, "--", "sh", "-c", script, input=b"", timeout=SLOW)
    assert r.returncode == 0, (r.stdout + r.stderr).decode(errors="replace")
    return r.stdout.decode()


def test_apt(msb, python):
    assert run(msb, python, APT, options(apt_urls())).endswith("Hello, world!\n")


def test_pip(msb, python):
    assert run(msb, python, PIP, options(pip_urls())) == "six True\n"
