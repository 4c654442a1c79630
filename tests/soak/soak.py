#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""soak - sandboxes made, used, stopped, started and removed for as long as you like, with kill -9 of everything among it.

usage: tests/soak/soak.py [--ops N] [--seconds N] [--seed N] [--workers N] [--machine fake|qemu|kvm] [--kill SHARE]

Several workers share one MSB_HOME. Each has sandboxes of its own and a model of them: which there are, which run, and which
files they hold. After every operation the model and msb agree, or the soak ends with an error. A part of the operations is
hit by a kill -9 of the command, the supervisor, the machine or all three at a random moment; what such an operation did is
looked up, and has to be one of the things that it may have done. One sandbox is used by all workers in any order.

No acknowledged write is lost: a file that `msb cp` has copied in is there, whole, until something unclean happens to its
machine; after a sync, or an orderly stop, it is there whatever happens. No file has other bytes than those written.

Every now and then the workers pause, and an external auditor (tests/lib/audit.py), which asks the kernel and not msb, looks
for processes, descriptors, files, sockets, locks and mounts that nobody is entitled to.

With --machine fake machines are processes that play a guest (tests/lib/fakehost.py): supervisor, command line and state are
the real ones, and a start takes milliseconds. With the others guests are real. The seed is printed; the same seed chooses
the same operations, victims and delays in each worker.
"""

import argparse
import ctypes
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import audit  # noqa: E402 (needs the path above)
from fakehost import LIMIT, FakeHost, pattern  # noqa: E402

PR_SET_CHILD_SUBREAPER = 36
BOXES = 3  # of each worker
FILES = 12  # of each sandbox
AUDIT_EVERY = {"fake": 500, "qemu": 80, "kvm": 40}  # operations
SETTLE_S = 60.0
VICTIMS = ("cli", "supervisor", "machine", "net", "fs", "all")
# What a guest is asked, by kind of guest. EMIT's output begins with its bytes.
REAL = {"exit": lambda n: ("sh", "-c", f"exit {n}"), "sync": ("sync",), "cat": ("cat",),
        "emit": lambda n: ("head", "-c", str(n), "/dev/zero"), "bytes": lambda n: b"\0" * n}
FAKE = {"exit": lambda n: ("exit", str(n)), "sync": ("sync",), "cat": ("cat",), "emit": lambda n: ("emit", str(n)),
        "bytes": pattern}


class Broken(AssertionError):
    """What the soak is there to find."""


class Box:
    """What has to be true of one sandbox."""

    def __init__(self, name):
        self.name = name
        self.gone()

    def gone(self):
        self.exists = False
        self.running = False
        self.files = {}  # name: [sha256, durable]

    def forget_unsynced(self):
        self.files = {n: f for n, f in self.files.items() if f[1]}

    def synced(self):
        for f in self.files.values():
            f[1] = True


class Worker:
    def __init__(self, soak, number):
        self.soak = soak
        self.host = soak.host
        self.rng = random.Random(f"{soak.args.seed}/{number}")
        self.boxes = [Box(f"w{number}-{i}") for i in range(BOXES)]
        self.guest = soak.guest
        self.serial = 0
        self.log = []  # the last operations, for the report

    def say(self, text):
        self.log = [*self.log[-25:], text]

    def fail(self, text):
        raise Broken("\n  ".join([text, "the last operations of this worker:", *self.log]))

    def run(self, *argv, input=None):
        self.soak.count("ops")
        self.say(" ".join(argv))
        return self.host(*argv, input=input)

    def expect(self, r, status=0, out=None):
        if r.returncode != status or (out is not None and r.stdout != out):
            self.fail(f"exit status {r.returncode}, not {status}: {r.stderr.decode(errors='replace')!r}, "
                      f"{len(r.stdout)} bytes of output" + (f" instead of {len(out)}" if out is not None else ""))

    # What one process may meet.

    def pids(self, box, cli, victim):
        if victim == "cli":
            return [cli.pid]
        try:
            state = json.loads((self.host.home / "sandboxes" / box.name / "state.json").read_text())
        except (OSError, ValueError):
            state = {}
        # A supervisor that the command has just started has not written it yet.
        supervisors = {p for p in (state.get("pid", 0), *audit.descendants(cli.pid)) if p and audit.Process(p).comm == "msb-sandbox"}
        # The number may be another sandbox's by now.
        supervisors = {s for s in supervisors if s in audit.descendants(cli.pid) or any(
            f"/sandboxes/{box.name}/" in t for t in audit.links(s).values())}
        machines = {m for s in supervisors for m in audit.descendants(s)}
        helpers = {name: [m for m in machines if audit.Process(m).comm == f"msb-{name}"] for name in ("net", "fs")}
        if victim in helpers:
            return helpers[victim]
        if victim == "machine":
            return [m for m in machines if m not in helpers["net"] and m not in helpers["fs"]]
        return [*supervisors] if victim == "supervisor" else [cli.pid, *supervisors, *machines]

    def killed(self, box, *argv, input=None):
        """Starts a command and kills one of @box's processes at some moment. The model of @box is not touched."""
        victim = self.rng.choice(VICTIMS)
        delay = self.rng.random() * self.soak.span
        self.soak.count("ops")
        self.say(f"{' '.join(argv)}  # kill -9 of {victim} after {delay * 1000:.1f} ms")
        with tempfile.TemporaryFile(dir=self.host.work) as stdin:
            stdin.write(input or b"")
            stdin.seek(0)
            cli = self.host.start(*argv, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(delay)  # the moment of the kill, not a wait for something
            for pid in self.pids(box, cli, victim):
                try:
                    os.kill(pid, signal.SIGKILL)
                    self.soak.count(f"killed {victim}")
                except ProcessLookupError:
                    pass
            try:
                cli.wait(timeout=LIMIT)
            except subprocess.TimeoutExpired:
                cli.kill()
                self.fail("the command does not end")
        return victim

    def status(self, box):
        r = self.run("ls", "--format", "json")
        self.expect(r)
        return {s["name"]: s["status"] for s in json.loads(r.stdout)}.get(box.name)

    def settle(self, box, may_exist, may_be_gone, clean):
        """After a kill: an orderly stop gives a state that can be known."""
        status = self.status(box)
        if status is None:
            if not may_be_gone:
                self.fail(f"{box.name} has vanished")
            box.gone()
            return
        if not may_exist:
            self.fail(f"{box.name} is there and {status}")
        r = self.run("stop", "-q", box.name)
        if r.returncode != 0 and may_be_gone and self.status(box) is None:
            box.gone()
            return
        self.expect(r)
        status = self.status(box)
        # Of a creation that did not come to an end nothing may be left.
        if status is None and may_be_gone:
            box.gone()
            return
        if status not in ("Stopped", "Crashed"):
            self.fail(f"{box.name} is {status} after a stop")
        box.exists = True
        box.running = False
        if clean and status == "Stopped":
            box.synced()
        else:
            box.forget_unsynced()

    # The operations. Each leaves the model true.

    def create(self, box):
        argv = ("create", "-q", "--name", box.name)
        if self.soak.args.machine != "fake":
            shared = self.host.work / "shared"
            shared.mkdir(exist_ok=True)
            argv = (*argv, "-m", "128M", "-v", f"{shared}:/shared")
        if self.rng.random() < self.soak.args.kill:
            self.killed(box, *argv)
            made = self.make_sure(box, argv)
            # The first one may have been seen while it was giving up the name.
            self.settle(box, True, not made, clean=True)
            return
        self.expect(self.run(*argv))
        box.exists = box.running = True

    def make_sure(self, box, argv):
        """A supervisor whose command was killed may still be about to take the name, or to give it up. One of the two gets it.

        True when the second did, so that it has to be there from now on.
        """
        deadline = time.monotonic() + SETTLE_S
        while True:
            r = self.run(*argv)
            if r.returncode == 0 or self.status(box) is not None:
                return r.returncode == 0
            if time.monotonic() > deadline:
                self.fail(f"{box.name} can neither be made nor is it there: {r.stderr.decode(errors='replace')!r}")

    def end(self, box, *argv):
        """stop, stop --force, restart, kill."""
        force = "--force" in argv or argv[0] == "kill"
        if self.rng.random() < self.soak.args.kill:
            victim = self.killed(box, *argv, box.name)
            self.settle(box, True, False, clean=victim == "cli" and not force)
            return
        self.expect(self.run(*argv, box.name))
        if box.running and force:
            box.forget_unsynced()
        else:
            box.synced()
        box.running = argv[0] == "restart"

    def start(self, box):
        if self.rng.random() < self.soak.args.kill:
            self.killed(box, "start", "-q", box.name)
            self.settle(box, True, False, clean=True)
            return
        self.expect(self.run("start", "-q", box.name))
        box.running = True

    def remove(self, box):
        argv = ("rm", "-q", "--force", box.name)
        if self.rng.random() < self.soak.args.kill:
            self.killed(box, *argv)
            self.settle(box, True, True, clean=False)
            if box.exists:
                box.files = {}
                self.expect(self.run(*argv))
        else:
            self.expect(self.run(*argv))
        box.gone()

    def exec(self, box):
        what = self.rng.choice(("exit", "emit", "cat"))
        n = self.rng.randrange(1, 200) if what == "exit" else self.rng.randrange(300_000)
        data = self.rng.randbytes(n) if what == "cat" else None
        argv = ("exec", box.name, "--", *(self.guest["cat"] if what == "cat" else self.guest[what](n)))
        if self.rng.random() < self.soak.args.kill:
            victim = self.killed(box, *argv, input=data)
            self.settle(box, True, False, clean=victim == "cli")
            return
        r = self.run(*argv, input=data)
        self.expect(r, n if what == "exit" else 0, b"" if what == "exit" else data if what == "cat" else self.guest["bytes"](n))
        self.used(box)

    def used(self, box):
        """A command that found @box stopped has started it and stopped it again, in order."""
        if not box.running:
            box.synced()

    def copy_in(self, box):
        self.serial += 1
        data = self.rng.randbytes(self.rng.randrange(60_000))
        name = f"/root/f{self.serial}" if len(box.files) < FILES else self.rng.choice(sorted(box.files))
        box.files.pop(name, None)  # until it is acknowledged nobody knows
        if self.rng.random() < self.soak.args.kill:
            victim = self.killed(box, "cp", "-", f"{box.name}:{name}", input=data)
            self.settle(box, True, False, clean=victim == "cli")
            return
        self.expect(self.run("cp", "-", f"{box.name}:{name}", input=data))
        box.files[name] = [hashlib.sha256(data).hexdigest(), False]
        self.used(box)

    def copy_out(self, box):
        if not box.files:
            return
        name = self.rng.choice(sorted(box.files))
        r = self.run("cp", f"{box.name}:{name}", "-")
        self.expect(r)
        if hashlib.sha256(r.stdout).hexdigest() != box.files[name][0]:
            self.fail(f"{box.name}:{name} has other bytes than those that were acknowledged"
                      f" ({'synced' if box.files[name][1] else 'not synced'})")
        self.soak.count("files verified")
        self.used(box)

    def sync(self, box):
        if self.rng.random() < self.soak.args.kill:
            victim = self.killed(box, "exec", box.name, "--", *self.guest["sync"])
            self.settle(box, True, False, clean=victim == "cli")
            return
        self.expect(self.run("exec", box.name, "--", *self.guest["sync"]))
        box.synced()

    def ephemeral(self, box):
        """A sandbox for one command; @box only lends its worker."""
        n = self.rng.randrange(1, 200)
        if self.rng.random() < self.soak.args.kill:
            self.killed(Box("nobody"), "run", "-q", "--", *self.guest["exit"](n))
        else:
            self.expect(self.run("run", "-q", "--", *self.guest["exit"](n)), n)

    def contend(self, box):
        """Anything with a sandbox that all workers use: any order is right, but every command ends and says why it failed."""
        shared = Box("shared")
        argv = self.rng.choice((("create", "-q", "--name"), ("start", "-q"), ("stop", "-q"), ("stop", "-q", "--force"), ("restart", "-q"),
                                ("rm", "-q", "--force"), ("exec",)))
        argv = (*argv, "shared", *(("--", *self.guest["exit"](7)) if argv == ("exec",) else ()))
        if self.rng.random() < self.soak.args.kill:
            self.killed(shared, *argv)
            return
        r = self.run(*argv)
        if r.returncode not in (0, 125) and (argv[0] != "exec" or r.returncode not in (7, 137, 143)):
            self.expect(r)
        if r.returncode == 125 and not r.stderr.startswith(b"msb: "):
            self.fail(f"exit status 125 without a reason: {r.stderr!r}")

    def look(self, box):
        status = self.status(box)
        if not box.exists:
            good = status is None
        else:
            good = status == "Running" if box.running else status in ("Stopped", "Crashed")
        if not good:
            self.fail(f"{box.name} is {status}; it has to {'run' if box.running else 'exist' if box.exists else 'be gone'}")

    def step(self):
        box = self.rng.choice(self.boxes)
        if not box.exists:
            self.rng.choice((self.create, self.create, self.create, self.look, self.ephemeral, self.contend))(box)
            return
        everywhere = [(self.exec, 8), (self.copy_in, 5), (self.copy_out, 5), (self.sync, 2), (self.look, 1), (self.ephemeral, 1), (self.contend, 1),
                      (self.remove, 1), (lambda b: self.end(b, "restart", "-q"), 1)]
        if box.running:
            ops = [*everywhere, (lambda b: self.end(b, "stop", "-q"), 2), (lambda b: self.end(b, "stop", "-q", "--force"), 1)]
        else:
            # What starts a machine only for itself is dear.
            ops = [(op, weight if weight < 2 else 1) for op, weight in everywhere] + [(self.start, 8)]
        self.rng.choices([op for op, _ in ops], [weight for _, weight in ops])[0](box)

    def verify_all(self):
        for box in self.boxes:
            self.look(box)
            for name in sorted(box.files):
                r = self.run("cp", f"{box.name}:{name}", "-")
                self.expect(r)
                if hashlib.sha256(r.stdout).hexdigest() != box.files[name][0]:
                    self.fail(f"{box.name}:{name} has other bytes than those that were acknowledged")
                self.soak.count("files verified")
            self.used(box)


class Soak:
    def __init__(self, args, work):
        self.args = args
        self.host = FakeHost(work, fake=args.machine == "fake")
        if args.machine != "fake":
            self.host.env["MSB_ENGINE"] = args.machine
        self.guest = FAKE if args.machine == "fake" else REAL
        self.counts = Counter()
        self.lock = threading.Lock()
        self.span = 0.02
        self.baseline = {}  # of a supervisor or machine by number and start: kinds of its descriptors
        self.workers = [Worker(self, n) for n in range(args.workers)]
        self.broken = None
        self.begin = 0.0

    def count(self, what, n=1):
        with self.lock:
            self.counts[what] += n

    def measure(self):
        """Kills have to hit the middle of things: how long do those take here?"""
        begin = time.monotonic()
        self.host.ok("create", "-q", "--name", "first")
        self.host.ok("stop", "-q", "first")
        self.span = (time.monotonic() - begin) * 0.7
        self.host.ok("rm", "-q", "first")

    def audit(self):
        """While no worker does anything. What is on its way out has a grace period."""
        boxes = [b for w in self.workers for b in w.boxes]
        names = {b.name for b in boxes if b.exists}
        running = {b.name for b in boxes if b.running}
        # Left-overs of a killed supervisor are removed by the next command: this is it.
        self.host.ok("ls")
        deadline = time.monotonic() + SETTLE_S
        while True:
            r = self.host("rm", "-q", "--force", "shared")
            if r.returncode != 0 and b"no sandbox is named" not in r.stderr:
                raise Broken(f"the shared sandbox cannot be removed: {r.stderr!r}")
            self.reap()
            bad = audit.audit(self.host.home, names, running, os.getpid(), self.host.tmp) + self.descriptors()
            if not bad:
                break
            if time.monotonic() > deadline:
                raise Broken("the auditor found\n  " + "\n  ".join(bad))
            time.sleep(0.02)
        self.count("audits")

    def descriptors(self):
        """The same process has the same descriptors whenever it rests."""
        bad = []
        found = {}
        for p in audit.processes(self.host.home, os.getpid()):
            kinds = sorted(audit.kind(t) for t in p.fds.values())
            want = self.baseline.get((p.pid, p.started), kinds)
            if want != kinds:
                bad.append(f"descriptors of {p}: {Counter(kinds) - Counter(want) or Counter(want) - Counter(kinds)}")
            found[p.pid, p.started] = want
        self.baseline = found
        return bad

    @staticmethod
    def reap():
        """Orphans, as init would."""
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass

    def work(self, worker, until):
        try:
            while self.counts["ops"] < until and not self.broken and not self.over():
                worker.step()
        except BaseException as e:  # pylint: disable=broad-except # to be raised where the soak ends
            self.broken = self.broken or e

    def over(self):
        return self.args.seconds and time.monotonic() > self.begin + self.args.seconds

    def phase(self, until):
        threads = [threading.Thread(target=self.work, args=(w, until)) for w in self.workers]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if self.broken:
            raise self.broken
        self.audit()

    def run(self):
        self.measure()
        self.begin = time.monotonic()
        while self.counts["ops"] < self.args.ops and not self.over():
            self.phase(min(self.args.ops, self.counts["ops"] + AUDIT_EVERY[self.args.machine]))
            took = time.monotonic() - self.begin
            if self.counts["audits"] % 20 == 0:
                print(f"soak: {self.counts['ops']} operations, {took:.0f} s", flush=True)
        for w in self.workers:
            w.verify_all()
        self.audit()
        for w in self.workers:
            for box in w.boxes:
                if box.exists:
                    w.remove(box)
        self.audit()
        kills = sum(n for what, n in self.counts.items() if what.startswith("killed "))
        print(f"soak: {self.counts['ops']} operations in {time.monotonic() - self.begin:.0f} s, {kills} processes killed, "
              f"{self.counts['files verified']} files verified, {self.counts['audits']} audits: nothing lost, nothing left")
        print("soak: " + ", ".join(f"{what} {n}" for what, n in sorted(self.counts.items())), flush=True)

    def clean_up(self):
        """After a failure nothing may go on either."""
        for p in audit.processes(self.host.home, os.getpid()):
            try:
                os.kill(p.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.reap()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ops", type=int, help="how many (default 3000, without end with --seconds)")
    parser.add_argument("--seconds", type=float, help="no operation begins later than that")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1))
    parser.add_argument("--machine", choices=["fake", "qemu", "kvm"], default="fake")
    parser.add_argument("--kill", type=float, default=0.1, help="share of the operations that are hit (default 0.1)")
    args = parser.parse_args()
    args.ops = args.ops or (sys.maxsize if args.seconds else 3000)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    length = f"{args.seconds:.0f} s" if args.seconds else f"{args.ops} operations"
    print(f"soak: {length}, {args.workers} workers, machines: {args.machine}, seed {args.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="msb-soak-") as work:
        soak = Soak(args, work)
        try:
            soak.run()
        except Broken as e:
            print(f"soak: FAILED with seed {args.seed} after {soak.counts['ops']} operations: {e}", flush=True)
            return 1
        finally:
            soak.clean_up()
    return 0


if __name__ == "__main__":
    sys.exit(main())
