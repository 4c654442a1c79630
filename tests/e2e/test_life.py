# SPDX-License-Identifier: Apache-2.0
"""Named sandboxes: made, used, stopped, started, removed, with a real machine, once per engine."""

import json
import os
import signal
import subprocess
import threading

import pytest

from conftest import LIMIT, MSB


@pytest.fixture
def life(msb):
    """msb, with every sandbox of the test removed at its end."""
    yield msb
    names = msb("ls", "-q").stdout.decode().split()
    if names:
        r = msb("rm", "--force", *names)
        assert r.returncode == 0, r.stderr.decode()


def ok(msb, *argv, **kwargs):
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    if "input" in kwargs:
        kwargs.pop("stdin")
    r = msb(*argv, **kwargs)
    assert r.returncode == 0, f"{argv}: exit status {r.returncode}: {r.stderr.decode(errors='replace')}"
    return r.stdout.decode()


def listed(msb, *argv):
    return {s["name"]: s for s in json.loads(ok(msb, "ls", "--format", "json", *argv))}


def state(msb, name):
    return json.loads((msb.home / "sandboxes" / name / "state.json").read_text())


def test_create_exec_stop_start_rm(life):
    assert ok(life, "create", "--name", "dev", "-c", "2", "--label", "project=web") == ""
    assert ok(life, "exec", "dev", "--", "nproc").strip() == "2"
    assert ok(life, "exec", "dev", "--", "hostname").strip() == "dev"
    box = listed(life)["dev"]
    assert box["status"] == "Running" and box["image"] == "base" and box["created_at"].endswith("Z")
    assert listed(life, "--running").keys() == {"dev"} and not listed(life, "--stopped")
    r = life("stop", "dev")
    assert r.returncode == 0 and "Stopped" in r.stderr.decode() and r.stdout == b""
    assert listed(life)["dev"]["status"] == "Stopped"
    assert state(life, "dev")["reason"] == "ShutdownRequested"
    assert life("stop", "dev").returncode == 0
    ok(life, "start", "dev")
    assert life("start", "dev").returncode == 125
    assert ok(life, "exec", "dev", "--", "nproc").strip() == "2"
    r = life("rm", "dev")
    assert r.returncode == 125 and b"is running" in r.stderr
    ok(life, "rm", "--force", "dev")
    assert not listed(life) and life.sandboxes() == []


def test_files_outlive_every_end(life):
    ok(life, "create", "--name", "dev")
    for n, end in enumerate((("stop",), ("stop", "-t", "0"), ("stop", "--force"), None)):
        ok(life, "exec", "dev", "--", "sh", "-c", f"echo {n} >>/root/file; mkdir -p /srv/a/b/{n}; sync")
        if end:
            ok(life, *end, "dev")
        else:
            os.kill(state(life, "dev")["pid"], signal.SIGKILL)
            ok(life, "wait", "dev")
        ok(life, "start", "dev")
        assert ok(life, "exec", "dev", "--", "cat", "/root/file").split() == [str(i) for i in range(n + 1)]
    assert ok(life, "exec", "dev", "--", "ls", "/srv/a/b").split() == ["0", "1", "2", "3"]


def test_names_are_generated_and_checked(life):
    name = ok(life, "create").strip()
    assert name.startswith("msb-") and listed(life)[name]["status"] == "Running"
    r = life("create", "--name", name)
    assert r.returncode == 125 and b"exists already" in r.stderr
    assert life("create", "--name", "../x").returncode == 2
    for command in ("start", "stop", "rm", "wait"):
        r = life(command, "nobody")
        assert r.returncode == 125 and b"no sandbox is named 'nobody'" in r.stderr, command
        assert life(command).returncode == 2
    assert life("exec", "nobody", "--", "true").returncode == 125


