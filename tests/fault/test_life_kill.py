# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the supervisor, the machine or the command line at random moments in the life of a named sandbox.

After every kill: no process of the sandbox is left, `msb ls` shows a state that is true, and start, exec, stop and rm work.
A file that was synced before is still there.
"""

import ctypes
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MSB_TEST_BUILD", ROOT / "build"))
MSB = os.environ.get("MSB", str(BUILD / "src/cli/msb"))
LIMIT = 180
ROUNDS = int(os.environ.get("MSB_FAULT_ROUNDS", "12"))
STEPS = (("start",), ("stop",), ("restart",), ("stop", "--force"), ("rm", "--force"), ("exec", "box", "--", "sleep", "0.2"))

ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: nothing can hide


def engines():
    listed = os.environ.get("MSB_E2E_ENGINES")
    if listed:
        return listed.split(",")
    p = subprocess.run([MSB, "doctor", "--format", "json"], capture_output=True, check=False)
    try:
        report = json.loads(p.stdout)
    except ValueError:
        return []
    return report["engines"] if report["ok"] else []


def descendants(pid):
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                found += [int(child), *descendants(int(child))]
    except OSError:
        pass
    return found


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


class Box:
    def __init__(self, home, engine):
        self.home = home
        self.env = {**{k: v for k, v in os.environ.items() if not k.startswith("MSB_") or k == "MSB_LIB"},
                    "MSB_HOME": str(home), "MSB_ENGINE": engine}

    def __call__(self, *argv):
        return subprocess.run([MSB, *argv], stdin=subprocess.DEVNULL, capture_output=True, env=self.env, timeout=LIMIT, check=False)

    def ok(self, *argv):
        r = self(*argv)
        assert r.returncode == 0, f"{argv}: {r.returncode}: {r.stderr.decode(errors='replace')}"
        return r.stdout.decode()

    def status(self):
        return {s["name"]: s["status"] for s in json.loads(self.ok("ls", "--format", "json"))}.get("box")


def kill_one(rng, victim, cli):
    """SIGKILL of the CLI, of a supervisor or of a machine, whichever of them there is."""
    mine = [p for p in descendants(os.getpid()) if p != cli.pid]
    names = {}
    for pid in mine:
        try:
            names[pid] = Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            continue
    targets = {
        "cli": [cli.pid],
        "supervisor": [p for p, n in names.items() if n == "msb-sandbox"],
        "machine": [p for p, n in names.items() if n.startswith(("qemu", "msb-vmm"))],
    }[victim]
    for pid in targets[:1]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


@pytest.mark.parametrize("engine", engines() or [pytest.param(None, marks=pytest.mark.skip(reason="no engine works here"))])
def test_kill9_in_the_life_of_a_sandbox(engine, tmp_path):
    rng = random.Random(f"life {engine}")
    box = Box(tmp_path / "home", engine)
    box.ok("create", "--name", "box")
    box.ok("exec", "box", "--", "sh", "-c", "echo safe >/root/file; sync")
    begin = time.monotonic()
    box.ok("restart", "box")
    span = time.monotonic() - begin
    for n in range(ROUNDS):
        step = STEPS[n % len(STEPS)]
        victim = ("cli", "supervisor", "machine")[n % 3]
        argv = step if step[0] == "exec" else (*step, "box")
        cli = subprocess.Popen([MSB, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=box.env)
        time.sleep(rng.random() * span)  # the moment of the kill, not a wait for something
        kill_one(rng, victim, cli)
        cli.wait(timeout=LIMIT)
        where = f"round {n}: {argv}, {victim} killed"
        status = box.status()
        assert status in (None, "Running", "Starting", "Draining", "Stopped", "Crashed"), where
        if status is None:
            assert step[0] == "rm", where
            box.ok("create", "--name", "box")
            box.ok("exec", "box", "--", "sh", "-c", "echo safe >/root/file; sync")
        r = box("exec", "box", "--", "cat", "/root/file")
        # It may end right now, from a stop that was on its way.
        if r.returncode != 0:
            box("wait", "--timeout", "60s", "box")
            r = box("exec", "box", "--", "cat", "/root/file")
        assert (r.returncode, r.stdout) == (0, b"safe\n"), (where, r.stderr)
        assert box("stop", "box").returncode == 0, where
        assert box.status() in ("Stopped", "Crashed"), where
        if n % 2:
            box.ok("start", "box")
        reap()
    box.ok("rm", "--force", "box")
    assert box.status() is None and list((box.home / "sandboxes").iterdir()) == []
    deadline = time.monotonic() + 30
    while descendants(os.getpid()) and time.monotonic() < deadline:
        reap()
        time.sleep(0.05)
    assert not descendants(os.getpid()), "processes are left"
