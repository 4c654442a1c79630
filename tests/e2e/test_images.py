# SPDX-License-Identifier: Apache-2.0
"""Images on the command line, against registries of this machine. No machine is started."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from conftest import LIMIT, MSB, Msb
from registry import Hostile, Picture, digest, tar_of

USAGE, FAILED = 2, 125


@pytest.fixture
def cli(home, tmp_path):
    m = Msb(home)
    m.env.update(DOCKER_CONFIG=str(tmp_path / "docker"), NO_PROXY="*", TZ="UTC")
    yield m
    m.close()


@pytest.fixture
def registry():
    with Hostile() as r:
        yield r


def picture(*layers):
    return Picture([tar_of({f"file{i}": content}) for i, content in enumerate(layers)])


def good(cli, *argv, **kw):
    r = cli(*argv, **kw)
    assert r.returncode == 0, r.stderr.decode()
    return r


def report(cli, *argv):
    return json.loads(good(cli, *argv, "--format", "json").stdout)


def blobs(registry):
    """Blobs that were asked for, each once."""
    return {path.rsplit("/", 1)[1] for _, path, _, _ in registry.seen if "/blobs/" in path}


# pull

def test_pull_says_what_happens_and_nothing_twice(cli, registry):
    p = picture(b"a" * 5000, b"b" * 5000)
    registry.add(p, "1")
    ref = f"{registry.host}/app:1"
    r = good(cli, "pull", ref)
    lines = r.stderr.decode().splitlines()
    assert r.stdout == b"" and lines[0].startswith(f"{ref}: 2 layers, ") and lines[-1].startswith(f"Pulled {ref} (")
    assert sorted(line.split(":")[0] for line in lines[1:-1]) == sorted(digest(b)[7:19] for b in p.layers)

    registry.seen.clear()
    r = good(cli, "pull", ref)
    assert r.stderr.decode().splitlines()[-1] == f"Pulled {ref} (already cached)" and not blobs(registry)
    registry.seen.clear()
    good(cli, "pull", ref, "--policy", "if-missing")
    assert not registry.seen
    r = good(cli, "pull", "-q", ref)
    assert r.stdout == r.stderr == b""


def test_pull_shares_layers(cli, registry):
    base, first, second = (tar_of({n: n.encode() * 3000}) for n in "xyz")
    one, two = Picture([base, first]), Picture([base, second])
    registry.add(one, "1")
    registry.add(two, "2")
    refs = [f"{registry.host}/a:{i}" for i in "12"]
    got = report(cli, "pull", refs[0])[0]
    assert got == {"reference": refs[0], "digest": one.digest, "layer_count": 2, "downloaded_layers": 2,
                   "downloaded_bytes": sum(map(len, one.layers))}
    registry.seen.clear()
    got = report(cli, "pull", refs[1])[0]
    assert (got["downloaded_layers"], got["downloaded_bytes"]) == (1, len(two.layers[1]))
    assert digest(two.layers[0]) not in blobs(registry)


def test_pull_of_several_goes_on_after_a_failure(cli, registry):
    registry.add(picture(b"x"), "1")
    r = cli("pull", "UPPER", f"{registry.host}/a:2", f"{registry.host}/a:1", "--format", "json")
    assert r.returncode == FAILED
    errors = [line for line in r.stderr.decode().splitlines() if line.startswith("msb: ")]
    assert errors[0].startswith("msb: 'UPPER' is no image reference: ") and "has no manifest" in errors[1]
    assert [i["reference"] for i in json.loads(r.stdout)] == [f"{registry.host}/a:1"]
    assert cli("pull", "UPPER").returncode == USAGE


def test_pull_never_and_offline(cli):
    r = cli("pull", "--policy", "never", "python:3.12")
    assert r.returncode == FAILED and b"no image python:3.12 here" in r.stderr and r.stderr.count(b"\n") == 1


def test_mirrors_and_authorities_of_the_configuration(cli, registry, home):
    p = picture(b"m")
    registry.add(p, "3.12")
    home.mkdir()
    config = {"registries": {"hosts": {"docker.io": {"mirrors": [f"http://{registry.host}/hub"]}}}}
    (home / "config.json").write_text(json.dumps(config))
    assert report(cli, "pull", "python:3.12")[0] == {
        "reference": "python:3.12", "digest": p.digest, "layer_count": 1, "downloaded_layers": 1,
        "downloaded_bytes": len(p.layers[0])}
    assert all(path.startswith("/v2/hub/library/python/") for _, path, _, _ in registry.seen)

    config["registries"]["hosts"]["docker.io"] = {"mirror": []}
    (home / "config.json").write_text(json.dumps(config))
    r = cli("pull", "python:3.12")
    assert r.returncode == USAGE and b"config.json: registries: hosts.docker.io: " in r.stderr
    (home / "config.json").unlink()
    r = cli("pull", "a:1", env={"MSB_CONFIG_PATH": str(home / "other.json")})
    assert r.returncode == FAILED and b"other.json" in r.stderr


def test_a_lying_msb_pull_is_no_danger(cli, tmp_path):
    lib = tmp_path / "lib"
    lib.mkdir()
    program = lib / "msb-pull"

    def says(script):
        program.write_text("#!/bin/sh\ncat >/dev/null\n" + script)
        program.chmod(0o755)
        return cli("pull", "a:1", env={"MSB_LIB": str(lib)})

    r = says("""printf '{"event":"error","kind":"io","msg":"\\\\u001b[2J\\\\u202eevil","hint":"x"}\\n'; exit 1""")
    assert r.returncode == FAILED and r.stderr == b"msb: ?[2J?evil; x\n"
    for script in ("printf '{\"event\":\"surprise\"}\\n'; exec sleep 600", "head -c 1000000 /dev/zero; exec sleep 600",
                   "echo garbage"):
        r = says(script)
        assert r.returncode == FAILED and b"says what it must not" in r.stderr
    assert b"ended without a result" in says("exit 0").stderr
    assert b"killed by signal 11" in says("kill -SEGV $$").stderr
    assert b"the installation is incomplete" in cli("pull", "a:1", env={"MSB_LIB": str(tmp_path)}).stderr


class Screen:
    """msb on a terminal of its own."""

    def __init__(self, cli, *argv, columns=80):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
                os.execve(MSB, [MSB, *argv], {**cli.env, "TERM": "xterm", "NO_COLOR": "1"})
            finally:
                os._exit(99)
        self.text = b""

    def read_until(self, wanted=None):
        """Up to @wanted, or to the end."""
        deadline = time.monotonic() + LIMIT
        while wanted is None or wanted not in self.text:
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.fd], [], [], left)[0], self.text
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            if not data:
                assert wanted is None, self.text
                break
            self.text += data
        return self.text

    def type(self, data):
        os.write(self.fd, data)

    def end(self):
        self.read_until()
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def rows(text):
    """What a terminal would show of @text; knows the sequences that msb uses."""
    lines, at, column = [[]], 0, 0
    i = 0
    text = text.decode()
    while i < len(text):
        c = text[i]
        if text.startswith("\x1b[", i):
            j = i + 2
            while not text[j].isalpha():
                j += 1
            number = text[i + 2:j]
            if text[j] == "A":
                at -= int(number)
                assert at >= 0, "above the first line"
            elif text[j] == "K":
                del lines[at][column:]
            elif text[j] == "J":
                del lines[at][column:], lines[at + 1:]
            else:
                raise AssertionError(f"unknown sequence {text[i:j + 1]!r}")
            i = j + 1
            continue
        if c == "\r":
            column = 0
        elif c == "\n":
            at, column = at + 1, 0
            if at == len(lines):
                lines.append([])
        else:
            lines[at][column:column + 1] = [c]
            column += 1
        i += 1
    return ["".join(line) for line in lines]


def test_bars_on_a_terminal(cli, registry):
    p = picture(os.urandom(400_000), os.urandom(300_000))
    registry.add(p, "1")
    screen = Screen(cli, "pull", f"{registry.host}/app:1", columns=60)
    assert screen.end() == 0
    text = screen.text
    for blob in p.layers:
        assert b"  " + digest(blob)[7:19].encode() + b" [" in text
    shown = rows(text)
    assert shown[0].startswith(f"   \u2713 Pulled       {registry.host}/app:1 (") and shown[1:] == [""], shown
    for line in re.split(r"[\r\n]|\x1b\[[0-9]*[A-Z]", text.decode()):
        assert len(line) < 60, "no line reaches the last column"


@pytest.mark.parametrize("how", ["key", "SIGTERM", "SIGHUP"])
def test_an_interrupted_pull_leaves_the_terminal_whole_and_goes_on(cli, registry, home, how):
    p = picture(os.urandom(2_000_000))
    blob = p.layers[0]
    registry.add(p, "1")
    half = []

    def stall(handler, kind, name):
        if name != digest(blob) or half:
            return False
        half.append(name)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(blob)))
        handler.end_headers()
        handler.wfile.write(blob[:1_000_000])
        handler.wfile.flush()
        try:
            handler.connection.recv(1)  # until msb-pull is gone
        except OSError:
            pass
        handler.close_connection = True
        return True

    registry.hook = stall
    screen = Screen(cli, "pull", f"{registry.host}/app:1")
    screen.read_until(b"KiB / ")
    part = home / "images/parts" / (digest(blob)[7:] + ".part")
    deadline = time.monotonic() + LIMIT
    while not (part.exists() and part.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    if how == "key":
        screen.type(b"\x03")
    else:
        os.kill(screen.pid, getattr(signal, how))
    assert screen.end() == 128 + getattr(signal, "SIGINT" if how == "key" else how)
    assert rows(screen.text)[-1] in ("", "^C")
    registry.seen.clear()
    good(cli, "pull", f"{registry.host}/app:1")
    ranges = [h.get("Range") for _, path, h, _ in registry.seen if digest(blob) in path]
    assert len(ranges) == 1 and ranges[0], "the part is continued"