def test_several_by_name_and_label(life):
    for name, color in (("a", "red"), ("b", "red"), ("c", "blue")):
        ok(life, "create", "--name", name, "--label", f"color={color}", "--label", "kind=test")
    assert listed(life, "--label", "color=red").keys() == {"a", "b"}
    assert listed(life, "--label", "color=red", "--label", "kind").keys() == {"a", "b"}
    assert not listed(life, "--label", "color=green")
    r = life("stop", "--label", "color=red", "nobody", "c")
    assert r.returncode == 125 and b"nobody" in r.stderr
    assert not listed(life, "--running")
    assert life("rm", "--label", "color=green").returncode == 0
    ok(life, "rm", "--label", "kind=test")
    assert not listed(life)
    assert life("create", "--label", "sandbox.x=1").returncode == 2


def test_exec_is_a_process_like_any_other(life):
    ok(life, "create", "--name", "dev", "-e", "FROM=spec")
    r = life("exec", "-e", "MORE=exec", "-w", "/tmp", "dev", "--", "sh", "-c", "cat; pwd; echo $FROM $MORE >&2; exit 3",
             input=b"in\n")
    assert (r.returncode, r.stdout, r.stderr) == (3, b"in\n/tmp\n", b"spec exec\n")
    assert ok(life, "exec", "-u", "nobody", "dev", "--", "id", "-un").strip() == "nobody"
    assert life("exec", "dev", "--", "nosuch").returncode == 127
    assert life("exec", "dev", "--", "/etc/passwd").returncode == 126
    assert life("exec", "dev", "--", "sh", "-c", "kill -9 $$").returncode == 137
    r = life("exec", "--timeout", "300ms", "dev", "--", "sleep", "1000")
    assert r.returncode == 124
    # It was killed in there, too, and nothing else.
    assert ok(life, "exec", "dev", "--", "sh", "-c", "pgrep sleep || echo none").strip() == "none"
    assert ok(life, "shell", "dev", "--", "echo $0; echo", "two words").split("\n")[1] == "two words"
    data = os.urandom(3_000_000)
    assert life("exec", "dev", "--", "cat", input=data).stdout == data


def test_a_signal_goes_to_the_command_only(life):
    ok(life, "create", "--name", "dev")
    p = subprocess.Popen([MSB, "exec", "dev", "--", "sh", "-c", "trap 'echo got it; exit 5' TERM; echo up; while :; do sleep 0.1; done"],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=life.env)
    assert p.stdout.readline() == b"up\n"
    p.send_signal(signal.SIGTERM)
    assert p.communicate(timeout=LIMIT)[0] == b"got it\n" and p.returncode == 5
    assert listed(life)["dev"]["status"] == "Running"


