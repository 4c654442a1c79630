# SPDX-License-Identifier: Apache-2.0
"""msb modify: another description for a sandbox that is there."""

import subprocess
import threading

from conftest import LIMIT, MSB
from test_life import life, listed, ok  # noqa: F401 (life is a fixture)


def test_a_stopped_one(life):
    ok(life, "create", "--name", "dev", "-e", "A=1", "-e", "B=2", "--label", "x=1", "--label", "y=2")
    ok(life, "stop", "dev")
    argv = ["modify", "dev", "-c", "2", "-m", "256M", "-e", "A=new", "-e", "C=it's 3", "--env-rm", "B", "--label", "x=9",
            "--label", "z", "--label-rm", "y", "-w", "/srv"]
    before = (life.home / "sandboxes/dev/spec.json").read_bytes()
    plan = ok(life, *argv, "--dry-run")
    assert (life.home / "sandboxes/dev/spec.json").read_bytes() == before
    assert ok(life, *argv) == plan
    rows = [line.split("    ") for line in plan.splitlines()]
    assert rows[0][0] == "FIELD" and len(rows) == 10
    assert ["cpus", "1", "2", "next start"] in [[c.strip() for c in line.split("  ") if c.strip()] for line in plan.splitlines()]
    assert listed(life, "--label", "x=9", "--label", "z").keys() == {"dev"} and not listed(life, "--label", "y")
    ok(life, "start", "dev")
    assert ok(life, "exec", "dev", "--", "sh", "-c", "nproc; pwd; echo $A-$B-$C").split("\n")[:3] == ["2", "/srv", "new--it's 3"]
    r = life("modify", "dev", "-c", "2", "-e", "A=new")
    assert r.returncode == 0 and r.stdout == b"" and b"nothing changes" in r.stderr


def test_a_running_one(life):
    ok(life, "create", "--name", "dev", "-e", "A=1")
    assert "at once" in ok(life, "modify", "dev", "--label", "state=done")
    assert listed(life, "--label", "state=done", "--running").keys() == {"dev"}
    r = life("modify", "dev", "-e", "A=2", "-c", "2", "--label", "state=late")
    assert r.returncode == 125 and b"--restart" in r.stderr and listed(life, "--label", "state=done")
    assert ok(life, "exec", "dev", "--", "sh", "-c", "echo $A; nproc").split() == ["1", "1"]
    ok(life, "modify", "-q", "--next-start", "dev", "-e", "A=2", "-c", "2")
    assert ok(life, "exec", "dev", "--", "sh", "-c", "echo $A; nproc").split() == ["2", "1"]
    ok(life, "restart", "dev")
    assert ok(life, "exec", "dev", "--", "sh", "-c", "echo $A; nproc").split() == ["2", "2"]
    ok(life, "mod", "--restart", "dev", "-e", "A=3", "--max-cpus", "3")
    assert ok(life, "exec", "dev", "--", "sh", "-c", "echo $A; nproc").split() == ["3", "2"]


def test_what_is_refused(life):
    ok(life, "create", "--name", "dev")
    ok(life, "stop", "dev")
    for argv, status in ((["nobody", "-c", "2"], 125), (["dev", "--label", "sandbox.x=1"], 2), (["dev", "-e", "MSB_X=1"], 2),
                         (["dev", "-w", "relative"], 2), (["dev", "-c", "0"], 2), (["dev", "--restart", "--next-start"], 2)):
        r = life("modify", *argv)
        assert r.returncode == status and r.stderr.startswith(b"msb: "), r.stderr
    assert life("modify", "dev").returncode == 0


def test_no_change_is_lost(life):
    ok(life, "create", "--name", "dev")
    for state in ("running", "stopped"):
        if state == "stopped":
            ok(life, "stop", "dev")
        names = [f"{state}-{n}" for n in range(8)]
        all_at_once = [subprocess.Popen([MSB, "modify", "-q", "dev", "--label", name], env=life.env, stdin=subprocess.DEVNULL)
                       for name in names]
        assert [p.wait(LIMIT) for p in all_at_once] == [0] * 8
        assert listed(life, *[word for name in names for word in ("--label", name)]).keys() == {"dev"}


def test_what_is_removed_meanwhile_stays_removed(life):
    ok(life, "create", "--name", "dev")
    busy = threading.Event()
    seen, last = [], {}

    def change(who):
        while who not in last:
            r = life("modify", "-q", "dev", "--label", f"{who}={len(seen)}")
            seen.append(r.returncode)
            if r.returncode:
                last[who] = r.stderr.decode()
            if len(seen) > 5 or r.returncode:
                busy.set()

    threads = [threading.Thread(target=change, args=(f"t{i}",)) for i in range(3)]
    for t in threads:
        t.start()
    started = busy.wait(LIMIT)
    ok(life, "rm", "-f", "dev")
    for t in threads:
        t.join()
    assert started and seen[:5] == [0] * 5, last
    assert not listed(life) and life.sandboxes() == []
    assert len(last) == 3 and all("'dev'" in text for text in last.values()), last
