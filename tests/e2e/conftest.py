# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests stand on: msb as a user sees it, once per engine that works here.

Environment: MSB is the program (default: the build directory's), MSB_LIB its parts, MSB_E2E_ENGINES a comma-separated list
of engines instead of what `msb doctor` says.

No test may leave anything behind: this process adopts whatever its children abandon, so after each test a process that is
still there, or a directory in MSB_HOME/sandboxes, is a failure.
"""

import ctypes
import functools
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MSB_TEST_BUILD", ROOT / "build"))
MSB = os.environ.get("MSB", str(BUILD / "src/cli/msb"))
LIMIT = int(os.environ.get("MSB_TEST_LIMIT", "120"))  # seconds for one run; emulated machines share the host with other tests
PR_SET_CHILD_SUBREAPER = 36

ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def clean_env(home):
    env = {k: v for k, v in os.environ.items() if not k.startswith("MSB_") or k == "MSB_LIB"}
    return {**env, "MSB_HOME": str(home)}


@functools.cache
def working_engines():
    listed = os.environ.get("MSB_E2E_ENGINES")
    if listed:
        return listed.split(",")
    p = subprocess.run([MSB, "doctor", "--format", "json"], capture_output=True, check=False)
    try:
        report = json.loads(p.stdout)
    except ValueError:
        return []
    return report["engines"] if report["ok"] else []


def pytest_generate_tests(metafunc):
    if "engine" in metafunc.fixturenames:
        engines = working_engines()
        none = pytest.param(None, marks=pytest.mark.skip(reason="no engine works here, see 'msb doctor'"))
        metafunc.parametrize("engine", engines or [none], scope="session")


def children():
    mine = f"/proc/{os.getpid()}/task/{os.getpid()}/children"
    found = []
    for pid in Path(mine).read_text().split():
        try:
            found.append((int(pid), Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()))
        except OSError:
            continue
    return found


def reap():
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return


def wait_gone(before, seconds=10):
    """Processes that came since @before and are still there after a grace period."""
    deadline = time.monotonic() + seconds
    while True:
        reap()
        left = [c for c in children() if c[0] not in before]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.02)


class Msb:
    """The command line with a state directory of its own."""

    def __init__(self, home, engine=None):
        self.home = home
        self.env = clean_env(home)
        if engine:
            self.env["MSB_ENGINE"] = engine
        self.started = []

    def __call__(self, *argv, input=None, env=None, timeout=LIMIT, stdin=None):
        return subprocess.run([MSB, *argv], input=input, stdin=stdin if input is None else None, capture_output=True,
                              env={**self.env, **(env or {})}, timeout=timeout, check=False)

    def run(self, *argv, **kwargs):
        """One `msb run`; stdin is empty unless given."""
        if "input" not in kwargs:
            kwargs.setdefault("stdin", subprocess.DEVNULL)
        return self("run", *argv, **kwargs)

    def out(self, *argv, **kwargs):
        """Output of a run that must succeed."""
        r = self.run(*argv, **kwargs)
        assert r.returncode == 0, f"exit status {r.returncode}: {r.stderr.decode(errors='replace')}"
        return r.stdout.decode()

    def start(self, *argv, **kwargs):
        p = subprocess.Popen([MSB, "run", *argv], stdin=kwargs.pop("stdin", subprocess.PIPE),
                             stdout=kwargs.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE, env=self.env, **kwargs)
        self.started.append(p)
        return p

    def close(self):
        for p in self.started:
            if p.poll() is None:
                p.kill()
            p.wait()
            for f in (p.stdin, p.stdout, p.stderr):
                if f:
                    f.close()

    def sandboxes(self):
        place = self.home / "sandboxes"
        return sorted(p.name for p in place.iterdir()) if place.exists() else []


@pytest.fixture
def home(tmp_path):
    """A state directory; when the test is over nothing of its sandboxes may be left."""
    before = {pid for pid, _ in children()}
    yield tmp_path / "home"
    left = wait_gone(before)
    assert not left, f"processes left behind: {left}"
    place = tmp_path / "home/sandboxes"
    assert not place.exists() or not list(place.iterdir()), "sandbox directories left behind"


@pytest.fixture
def cli(home):
    """msb without a choice of engine, for what needs no machine."""
    m = Msb(home)
    yield m
    m.close()


@pytest.fixture
def msb(home, engine):
    m = Msb(home, engine)
    yield m
    m.close()
