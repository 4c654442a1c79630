# SPDX-License-Identifier: Apache-2.0
"""Commands without a client, signals to main processes, and starts that are interrupted."""

import json
import os
import pty
import select
import signal
import subprocess
import time

from conftest import LIMIT, MSB, children
from test_life import life, listed, ok, state  # noqa: F401 (life is a fixture)


def until(what, seconds=LIMIT):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited for too long"
        time.sleep(0.05)


class Terminal:
    """msb with a terminal of its own."""

    def __init__(self, msb, *argv):
        pid, self.fd = pty.fork()
        if pid == 0:
            os.execve(MSB, [MSB, *argv], {**msb.env, "TERM": "dumb"})
        self.pid = pid
        self.text = b""

    def read_until(self, what):
        deadline = time.monotonic() + LIMIT
        while what not in self.text:
            assert time.monotonic() < deadline and select.select([self.fd], [], [], LIMIT)[0], self.text
            try:
                self.text += os.read(self.fd, 65536)
            except OSError:
                break
        assert what in self.text, self.text

    def type(self, data):
        os.write(self.fd, data)

    def wait(self):
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return code


def test_exec_in_the_background(life):
    ok(life, "create", "--name", "dev")
    assert ok(life, "exec", "-d", "dev", "--", "sh", "-c", "echo begun; cat; sleep 2; echo ended; touch /root/done") == ""
    assert life("exec", "-d", "dev", "--", "nosuch").returncode == 127
    assert life("exec", "-d", "--timeout", "3s", "dev", "--", "true").returncode == 2
    ok(life, "exec", "dev", "--", "sh", "-c", "while ! [ -e /root/done ]; do sleep 0.1; done")
    assert ok(life, "logs", "dev").split("\n")[:2] == ["begun", "ended"]
    # More than any window, and nobody who reads.
    ok(life, "exec", "-d", "dev", "--", "sh", "-c", "head -c 3000000 /dev/zero; touch /root/all")
    ok(life, "exec", "dev", "--", "sh", "-c", "while ! [ -e /root/all ]; do sleep 0.1; done")


def test_a_stopped_sandbox_runs_as_long_as_its_background_command(life):
    ok(life, "create", "--name", "dev")
    ok(life, "stop", "dev")
    ok(life, "exec", "-d", "dev", "--", "sh", "-c", "sleep 3; echo over >/root/said")
    ok(life, "wait", "-t", "100s", "dev")
    assert state(life, "dev")["reason"] == "Completed"
    assert ok(life, "exec", "dev", "--", "cat", "/root/said") == "over\n"


def test_detach_keys(life):
    ok(life, "create", "--name", "dev")
    t = Terminal(life, "exec", "-t", "--detach-keys", "ctrl-p,ctrl-q", "dev", "--", "sh", "-c",
                 "stty raw -echo; echo up; head -c 3 | od -An -tx1; sleep 4; touch /root/ran")
    t.read_until(b"up")
    # The first key alone is one like any other.
    t.type(b"\x10a\x10\x10\x11")
    t.read_until(b"runs on in sandbox 'dev'")
    assert t.wait() == 0 and b"10 61" not in t.text
    ok(life, "exec", "dev", "--", "sh", "-c", "while ! [ -e /root/ran ]; do sleep 0.1; done")
    assert "10 61 10" in ok(life, "logs", "--tail", "2", "dev")


def test_detach_from_a_run(life):
    t = Terminal(life, "run", "--name", "job", "--", "sh", "-c", "echo up; while ! [ -e /root/go ]; do sleep 0.1; done; exit 7")
    t.read_until(b"up")
    t.type(b"\x1d")
    t.read_until(b"runs on in sandbox 'job'")
    assert t.wait() == 0
    assert listed(life)["job"]["status"] == "Running"
    ok(life, "exec", "job", "--", "touch", "/root/go")
    ok(life, "wait", "-t", "100s", "job")
    assert state(life, "job")["exit_status"] == 7


def test_signals_to_the_main_process(life):
    ok(life, "run", "-d", "--name", "job", "--", "sh", "-c",
       "trap 'echo usr1 >>/root/got' USR1; trap 'exit 4' HUP; echo up >/root/up; while :; do sleep 0.1; done")
    ok(life, "exec", "job", "--", "sh", "-c", "while ! [ -e /root/up ]; do sleep 0.1; done")
    ok(life, "kill", "-s", "usr1", "job")
    ok(life, "exec", "job", "--", "sh", "-c", "while ! [ -e /root/got ]; do sleep 0.1; done")
    ok(life, "kill", "--signal", "SIGHUP", "job")
    ok(life, "wait", "-t", "100s", "job")
    assert state(life, "job")["exit_status"] == 4
    r = life("kill", "-s", "HUP", "job")
    assert r.returncode == 125 and b"does not run" in r.stderr
    assert life("kill", "-s", "NOSUCH", "job").returncode == 2
    ok(life, "create", "--name", "dev")
    r = life("kill", "-s", "HUP", "dev")
    assert r.returncode == 125 and b"no main process" in r.stderr
    ok(life, "kill", "dev")
    assert listed(life)["dev"]["status"] == "Stopped"


def test_an_interrupted_creation_leaves_nothing(life):
    for sig in (signal.SIGINT, signal.SIGTERM):
        p = subprocess.Popen([MSB, "create", "--name", "dev"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=life.env,
                             start_new_session=True)
        until(lambda: life.sandboxes() or p.poll() is not None)
        os.killpg(p.pid, sig)
        p.communicate(timeout=LIMIT)
        assert p.returncode == -sig
        assert life.sandboxes() == [] and not listed(life)


def test_an_interrupted_start_leaves_it_stopped(life):
    ok(life, "create", "--name", "dev")
    ok(life, "exec", "dev", "--", "sh", "-c", "echo kept >/root/f; sync")
    ok(life, "stop", "dev")
    p = subprocess.Popen([MSB, "start", "dev"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=life.env)
    until(lambda: listed(life)["dev"]["status"] == "Starting" or p.poll() is not None)
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=LIMIT)
    assert p.returncode == -signal.SIGINT
    assert listed(life)["dev"]["status"] == "Stopped"
    assert ok(life, "exec", "dev", "--", "cat", "/root/f") == "kept\n"