def test_a_client_that_dies_takes_its_command_along(life):
    ok(life, "create", "--name", "dev")
    p = subprocess.Popen([MSB, "exec", "dev", "--", "sh", "-c", "echo up; exec sleep 1000"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, env=life.env)
    assert p.stdout.readline() == b"up\n"
    p.kill()
    p.communicate()
    assert ok(life, "exec", "dev", "--", "sh", "-c", "while pgrep sleep >/dev/null; do sleep 0.1; done; echo gone") == "gone\n"


def test_exec_starts_what_is_stopped_and_stops_it_again(life):
    ok(life, "create", "--name", "dev")
    ok(life, "stop", "dev")
    assert ok(life, "exec", "dev", "--", "echo", "awake") == "awake\n"
    assert listed(life)["dev"]["status"] == "Stopped"
    assert life("exec", "dev", "--", "false").returncode == 1
    assert listed(life)["dev"]["status"] == "Stopped"


def test_run_with_a_name(life):
    assert ok(life, "run", "--name", "x", "--", "echo", "one") == "one\n"
    assert listed(life)["x"]["status"] == "Stopped"
    assert ok(life, "run", "--name", "x", "--", "echo", "two") == "two\n"
    ok(life, "start", "x")
    assert ok(life, "run", "-q", "--name", "x", "--", "echo", "three") == "three\n"
    assert listed(life)["x"]["status"] == "Running"
    first = state(life, "x")["pid"]
    assert ok(life, "run", "--name", "x", "--replace", "--", "echo", "four") == "four\n"
    assert state(life, "x")["pid"] != first and listed(life)["x"]["status"] == "Stopped"
    ok(life, "create", "--name", "x", "--replace-with-timeout", "0", "--replace")
    assert listed(life)["x"]["status"] == "Running"


def test_a_directory_as_root_is_kept(life, tmp_path):
    root = tmp_path / "root"
    for d in ("bin", "etc", "dev", "proc", "sys", "tmp"):
        (root / d).mkdir(parents=True)
    (root / "etc/mark").write_text("kept")
    busybox = ok(life, "run", "--", "sh", "-c", "cat /bin/busybox | base64").encode()
    import base64
    (root / "bin/busybox").write_bytes(base64.b64decode(busybox))
    (root / "bin/busybox").chmod(0o755)
    ok(life, "create", "--name", "dir", str(root))
    ok(life, "stop", "dir")
    (root / "etc/mark").write_text("changed outside")
    assert ok(life, "exec", "dir", "--", "/bin/busybox", "cat", "/etc/mark") == "kept"


def test_force_does_not_wait_for_anybody(life):
    ok(life, "create", "--name", "dev")
    p = subprocess.Popen([MSB, "exec", "dev", "--", "sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=life.env)
    assert p.stdout.readline() == b"up\n"
    ok(life, "stop", "--force", "dev")
    assert p.communicate(timeout=LIMIT) and p.returncode != 0
    assert listed(life)["dev"]["status"] == "Stopped"


def test_wait_hears_of_the_end(life):
    ok(life, "create", "--name", "dev")
    r = life("wait", "--timeout", "200ms", "dev")
    assert r.returncode == 124
    p = subprocess.Popen([MSB, "wait", "dev"], stdin=subprocess.DEVNULL, env=life.env)
    ok(life, "stop", "dev")
    assert p.wait(timeout=LIMIT) == 0
    assert life("wait", "dev").returncode == 0


def test_a_killed_supervisor_is_a_crash(life):
    ok(life, "create", "--name", "dev")
    os.kill(state(life, "dev")["pid"], signal.SIGKILL)
    ok(life, "wait", "dev")
    assert listed(life)["dev"]["status"] == "Crashed"
    r = life("ps", "-a")
    assert b"crashed" in r.stdout
    ok(life, "start", "dev")
    assert ok(life, "exec", "dev", "--", "echo", "back") == "back\n"
    os.kill(state(life, "dev")["pid"], signal.SIGKILL)
    ok(life, "stop", "dev")
    ok(life, "rm", "dev")
    assert not listed(life)


def test_max_duration_stops(life):
    ok(life, "create", "--name", "dev", "--max-duration", "15s")
    ok(life, "wait", "--timeout", "60s", "dev")
    assert listed(life)["dev"]["status"] == "Stopped"
    assert state(life, "dev")["reason"] == "MaxDurationExceeded"


def test_a_sandbox_that_cannot_start_is_not_made(life, tmp_path):
    (tmp_path / "kernel").write_bytes(b"no kernel")
    r = life("create", "--name", "bad", "--kernel", str(tmp_path / "kernel"))
    assert r.returncode != 0 and r.stderr
    assert not listed(life) and life.sandboxes() == []


def test_twenty_at_once_on_one_name(life):
    ok(life, "create", "--name", "dev")
    verbs = [("stop", "dev"), ("start", "dev"), ("exec", "dev", "--", "true"), ("restart", "dev"), ("rm", "dev"),
             ("create", "--name", "dev"), ("stop", "--force", "dev"), ("ls",), ("rm", "--force", "dev"), ("exec", "dev", "--", "true")]
    results = []

    def one(argv):
        r = life(*argv, stdin=subprocess.DEVNULL)
        results.append((argv, r.returncode, r.stderr.decode(errors="replace")))

    threads = [threading.Thread(target=one, args=(verbs[i % len(verbs)],)) for i in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(LIMIT * 2)
        assert not t.is_alive(), "a command hangs"
    assert len(results) == 20
    for argv, status, text in results:
        assert status in (0, 125, 137, 143), (argv, status, text)
        assert status == 0 or text, argv
    # Whatever the order was, the name works.
    ok(life, "create", "--name", "dev", "--replace")
    assert ok(life, "exec", "dev", "--", "echo", "fine") == "fine\n"


def logged(msb, name, *argv):
    return [json.loads(line) for line in ok(msb, "logs", "--json", *argv, name).splitlines()]


def test_run_in_the_background(life):
    name = ok(life, "run", "-d", "--", "sh", "-c", "echo out; echo err >&2; while ! [ -e /tmp/go ]; do sleep 0.1; done").strip()
    box = json.loads(ok(life, "ps", "--format", "json"))[0]
    assert box["name"] == name and box["status"] == "Running" and box["command"].startswith('sh -c "echo out;')
    follower = subprocess.Popen([MSB, "logs", "-f", name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=life.env)
    assert sorted(follower.stdout.readline() for _ in range(2)) == [b"err\n", b"out\n"]
    ok(life, "exec", name, "--", "touch", "/tmp/go")
    life("wait", name)
    assert follower.wait(timeout=LIMIT) == 0
    follower.stdout.close()
    # It had no name: nothing is left.
    assert not listed(life) and life.sandboxes() == []


def test_a_main_process_has_a_log_and_an_exit_status(life):
    assert ok(life, "run", "-d", "--name", "job", "--", "sh", "-c", "echo one; echo two >&2; printf '\\377\\000'; exit 4") == "job\n"
    ok(life, "wait", "job")
    s = state(life, "job")
    assert (s["status"], s["reason"], s["exit_status"]) == ("Stopped", "Completed", 4)
    entries = logged(life, "job")
    assert {e["s"] for e in entries} == {"stdout", "stderr"} and {e["id"] for e in entries} == {1}
    assert life("logs", "job").stdout.replace(b"two\n", b"") == b"one\n\xff\0"
    assert ok(life, "logs", "--source", "stderr", "job") == "two\n"
    assert ok(life, "logs", "--grep", "^t", "job") == "two\n"
    assert ok(life, "logs", "--source", "stderr", "--timestamps", "--show-id", "job").endswith("Z [id:1] two\n")
    assert "sandbox stopped: Completed" in ok(life, "logs", "--source", "system", "job")
    assert logged(life, "job", "--since", "1h") == entries and logged(life, "job", "--until", "1h") == []
    # It runs again with the next start, and the log goes on.
    ok(life, "start", "job")
    ok(life, "wait", "job")
    assert len(logged(life, "job", "--source", "system")) == 4
    assert ok(life, "logs", "--source", "system", "--tail", "1", "job") == "sandbox stopped: Completed\n"
    assert life("logs", "nobody").returncode == 125
    assert life("logs", "--grep", "(", "job").returncode == 2
    assert life("logs", "--source", "x", "job").returncode == 2


def test_a_main_process_that_cannot_be_run(life):
    ok(life, "run", "-d", "--name", "job", "--", "nosuchprogram")
    ok(life, "wait", "job")
    assert state(life, "job")["exit_status"] == 127
    assert "nosuchprogram" in ok(life, "logs", "--source", "system", "job")


def test_idle_sandboxes_end(life):
    ok(life, "create", "--name", "dev", "--idle-timeout", "1s")
    # A command keeps it up for as long as it runs.
    assert ok(life, "exec", "dev", "--", "sh", "-c", "sleep 3; echo still here") == "still here\n"
    ok(life, "wait", "dev")
    assert state(life, "dev")["reason"] == "IdleTimeout"


def test_exec_is_logged(life):
    ok(life, "create", "--name", "dev")
    ok(life, "exec", "dev", "--", "echo", "first")
    ok(life, "exec", "-t", "dev", "--", "echo", "second")
    assert [(e["id"], e["s"], e["d"].strip()) for e in logged(life, "dev")] == [(1, "stdout", "first"), (2, "output", "second")]


def test_inspect_rename_ping_and_metrics(life):
    ok(life, "create", "--name", "dev", "--label", "a=b", "--idle-timeout", "1h")
    d = json.loads(ok(life, "inspect", "--format", "json", "dev"))
    assert (d["name"], d["status"], d["config"]["labels"], d["pid"]) == ("dev", "Running", {"a": "b"}, state(life, "dev")["pid"])
    text = ok(life, "inspect", "dev")
    assert "Idle timeout   3600 s" in text and "Labels         a=b" in text
    assert b"Reached" in life("ping", "dev").stderr and b"Touched" in life("touch", "dev").stderr
    m = json.loads(ok(life, "metrics", "--format", "json", "dev"))
    assert m["name"] == "dev" and m["state"] == "running" and m["memory_limit_bytes"] == 512 << 20
    assert 0 < m["memory_bytes"] < m["memory_limit_bytes"] and m["memory_host_resident_bytes"] > 1 << 20
    assert m["vcpu_time_ns"] > 0 and m["processes"] > 0 and m["upper_host_allocated_bytes"] > 0
    busy = subprocess.Popen([MSB, "exec", "dev", "--", "sh", "-c", "echo up; while :; do :; done"], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, env=life.env)
    assert busy.stdout.readline() == b"up\n"
    assert json.loads(ok(life, "metrics", "--format", "json"))[0]["cpu_percent"] > 20
    busy.terminate()
    busy.communicate(timeout=LIMIT)
    assert 'msb_memory_limit_bytes{sandbox="dev"} 536870912' in ok(life, "metrics", "--format", "prometheus")
    assert life("metrics", "-w").returncode == 2 and life("metrics", "nobody").returncode == 125
    assert life("rename", "dev", "new").returncode == 125
    ok(life, "kill", "dev")
    assert life("ping", "dev").returncode == 125 and ok(life, "metrics", "--format", "json") == "[]\n"
    assert life("rename", "dev", "a/b").returncode == 2
    ok(life, "rename", "dev", "new")
    assert listed(life).keys() == {"new"}
    assert ok(life, "exec", "new", "--", "hostname") == "new\n"
    ok(life, "create", "--name", "other")
    r = life("rename", "new", "other")
    assert r.returncode == 125 and b"exists already" in r.stderr


def test_touch_keeps_it_up(life):
    ok(life, "create", "--name", "dev", "--idle-timeout", "3s")
    stop = threading.Event()

    def touch():
        while not stop.wait(0.3):
            life("touch", "-q", "dev")

    t = threading.Thread(target=touch)
    t.start()
    r = life("wait", "--timeout", "6s", "dev")
    stop.set()
    t.join()
    assert r.returncode == 124
    ok(life, "wait", "dev")
    assert state(life, "dev")["reason"] == "IdleTimeout"


def test_a_thousand_stopped_sandboxes_are_listed(life):
    ok(life, "create", "--name", "dev", "--root-disk", "tmpfs")
    ok(life, "stop", "dev")
    place = life.home / "sandboxes"
    files = {f.name: f.read_bytes() for f in (place / "dev").iterdir()}
    for i in range(999):
        d = place / f"box-{i:03}"
        d.mkdir()
        for name, data in files.items():
            (d / name).write_bytes(data)
    try:
        assert len(listed(life)) == 1000
        assert len(ok(life, "ls", "--stopped").splitlines()) == 1001
    finally:
        ok(life, "rm", *(f"box-{i:03}" for i in range(999)), "-q")
