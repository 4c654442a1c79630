#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the CLI, the supervisor, the machine's process or all of them, at random moments of `msb run`.

usage: tests/fault/kill9.py [--engine qemu|kvm] [--count N] [--seed N] [--msb PATH] [--workers N]

After every kill: the CLI ends by itself and says why, every process of the sandbox is gone, and so is its directory,
unless the supervisor itself was killed: then the next command removes it. Mounts, sockets and temporary files are
looked at as well. The seed is printed; with the same seed the same victims are chosen after the same delays.

Nothing can hide from this test: it makes itself the reaper of all orphans below it.
"""

import argparse
import ctypes
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

VICTIMS = ("cli", "supervisor", "machine", "all")
PATIENCE = 20.0
PR_SET_CHILD_SUBREAPER = 36
# Runs long enough to be hit in every phase, and prints something to be lost.
COMMAND = ("sh", "-c", "echo begin; i=0; while [ $i -lt 300 ]; do i=$((i+1)); done; echo end")


class Broken(AssertionError):
    """What the test is there to find."""


def children(pid):
    """Direct children of every thread of a process."""
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            found += [int(c) for c in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def comm(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False


class Worker:
    def __init__(self, msb, engine, work):
        self.msb = msb
        self.engine = engine
        self.home = work / "home"
        self.tmp = work / "tmp"
        self.tmp.mkdir(parents=True)
        self.env = {**os.environ, "MSB_HOME": str(self.home), "TMPDIR": str(self.tmp)}
        self.counts = Counter()
        self.codes = Counter()

    def start(self, command=COMMAND):
        return subprocess.Popen([self.msb, "run", "-q", "--engine", self.engine, "--", *command], env=self.env,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def sandboxes(self):
        try:
            return sorted(os.listdir(self.home / "sandboxes"))
        except FileNotFoundError:
            return []

    def run_whole(self):
        """An undisturbed command; seconds it took."""
        begin = time.monotonic()
        p = self.start()
        out, err = p.communicate(timeout=300)
        if p.returncode != 0 or out != "begin\nend\n":
            raise Broken(f"an undisturbed run failed: exit {p.returncode}, {out!r}, {err!r}")
        self.assert_no_process("an undisturbed run")
        if self.sandboxes():
            raise Broken(f"left after an undisturbed run: {self.sandboxes()}")
        return time.monotonic() - begin

    def find(self, cli, victim):
        """Processes to kill, in no particular order; empty when there is none at this moment."""
        supervisors = [c for c in children(cli.pid) if comm(c) == "msb-sandbox"]
        machines = [m for s in supervisors for m in children(s)]
        if victim == "cli":
            return [cli.pid]
        if victim == "supervisor":
            return supervisors
        if victim == "machine":
            return machines
        return [cli.pid, *supervisors, *machines]

    def assert_no_process(self, what):
        """Everything below us ends soon; orphans are reaped here, as init would."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid:
                continue
            if time.monotonic() > deadline:
                left = [(p, comm(p)) for p in descendants(os.getpid())]
                for p, _ in left:
                    kill(p)
                raise Broken(f"{what}: processes left: {left}")
            time.sleep(0.002)

    def assert_clean(self, what):
        sockets = [line for line in Path("/proc/net/unix").read_text().splitlines() if str(self.home) in line]
        if sockets:
            raise Broken(f"{what}: sockets left: {sockets}")
        if str(self.home) in Path("/proc/self/mountinfo").read_text():
            raise Broken(f"{what}: mounts left")
        if os.listdir(self.tmp):
            raise Broken(f"{what}: temporary files left: {os.listdir(self.tmp)}")

    def one(self, victim, delay):
        """One run, one kill. Returns whether there was something to kill."""
        what = f"kill of {victim} after {delay * 1000:.1f} ms"
        cli = self.start()
        time.sleep(delay)  # the moment of the kill is the point of this test
        pids = self.find(cli, victim)
        hit = [kill(p) for p in pids]
        try:
            _, err = cli.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            tree = [(p, comm(p)) for p in descendants(os.getpid())]
            for p, _ in tree:
                kill(p)
            raise Broken(f"{what}: the CLI did not end; processes: {tree}") from None
        self.assert_no_process(what)
        killed_cli = victim in ("cli", "all")
        if cli.returncode not in ((0, -9) if killed_cli else (0, 125)):
            raise Broken(f"{what}: exit {cli.returncode}, {err!r}")
        if cli.returncode == 125 and not err.startswith("msb: "):
            raise Broken(f"{what}: exit 125 without a reason: {err!r}")
        left = self.sandboxes()
        if left and victim not in ("supervisor", "all"):
            raise Broken(f"{what}: the supervisor left {left}")
        if len(left) > 1:
            raise Broken(f"{what}: more than one directory left: {left}")
        self.assert_clean(what)
        if left:
            self.run_whole()
            self.counts["cleaned by the next command"] += 1
        if any(hit):
            self.counts[victim] += 1
            self.codes[cli.returncode] += 1
        return any(hit)


def run(msb, engine, count, seed):
    """Kills `count` times; returns a Counter of what was hit."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="msb-kill9-") as work:
        w = Worker(msb, engine, Path(work))
        w.run_whole()
        whole = w.run_whole()
        done = 0
        for attempt in range(count * 4):
            if done == count:
                break
            # Half of the kills go to the first tenth: that is where things are made.
            span = whole * (0.1 if rng.random() < 0.5 else 1.05)
            done += w.one(rng.choice(VICTIMS), rng.random() * span)
        if done < count:
            raise Broken(f"only {done} of {count} kills hit anything")
        w.run_whole()
        return w.counts, w.codes


def run_parallel(msb, engine, count, seed, workers):
    """Several processes, each with a home of its own. Prints a summary; returns whether all went well."""
    jobs = []
    for i in range(workers):
        share = count // workers + (i < count % workers)
        jobs.append(subprocess.Popen([sys.executable, __file__, "--msb", msb, "--engine", engine, "--count", str(share),
                                      "--seed", str(seed + i), "--workers", "1"],
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    ok = True
    for job in jobs:
        out, _ = job.communicate()
        print(out, end="", flush=True)
        ok &= job.returncode == 0
    return ok


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--msb", default=os.environ.get("MSB", "msb"))
    parser.add_argument("--engine", default="qemu", choices=["qemu", "kvm"])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1 << 32)
    if args.workers > 1:
        return 0 if run_parallel(args.msb, args.engine, args.count, seed, args.workers) else 1
    print(f"kill9: engine {args.engine}, {args.count} kills, seed {seed}", flush=True)
    try:
        counts, codes = run(args.msb, args.engine, args.count, seed)
    except Broken as e:
        print(f"kill9: FAILED with seed {seed}: {e}", flush=True)
        return 1
    print("kill9: " + ", ".join(f"{k} {v}" for k, v in sorted(counts.items())) +
          "; exit codes " + ", ".join(f"{k}: {v}" for k, v in sorted(codes.items())), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
