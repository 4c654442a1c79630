#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is really there of the sandboxes of one MSB_HOME: processes, descriptors, files, sockets, locks, mounts.

usage: tests/lib/audit.py HOME [RUNNING-NAME...]

It asks the kernel (/proc) and the file system, and nothing of msb: with what msb says of itself nothing could be proved.
audit() returns complaints; no complaint means that nothing is there but what the sandboxes that exist are entitled to.
"""

import os
import re
import sys
import time
from pathlib import Path

# What may lie in a sandbox's directory, in that of one which does not run (the next start takes it), and in MSB_HOME.
FILES = re.compile(r"lock|spec\.json|state\.json|agent\.sock|kernel\.log|exec-[0-3]\.log|ledger-[0-3]\.jsonl|ledger\.head|upper\.ext4|image\.erofs")
UNFINISHED = re.compile(r"(state\.json|upper\.ext4)\.new")
HOME_FILES = {"sandboxes", "cache", "tls", "engine.json", "config.json"}
GRACE_S = 10


def read(path):
    try:
        return Path(path).read_bytes().decode(errors="replace")
    except OSError:
        return ""


def links(pid):
    """Targets of all descriptors of a process by number."""
    found = {}
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                found[int(fd)] = os.readlink(f"/proc/{pid}/fd/{fd}")
            except OSError:
                continue
    except OSError:
        pass
    return found


def kind(target):
    """What a descriptor is, without what makes it one of many."""
    return re.sub(r"\[?[0-9]+\]?|\(deleted\)", "", target)


class Process:
    def __init__(self, pid):
        self.pid = pid
        self.comm = read(f"/proc/{pid}/comm").strip()
        self.ppid = int((re.search(r"^PPid:\s*(\d+)", read(f"/proc/{pid}/status"), re.M) or [0, 0])[1])
        # With it the number is never another process's.
        self.started = (read(f"/proc/{pid}/stat").rpartition(")")[2].split() + [""] * 20)[19]
        self.fds = links(pid)

    def rss_kib(self):
        """Of its own: pages of files do not count."""
        return int((re.search(r"^RssAnon:\s*(\d+)", read(f"/proc/{self.pid}/status"), re.M) or [0, 0])[1])

    def __repr__(self):
        return f"{self.comm}[{self.pid}]"


def descendants(pid):
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in read(f"/proc/{pid}/task/{task}/children").split():
                found += [int(child), *descendants(int(child))]
    except OSError:
        pass
    return found


def processes(home, below=None):
    """All that have to do with @home: descendants of @below, and whoever holds something of it or works in it."""
    pids = set(descendants(below)) if below else set()
    home = str(home)
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        held = [*links(name).values()]
        for link in ("cwd", "root", "exe"):
            try:
                held.append(os.readlink(f"/proc/{name}/{link}"))
            except OSError:
                continue
        if any(h.startswith(home + "/") for h in held) or home + "/" in read(f"/proc/{name}/maps"):
            pids.add(int(name))
    return [p for p in (Process(pid) for pid in sorted(pids)) if p.comm]


def locks():
    """Inodes that somebody holds a lock on, with the device: how many locks on each."""
    count = {}
    for line in read("/proc/locks").splitlines():
        m = re.match(r"\d+: (?!->)\S+ +\S+ +\S+ +\S+ ([0-9a-f]+):([0-9a-f]+):(\d+) ", line)
        if m:
            key = (int(m[1], 16), int(m[2], 16), int(m[3]))
            count[key] = count.get(key, 0) + 1
    return count


def lock_key(path):
    st = os.stat(path)
    return (os.major(st.st_dev), os.minor(st.st_dev), st.st_ino)


def named_sockets():
    """Inodes of sockets that have a name, listening or accepted there."""
    return {m[1] for m in re.finditer(r" (\d+) \S*agent\.sock$", read("/proc/net/unix"), re.M)}


def audit(home, names, running, below=None, tmp=None):
    """Complaints; @names are the sandboxes that exist, @running those of them that run and are not used at this moment."""
    home = Path(home).resolve()
    place = home / "sandboxes"
    bad = []
    there = set(os.listdir(place)) if place.exists() else set()
    if there != set(names):
        bad.append(f"directories: {sorted(there ^ set(names))} are too many or missing")
    extra = set(os.listdir(home)) - HOME_FILES if home.exists() else set()
    if extra:
        bad.append(f"files in MSB_HOME: {sorted(extra)}")
    for name in there:
        odd = [f for f in os.listdir(place / name) if not FILES.fullmatch(f) and (name in running or not UNFINISHED.fullmatch(f))]
        if odd:
            bad.append(f"files of {name}: {odd}")
    if tmp and os.listdir(tmp):
        bad.append(f"temporary files: {os.listdir(tmp)}")
    if str(home) in read("/proc/self/mountinfo"):
        bad.append("mounts")

    held = locks()
    for name in there & set(names):
        want = 1 if name in running else 0
        n = held.get(lock_key(place / name / "lock"), 0)
        if n != want:
            bad.append(f"{n} locks on {name}, which {'runs' if want else 'does not run'}")
        for f in os.listdir(place / name):
            if f != "lock" and held.get(lock_key(place / name / f), 0):
                bad.append(f"a lock on {name}/{f}")
    found = processes(home, below)
    supervisors = [p for p in found if p.comm == "msb-sandbox"]
    children = [p for p in found if p.ppid in [s.pid for s in supervisors]]
    networks = [p for p in children if p.comm == "msb-net"]
    interceptors = [p for p in children if p.comm == "msb-tls"]
    shares = [p for p in children if p.comm == "msb-fs"]
    machines = [p for p in children if p not in networks and p not in interceptors and p not in shares]
    named = named_sockets()
    for p in found:
        n = sum(t.startswith("socket:") and t[8:-1] in named for t in p.fds.values())
        if n != (p in supervisors):
            bad.append(f"{p} has {n} sockets to be reached through or connected to")
    other = [p for p in found if p not in supervisors and p not in children]
    if other:
        bad.append(f"processes: {other}")
    # One without a network has no process for it.
    if any(len(p) != len(running) for p in (supervisors, machines)) or len({p.ppid for p in networks}) != len(networks):
        bad.append(f"{len(running)} sandboxes run, with {supervisors}, {machines} and {networks}")
    return bad


def settled(*args, **kwargs):
    """What audit() says when what was on its way out is gone: a connection is still open for a moment after its client has ended."""
    deadline = time.monotonic() + GRACE_S
    while (bad := audit(*args, **kwargs)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return bad


if __name__ == "__main__":
    complaints = audit(sys.argv[1], os.listdir(Path(sys.argv[1], "sandboxes")), sys.argv[2:])
    print("\n".join(complaints) or "nothing that should not be there")
    sys.exit(bool(complaints))
