# SPDX-License-Identifier: Apache-2.0
"""libmsb: the example programs, compiled as anybody would, on real sandboxes."""

import json
import os
import select
import shutil
import signal
import subprocess
import termios
import time
from pathlib import Path

import pytest

from conftest import LIMIT, MSB, ROOT

PREFIX = Path(MSB).resolve().parents[1]
PC = PREFIX / "lib/pkgconfig"
EXAMPLES = sorted(p.stem for p in (ROOT / "examples").glob("*.c"))

if not (PC / "msb.pc").exists():
    pytest.skip(f"no libmsb is installed in {PREFIX}", allow_module_level=True)
if not shutil.which("cc") or not shutil.which("pkg-config"):
    pytest.skip("no compiler or no pkg-config here", allow_module_level=True)


def pkg_config(*what):
    return subprocess.run(["pkg-config", *what, "msb"], env={**os.environ, "PKG_CONFIG_PATH": str(PC)}, check=True,
                          capture_output=True, text=True).stdout.split()


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """All examples, compiled strictly, with nothing but what pkg-config says; hello once more from the archive."""
    out = tmp_path_factory.mktemp("examples")
    strict = ["-std=c99", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror"]
    for name in EXAMPLES:
        subprocess.run(["cc", *strict, "-o", out / name, ROOT / f"examples/{name}.c", *pkg_config("--cflags", "--libs")], check=True)
    subprocess.run(["cc", *strict, "-o", out / "hello-static", ROOT / "examples/hello.c", *pkg_config("--cflags"),
                    PREFIX / "lib/libmsb.a"], check=True)
    return out


@pytest.fixture
def run(programs, msb):
    """Runs an example; the other programs are found beside the library, not by MSB_LIB."""
    env = {k: v for k, v in msb.env.items() if k != "MSB_LIB"}
    env["LD_LIBRARY_PATH"] = str(PREFIX / "lib")

    def run(name, *argv, **kwargs):
        kwargs.setdefault("stdin", subprocess.DEVNULL if "input" not in kwargs else None)
        return subprocess.run([programs / name, *argv], env={**env, **kwargs.pop("env", {})}, capture_output=True, text=True,
                              timeout=LIMIT, check=False, **kwargs)

    run.env = env
    run.programs = programs
    return run


@pytest.fixture
def box(msb):
    """A running sandbox."""
    r = msb("create", "--name", "box", "-m", "256M")
    assert r.returncode == 0, r.stderr
    yield "box"
    assert msb("rm", "--force", "box").returncode == 0


def test_hello(run, msb):
    r = run("hello")
    assert r.returncode == 0 and " says Linux " in r.stdout and r.stderr == "", r
    r = run("hello-static", env={"MSB_LIB": str(PREFIX / "lib/msb")})
    assert r.returncode == 0 and " says Linux " in r.stdout and r.stderr == "", r
    r = run("hello", "./missing.img")
    assert r.returncode == 1 and r.stderr.startswith("create: "), r
    r = run("hello", env={"MSB_LIB": "/nonexistent"})
    assert r.returncode == 1 and "/nonexistent" in r.stderr, r
    assert msb.sandboxes() == []


def test_once(run, msb):
    """A sandbox of its own: the command's status, its input, a program that is not there, and nothing is left."""
    r = run("once", "base", "sh", "-c", "read x; echo got $x; exit 7", input="word\n")
    assert (r.returncode, r.stdout) == (7, "got word\n") and r.stderr.splitlines()[-2:] == ["booting", "its own: up, run, gone"], r
    r = run("once", "base", "/no/such/program")
    assert r.returncode == 127 and "/no/such/program" in r.stderr, r
    assert msb.sandboxes() == []


def test_tour(run):
    r = run("tour", "tour")
    assert r.returncode == 0 and r.stderr == "", r
    assert r.stdout.splitlines() == [
        "tour: Running, 1 CPUs, 256 MiB, image base, stage first",
        "$ echo kept > /root/file; echo shared > /data/file; echo done", "done",
        "some processes, some memory",
        "tour: Stopped, ShutdownRequested, 1 CPUs, 256 MiB, image base, stage first",
        "some entries in the log",
        "1 sandboxes, 1 volumes, 1 snapshots",
        "$ cat /root/file /data/file", "kept", "shared",
        "tour: Running, 1 CPUs, 256 MiB, image base, stage second",
        "$ cat /root/file", "kept",
        "something in the volume"]


def test_pipe(run, box):
    r = run("pipe", box, "tr", "a-z", "A-Z", input="print me\n" * 100000)
    assert r.returncode == 0 and r.stdout == "PRINT ME\n" * 100000, r.stderr
    r = run("pipe", box, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (r.returncode, r.stdout, r.stderr) == (7, "out\n", "err\n")
    assert run("pipe", box, "sh", "-c", "kill -9 $$").returncode == 137
    for argv, status, code in ((["missing"], 127, "exec-not-found"), (["/etc/passwd"], 126, "exec-denied")):
        r = run("pipe", box, *argv)
        assert r.returncode == status and f"({code})" in r.stderr, r
    r = run("pipe", "-t", "300", box, "sleep", "1000")
    assert r.returncode == 124 and "(timeout)" in r.stderr, r
    r = run("pipe", "nobody", "true")
    assert r.returncode == 125 and "(not-found)" in r.stderr, r
    # A reader that goes away is an error, and no signal.
    r = subprocess.run(["sh", "-c", '{ "$1" box yes; echo "exit $?" >&2; } | head -n 1', "sh", run.programs / "pipe"],
                       env=run.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert r.stdout == "y\n" and "exit 125\n" in r.stderr and "Broken pipe" in r.stderr, r


def test_pipe_is_interrupted(run, box, msb):
    p = subprocess.Popen([run.programs / "pipe", box, "sh", "-c", "echo up; exec sleep 1000"], env=run.env,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "up\n"
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=LIMIT)
    assert p.returncode == 130 and "(canceled)" in err, (p.returncode, out, err)
    # The command went with it.
    deadline = time.monotonic() + 60
    while msb("exec", box, "--", "pgrep", "sleep").returncode == 0:
        assert time.monotonic() < deadline
    assert msb("stop", box).returncode == 0
    r = run("pipe", box, "true")
    assert r.returncode == 125 and "(not-running)" in r.stderr, r


def test_files(run, box, tmp_path):
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub/big").write_bytes(os.urandom(300000))
    (tree / "link").symlink_to("sub/big")
    os.mkfifo(tree / "fifo")
    r = run("files", box, str(tree))
    assert r.returncode == 0, r
    lines = r.stdout.splitlines()
    assert sorted(lines[:3]) == ["deep 755 " + lines[[x.startswith("deep") for x in lines].index(True)].split()[2],
                                 "link 777 4", "note 640 18"]
    assert lines[3:] == ["3 entries, 18 of 18 bytes: written by libmsb", f"copied to {tree}.out, 1 skipped",
                         "not removed: '/tmp/example.old': Directory not empty"]
    back = tmp_path / "tree.out"
    assert (back / "note").read_text() == "written by libmsb\n" and (back / "note").stat().st_mode & 0o7777 == 0o640
    assert (back / "in/sub/big").read_bytes() == (tree / "sub/big").read_bytes()
    assert os.readlink(back / "in/link") == "sub/big" and os.readlink(back / "link") == "note"
    assert not (back / "in/fifo").exists()


def read_until(fd, text):
    """What a terminal shows, up to @text."""
    got = b""
    deadline = time.monotonic() + LIMIT
    while text not in got:
        assert time.monotonic() < deadline, got
        if select.select([fd], [], [], 1)[0]:
            got += os.read(fd, 4096)
    return got


def test_terminal(run, box, msb):
    # One that runs: keys, the size of the window, a signal.
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (33, 111))
    p = subprocess.Popen([run.programs / "term", box, "sh", "-c", "trap 'stty size' WINCH; trap 'echo hup; exit 9' HUP; stty size; "
                          "read x; echo got $x; while :; do sleep 0.1; done"], env=run.env, stdin=slave, stdout=slave, stderr=slave)
    read_until(master, b"33 111")
    os.write(master, b"key\n")
    read_until(master, b"got key")
    termios.tcsetwinsize(slave, (44, 99))
    p.send_signal(signal.SIGWINCH)
    read_until(master, b"44 99")
    p.send_signal(signal.SIGHUP)
    read_until(master, b"hup")
    assert p.wait(timeout=LIMIT) == 9
    # Let go, the command goes on.
    p = subprocess.Popen([run.programs / "term", box, "sh", "-c", "echo up; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo on >/tmp/on"],
                         env=run.env, stdin=slave, stdout=slave, stderr=slave)
    read_until(master, b"up")
    os.write(master, b"\x1d")
    assert p.wait(timeout=LIMIT) == 0
    r = msb("exec", "--timeout", f"{LIMIT}s", box, "--", "sh", "-c", "touch /tmp/go; until cat /tmp/on 2>&-; do sleep 0.1; done")
    assert r.returncode == 0 and r.stdout == b"on\n", r
    os.close(slave)
    os.close(master)
    # One that does not run is started for the command, and stopped again.
    assert msb("stop", box).returncode == 0
    r = run("term", box, "sh", "-c", "echo up >/root/note; echo started")
    assert (r.returncode, r.stdout, r.stderr) == (0, "started\n", ""), r
    assert json.loads(msb("inspect", "--format", "json", box).stdout)["status"] == "Stopped"
    # Let go, the command goes on, and the sandbox ends with it.
    r = run("term", "-d", box, "sh", "-c", "cat /root/note; echo gone")
    assert (r.returncode, r.stdout, r.stderr) == (0, "", ""), r
    assert msb("wait", "--timeout", f"{LIMIT}s", box).returncode == 0
    assert b"up\ngone\n" in msb("logs", box).stdout
