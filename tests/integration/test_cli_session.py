# SPDX-License-Identifier: Apache-2.0
"""Attached runs against a supervisor without a machine (tests/tools/fake-sandbox): streams, signals, terminals, endings."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MSB = os.environ.get("MSB", str(ROOT / "build/src/cli/msb"))
LIMIT = 20  # seconds; nothing here takes one


@pytest.fixture
def env(tmp_path):
    lib = tmp_path / "lib"
    lib.mkdir()
    (lib / "msb-sandbox").symlink_to(ROOT / "tests/tools/fake-sandbox")
    (lib / "base.erofs").write_bytes(b"")
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MSB_")}
    return {**clean, "MSB_LIB": str(lib), "MSB_HOME": str(tmp_path / "home"), "TERM": "vt220"}


@pytest.fixture
def run(env):
    def go(*argv, **kwargs):
        kwargs.setdefault("stdin", subprocess.DEVNULL if "input" not in kwargs else None)
        if "input" in kwargs:
            del kwargs["stdin"]
        extra = kwargs.pop("env", {})
        return subprocess.run([MSB, "run", *argv], stdout=kwargs.pop("stdout", subprocess.PIPE),
                              stderr=subprocess.PIPE, env={**env, **extra}, timeout=LIMIT, **kwargs)
    return go


@pytest.fixture
def start(env):
    """Popen with pipes; killed at the end of the test."""
    started = []

    def go(*argv, **kwargs):
        kwargs.setdefault("stdin", subprocess.PIPE)
        p = subprocess.Popen([MSB, "run", *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, **kwargs)
        started.append(p)
        return p
    yield go
    for p in started:
        p.kill()
        p.wait()
        for f in (p.stdin, p.stdout, p.stderr):
            if f:
                f.close()


def report(result):
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_request_and_spec(run, tmp_path):
    r = report(run("-m", "1G", "-c", "3", "-e", "A=1", "-eB=2", "-e", "FROM_HOST", "-e", "A=3", "-w", "/tmp", "-u", "1:2",
                   "-H", "box", "--tmpfs", "/x:64M:noexec", "--rlimit", "nofile=10:20", "--max-duration", "1h",
                   "--engine", "qemu", "--entrypoint", "report", "base", "--", "one", "-two", env={"FROM_HOST": "h"}))
    assert r["request"]["argv"] == ["report", "one", "-two"]
    assert r["request"]["flags"] == 2
    spec = r["spec"]
    assert (spec["mem_mib"], spec["vcpus"], spec["engine"], spec["ephemeral"]) == (1024, 3, "qemu", True)
    guest = spec["guest"]
    assert guest["env"] == ["B=2", "FROM_HOST=h", "A=3"]
    assert (guest["workdir"], guest["user"], guest["hostname"]) == ("/tmp", "1:2", "box")
    assert guest["tmpfs"][0]["path"] == "/x" and guest["tmpfs"][0]["options"] == "noexec"
    assert spec["max_duration_ns"] == 3600 * 10**9
    assert r["fds"] == [0, 1, 2, 3, 4, 5], "the supervisor inherits what it needs and nothing else (5: this very listing)"


def test_directory_becomes_an_image(run, tmp_path):
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    (root / "bin/x").write_bytes(b"x" * 10000)
    r = report(run(str(root), "report"))
    assert r["image"], "the image is handed over as a descriptor"
    assert r["spec"]["image"]["kind"] == "directory"
    cache = tmp_path / "home/cache"
    assert not cache.exists() or list(cache.iterdir()) == [], "no file is left"


@pytest.mark.parametrize("argv,status", [
    (["say", "", "", "0"], 0), (["say", "", "", "7"], 7), (["say", "", "", "255"], 255),
    (["killed", "9"], 137), (["killed", "15"], 143),
    (["refuse", "12", "2", "nope"], 127), (["refuse", "12", "13", "nope"], 126), (["refuse", "9", "2", "/nope"], 126),
    (["failed"], 125), (["panic"], 125), (["vanish"], 125), (["stopped", "1"], 125), (["stopped", "2"], 124),
    (["overdue"], 124),
])
def test_exit_status(run, argv, status):
    r = run("base", *argv)
    assert r.returncode == status, r.stderr
    lines = r.stderr.decode().splitlines()
    if argv[0] in ("say", "killed"):
        assert lines == []
    else:
        assert lines[0].startswith("msb: ")
        assert len(lines) == {"failed": 4, "panic": 3}.get(argv[0], 1), lines


def test_console_follows_the_message(run):
    r = run("--", "failed")
    assert r.stderr.decode().splitlines() == [
        "msb: the guest did not boot; try again", "msb: last lines of the guest's console:", "one", "two"]


def test_streams_stay_apart(run):
    r = run("--", "say", "to stdout", "to stderr", "3")
    assert (r.stdout, r.stderr, r.returncode) == (b"to stdout", b"to stderr", 3)


@pytest.mark.parametrize("size", [0, 1, 100_000, 5_000_000])
def test_stdin_to_stdout(run, size):
    data = os.urandom(size)
    r = run("--", "cat", input=data)
    assert r.returncode == 0 and r.stdout == data


def test_stdin_from_a_file(run, tmp_path):
    data = os.urandom(1_000_000)
    (tmp_path / "in").write_bytes(data)
    with open(tmp_path / "in", "rb") as f, open(tmp_path / "out", "wb") as out:
        r = run("--", "cat", stdin=f, stdout=out)
    assert r.returncode == 0 and (tmp_path / "out").read_bytes() == data


def test_stdin_is_streamed_not_collected(start):
    p = start("--", "cat")
    for word in (b"one\n", b"two\n"):
        p.stdin.write(word)
        p.stdin.flush()
        assert p.stdout.readline() == word
    p.stdin.close()
    assert p.wait(LIMIT) == 0


def test_an_open_stdin_does_not_hold_the_end(start):
    p = start("--", "say", "x", "", "4")
    assert p.wait(LIMIT) == 4


def test_a_stalled_reader_loses_nothing(start):
    p = start("--", "flood", "3000000")
    got = p.stdout.read(1)
    # The pipe and the credit are used up long before this many bytes: everybody waits.
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        assert p.poll() is None
        select.select([], [], [], 0.05)
    got += p.stdout.read()
    assert len(got) == 3000000 and p.wait(LIMIT) == 0


def test_shared_descriptors_keep_their_flags(run):
    r, w = os.pipe()
    before = fcntl.fcntl(w, fcntl.F_GETFL), fcntl.fcntl(r, fcntl.F_GETFL)
    p = run("--", "say", "x", "", "0", stdout=w)
    assert p.returncode == 0
    assert (fcntl.fcntl(w, fcntl.F_GETFL), fcntl.fcntl(r, fcntl.F_GETFL)) == before
    os.close(w)
    assert os.read(r, 10) == b"x"
    assert os.read(r, 10) == b"", "no copy of the pipe is left open"
    os.close(r)


def test_reader_goes_away(start):
    p = start("--", "flood", "100000000")
    p.stdout.read(1)
    p.stdout.close()
    assert p.wait(LIMIT) == 128 + signal.SIGPIPE
    assert p.stderr.read() == b""


def test_full_disk(run):
    with open("/dev/full", "wb") as full:
        r = run("--", "say", "x", "", "0", stdout=full)
    assert r.returncode == 125
    assert r.stderr == b"msb: cannot write to standard output: No space left on device\n"


def test_closed_descriptors(env):
    r = subprocess.run(["sh", "-c", f'exec "{MSB}" run -- say x y 3 <&- >&- 2>&-'], env=env, timeout=LIMIT, check=False)
    assert r.returncode == 3


def test_timeout(run):
    begin = time.monotonic()
    r = run("--timeout", "300ms", "--", "quiet")
    assert r.returncode == 124
    assert r.stderr == b"msb: the command was killed: it did not end within 0.3 s (--timeout)\n"
    assert 0.3 <= time.monotonic() - begin < 5


def test_signals_go_to_the_command(start):
    p = start("--", "signals")
    assert p.stdout.readline() == b"ready\n"
    p.send_signal(signal.SIGTERM)
    assert p.stdout.readline() == b"signal 15\n"
    # The second one ends the sandbox, whatever the command does.
    p.send_signal(signal.SIGINT)
    assert p.wait(LIMIT) == 130
    assert p.stdout.read() == b"" and p.stderr.read() == b""


def test_ignored_signals_stay_ignored(env):
    p = subprocess.Popen(["sh", "-c", f'trap "" HUP; exec "{MSB}" run -- signals'], env=env, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert p.stdout.readline() == b"ready\n"
    p.send_signal(signal.SIGHUP)
    p.send_signal(signal.SIGTERM)
    assert p.stdout.readline() == b"signal 15\n"
    p.send_signal(signal.SIGTERM)
    assert p.wait(LIMIT) == 143
    p.communicate()


def test_signal_before_the_start(env, tmp_path):
    """The supervisor never answers: the first signal is enough."""
    silent = tmp_path / "silent"
    silent.mkdir()
    (silent / "base.erofs").write_bytes(b"")
    fake = silent / "msb-sandbox"
    fake.write_text("#!/bin/sh\nexec cat <&4\n")
    fake.chmod(0o755)
    p = subprocess.Popen([MSB, "run", "--", "x"], env={**env, "MSB_LIB": str(silent)}, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    children = f"/proc/{p.pid}/task/{p.pid}/children"
    while not Path(children).read_text():
        assert p.poll() is None
    p.send_signal(signal.SIGTERM)
    os.kill(int(Path(children).read_text().split()[0]), signal.SIGKILL)
    assert p.wait(LIMIT) == 143
    p.communicate()


@pytest.mark.parametrize("argv,extra,said", [
    ([], {}, True), (["-q"], {}, False), (["--engine", "qemu"], {}, False), ([], {"MSB_ENGINE": "qemu"}, False)])
def test_emulation_is_said_unless_asked_for(run, argv, extra, said):
    r = run(*argv, "--", "emulated", env=extra)
    assert r.returncode == 0
    lines = r.stderr.decode().splitlines()
    assert len(lines) == said
    assert not said or lines[0].startswith("msb: this sandbox is emulated by QEMU, which is slow: ")


def test_supervisor_that_does_not_stop(run):
    begin = time.monotonic()
    r = run("--timeout", "1ms", "--", "stubborn")
    assert r.returncode == 125
    assert b"the sandbox did not end within 10 seconds" in r.stderr
    assert time.monotonic() - begin < 15


def test_timing_names_the_phases(run):
    r = run("--timing", "--", "say", "", "", "0")
    words = [line.split()[0] for line in r.stderr.decode().splitlines()]
    assert words == ["phase", "exec", "exit", "end"], "phases that nobody measured are left out"


# Terminals.

class Terminal:
    """msb on a terminal of its own, as the leader of its session, with this process at the other end."""

    def __init__(self, env, *argv, rows=30, cols=90, stdout=None):
        self.master, self.slave = pty.openpty()
        self.resize(rows, cols)
        self.before = termios.tcgetattr(self.slave)
        self.text = b""

        def child():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.p = subprocess.Popen(argv, env=env, stdin=self.slave, stdout=stdout or self.slave, stderr=self.slave,
                                  preexec_fn=child)

    def resize(self, rows, cols):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def expect(self, what):
        deadline = time.monotonic() + LIMIT
        while what not in self.text:
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{what!r} did not come: {self.text!r}"
            self.text += os.read(self.master, 4096)
        head, _, self.text = self.text.partition(what)
        return head + what

    def type(self, data):
        os.write(self.master, data)

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & (termios.ICANON | termios.ISIG | termios.ECHO)

    def wait_raw(self, raw=True):
        deadline = time.monotonic() + LIMIT
        while self.is_raw() != raw:
            assert time.monotonic() < deadline, "terminal mode"
            select.select([], [], [], 0.01)

    def end(self, status):
        assert self.p.wait(LIMIT) == status
        assert termios.tcgetattr(self.slave) == self.before, "the terminal is as it was"

    def close(self):
        self.p.kill()
        self.p.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(env):
    made = []

    def go(*argv, **kwargs):
        t = Terminal(env, *argv, **kwargs)
        made.append(t)
        return t
    yield go
    for t in made:
        t.close()


def test_terminal_is_raw_while_the_command_runs(terminal):
    t = terminal(MSB, "run", "--", "cat")
    t.wait_raw()
    t.type(b"a\x03\x1a\x04b\r")
    t.expect(b"a\x03\x1a\x04b\r")
    t.p.terminate()
    t.end(143)


def test_terminal_request(terminal):
    t = terminal(MSB, "run", "--", "report", rows=44, cols=99)
    r = json.loads(t.expect(b"\n"))["request"]
    assert (r["flags"], r["rows"], r["cols"]) == (3, 44, 99)
    assert r["env"] == ["TERM=vt220"]
    t.end(0)


def test_window_size(terminal):
    t = terminal(MSB, "run", "--", "sizes", rows=30, cols=90)
    t.expect(b"30x90")
    t.resize(50, 132)
    t.expect(b"50x132")
    t.p.terminate()
    t.end(143)


@pytest.mark.parametrize("argv,status", [
    (["killed", "9"], 137), (["panic"], 125), (["vanish"], 125), (["stopped", "1"], 125), (["stopped", "2"], 124)])
def test_terminal_is_restored_whatever_happens(terminal, argv, status):
    terminal(MSB, "run", "--", *argv).end(status)


@pytest.mark.parametrize("sig,status", [
    (signal.SIGHUP, 129), (signal.SIGSEGV, -signal.SIGSEGV), (signal.SIGABRT, -signal.SIGABRT)])
def test_terminal_is_restored_when_msb_dies(terminal, sig, status):
    if sig == signal.SIGSEGV and b"__asan_init" in Path(MSB).read_bytes():
        pytest.skip("AddressSanitizer takes SIGSEGV for itself")
    t = terminal(MSB, "run", "--", "quiet")
    t.wait_raw()
    t.p.send_signal(sig)
    t.end(status)


def test_no_tty_leaves_the_terminal_alone(terminal):
    t = terminal(MSB, "run", "--no-tty", "--", "signals")
    t.expect(b"ready")
    assert not t.is_raw()
    t.type(b"\x03")
    t.expect(b"signal 2")
    t.type(b"\x1c")
    t.end(131)


def test_stdout_in_a_pipe_is_no_terminal(terminal):
    r, w = os.pipe()
    t = terminal(MSB, "run", "--", "report", stdout=w)
    os.close(w)
    with os.fdopen(r, "rb") as f:
        request = json.loads(f.read())["request"]
    assert request["flags"] == 2 and request["env"] == []
    t.end(0)


def test_forced_terminal_without_one(run):
    r = report(run("-t", "--", "report"))
    assert r["request"]["flags"] == 3


def test_message_in_raw_mode_starts_a_line(terminal):
    t = terminal(MSB, "run", "--timeout", "300ms", "--", "quiet")
    t.wait_raw()
    text = t.expect(b"(--timeout)")
    assert text.startswith(b"msb: the command was killed")
    t.end(124)


def test_suspend_and_continue(terminal, env):
    """As a job of a shell: stopped with the terminal as it was, raw again when continued."""
    t = terminal("bash", "--norc", "-i")
    t.type(b"PS1='$ '; echo 'shell is' up\r")
    t.expect(b"shell is up\r\n")
    t.type(f'"{MSB}" run -- cat\r'.encode())
    t.expect(b"cat\r\n")
    t.wait_raw()
    shell = t.p.pid
    msb = int(Path(f"/proc/{shell}/task/{shell}/children").read_text().split()[0])
    os.kill(msb, signal.SIGTSTP)
    t.expect(b"Stopped")
    t.type(b"echo 'shell is' back\r")
    t.expect(b"shell is back\r\n")
    t.type(b"fg\r")
    t.expect(b"cat\r\n")
    t.wait_raw()
    t.type(b"\x01hello")
    t.expect(b"\x01hello")
    os.kill(msb, signal.SIGTERM)
    t.expect(b"$ ")
    t.type(b"echo status $?\r")
    t.expect(b"status 143")


def test_in_the_background_it_does_not_stop(terminal):
    t = terminal("bash", "--norc", "-i")
    t.type(f'"{MSB}" run -- say from-the-back "" 0 & wait $!; echo status $?\r'.encode())
    t.expect(b"from-the-back")
    t.expect(b"status 0")
