# SPDX-License-Identifier: Apache-2.0
"""Images on the command line, against registries of this machine. No machine is started."""

import base64
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
import threading
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
    assert r.stdout == b"" and lines[0].startswith(f"{ref}: 2 layers, ") and lines[-1].startswith(f"   \u2713 Pulled       {ref} (")
    assert sorted(line.split(":")[0] for line in lines[1:-1]) == sorted(digest(b)[7:19] for b in p.layers)

    registry.seen.clear()
    r = good(cli, "pull", ref)
    assert r.stderr.decode() == f"   \u2713 Pulled       {ref} (already cached)\n" and not blobs(registry)
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
    seen = threading.Event()

    def wait_for_the_bars(handler, kind, name):
        if name in map(digest, p.layers):
            seen.wait(LIMIT)
        return False

    registry.hook = wait_for_the_bars
    screen = Screen(cli, "pull", f"{registry.host}/app:1", columns=60)
    for blob in p.layers:
        screen.read_until(digest(blob)[7:19].encode())
    seen.set()
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


def test_a_pull_under_nohup_goes_on(cli, registry):
    p = picture(os.urandom(100_000))
    registry.add(p, "1")
    asked, sent = threading.Event(), threading.Event()

    def wait_for_the_signal(handler, kind, name):
        if name == digest(p.layers[0]):
            asked.set()
            sent.wait(LIMIT)
        return False

    registry.hook = wait_for_the_signal
    with subprocess.Popen([MSB, "pull", f"{registry.host}/app:1"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=cli.env,
                          preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as process:
        assert asked.wait(LIMIT)
        process.send_signal(signal.SIGHUP)
        sent.set()
        assert process.wait(LIMIT) == 0


# images, image inspect, rmi, image prune

def pulled(cli, registry, p, name):
    registry.add(p, name.rsplit(":", 1)[1])
    good(cli, "pull", "-q", f"{registry.host}/{name}")
    return f"{registry.host}/{name}"


def layers(home):
    return sorted(p.name for p in (home / "images/layers").iterdir())


def test_no_images(cli):
    r = good(cli, "images")
    assert r.stdout == b"" and r.stderr == b"msb: No images found.\n"
    assert good(cli, "images", "--format", "json").stdout == b"[]\n"
    r = cli("rmi", "alpine")
    assert r.returncode == FAILED and r.stderr == b"msb: no image alpine:latest here; 'msb images' lists those that are here\n"


def test_images_are_listed(cli, registry):
    p, q = picture(b"a" * 2_000_000), picture(b"b", b"c")
    one = pulled(cli, registry, p, "one:1")
    two = pulled(cli, registry, q, "two:2")
    for argv in (["images"], ["image", "ls"], ["image", "list"]):
        lines = good(cli, *argv).stdout.decode().splitlines()
        assert lines[0].split() == ["REFERENCE", "DIGEST", "SIZE", "CREATED"]
        assert [line.split()[:2] for line in lines[1:]] == [[one, p.digest[:19]], [two, q.digest[:19]]]
        assert re.search(r"    [0-9.]+ [KM]?i?B    20\d\d-\d\d-\d\d \d\d:\d\d:\d\d$", lines[1])
    got = report(cli, "images")
    assert [set(i) for i in got] == [{"reference", "digest", "size_bytes", "architecture", "os", "layer_count",
                                      "created_at"}] * 2
    assert got[1]["reference"] == two and got[1]["digest"] == q.digest and got[1]["layer_count"] == 2
    assert got[1]["size_bytes"] == sum(map(len, q.layers)) and got[1]["os"] == "linux"
    assert good(cli, "images", "-q").stdout.decode().split() == [one, two]

    # The tag moves: the image is still here, without a name.
    registry.add(q, "1")
    good(cli, "pull", "-q", one)
    assert good(cli, "images", "-q").stdout.decode().split() == [one, two, p.digest]
    assert [i["reference"] for i in report(cli, "images")] == [one, two, None]


def test_image_inspect(cli, registry):
    p = picture(b"a" * 9000, b"b")
    p.config = json.dumps({**json.loads(p.config), "config": {
        "Env": ["PATH=/bin", "X=\x1b[2J"], "Cmd": ["sh", "-c", "echo hi"], "Entrypoint": ["/init"], "User": "1000:1000",
        "WorkingDir": "/srv", "Labels": {"a.b": "c"}, "StopSignal": "SIGINT"}}).encode()
    manifest = json.loads(p.manifest)
    manifest["config"].update(digest=digest(p.config), size=len(p.config))
    p.manifest = json.dumps(manifest).encode()
    p.digest = digest(p.manifest)
    ref = pulled(cli, registry, p, "app:1")
    got = report(cli, "image", "inspect", ref)
    assert got["config"] == {
        "digest": digest(p.config), "env": ["PATH=/bin", "X=\x1b[2J"], "cmd": ["sh", "-c", "echo hi"],
        "entrypoint": ["/init"], "working_dir": "/srv", "user": "1000:1000", "labels": {"a.b": "c"},
        "stop_signal": "SIGINT"}
    assert [(i["position"], i["diff_id"], i["blob_digest"], i["compressed_size_bytes"]) for i in got["layers"]] == [
        (n, digest(t), digest(b), len(b)) for n, (t, b) in enumerate(zip(p.tars, p.layers))]
    assert got["layers"][0]["erofs_size_bytes"] >= 8192 and got["reference"] == ref and got["digest"] == p.digest
    text = good(cli, "image", "inspect", ref).stdout.decode()
    assert "\x1b" not in text and "Command:       sh -c 'echo hi'\n" in text and "\nUser:          1000:1000\n" in text
    assert report(cli, "image", "inspect", p.digest[:20])["reference"] is None
    r = cli("image", "inspect", ref.replace("app", "apq"))
    assert r.returncode == FAILED and r.stderr.decode().endswith(f"; did you mean {ref}?\n")


def test_rmi_takes_what_nobody_else_has(cli, registry, home):
    base, first, second = (tar_of({n: n.encode() * 3000}) for n in "xyz")
    p, q = Picture([base, first]), Picture([base, second])
    one = pulled(cli, registry, p, "a:1")
    two = pulled(cli, registry, q, "a:2")
    again = pulled(cli, registry, p, "a:again")
    r = good(cli, "rmi", one)
    assert r.stdout == b"" and r.stderr.decode() == f"   \u2713 Removed      {one}\n"
    assert len(layers(home)) == 3, "it has another name"
    r = cli("image", "rm", "-q", again, one)
    assert r.returncode == FAILED and f"no image {one} here" in r.stderr.decode()
    assert layers(home) == sorted(digest(b)[7:] for b in q.layers)
    good(cli, "rmi", q.digest[7:20])
    assert layers(home) == [] and report(cli, "images") == []
    assert cli("rmi", two).returncode == FAILED


def use(home, name, p):
    """A stopped sandbox made of @p, as far as images are concerned."""
    place = home / "sandboxes" / name
    place.mkdir(parents=True)
    (place / "lock").touch()
    (place / "spec.json").write_text(json.dumps({
        "version": 1, "name": name, "ephemeral": False, "engine": "auto",
        "image": {"kind": "oci", "name": "a:1", "digest": p.digest, "root": "overlay", "fstype": "erofs"},
        "root_disk": {"kind": "disk", "size": 4 << 30}, "vcpus": 1, "mem_mib": 512, "max_duration_ns": 0,
        "boot_timeout_ns": 0, "labels": {}, "guest": {"env": [], "tmpfs": [], "rlimits": []},
        "host": {"home": str(home), "lib": "/nonexistent", "log_level": 1}}))
    return place


def test_images_of_sandboxes_stay(cli, registry, home):
    p, q = picture(b"1" * 5000), picture(b"2" * 5000)
    one = pulled(cli, registry, p, "a:1")
    two = pulled(cli, registry, q, "a:2")
    place = use(home, "dev", p)
    r = cli("rmi", one)
    assert r.returncode == FAILED and r.stderr.decode() == (
        f"msb: image {one} is used by sandbox 'dev'; remove the sandbox first, or give --force\n")
    got = report(cli, "image", "prune", "--yes")
    assert (got["images"], got["layers"]) == (1, 1) and got["reclaimed_bytes"] > 0
    assert good(cli, "images", "-q").stdout.decode().split() == [one]
    assert cli("image", "inspect", two).returncode == FAILED

    r = good(cli, "rmi", "-f", one)
    assert "sandbox 'dev' keeps" in r.stderr.decode()
    assert layers(home) == [digest(p.layers[0])[7:]] and report(cli, "images")[0]["reference"] is None
    # What a sandbox needs is not known any more: no image may go.
    (place / "spec.json").write_text("{")
    three = pulled(cli, registry, q, "a:2")
    r = good(cli, "image", "prune", "-y", "--format", "json")
    assert json.loads(r.stdout)["images"] == 0 and len(layers(home)) == 2
    assert r.stderr.decode().startswith("msb: all images stay: sandbox 'dev' may need any, its description cannot be read (")
    assert r.stderr.decode().endswith("repair spec.json, or remove it: msb rm --force dev\n")
    r = cli("rmi", three)
    assert r.returncode == FAILED and b"may be needed by sandbox 'dev', which cannot be read" in r.stderr
    good(cli, "rm", "--force", "dev")
    good(cli, "rmi", three)
    # The same for snapshots, one of them or all.
    odd = home / "snapshots/odd"
    odd.mkdir(parents=True)
    (odd / "snapshot.json").write_text("{")
    r = good(cli, "image", "prune", "-y")
    assert b"snapshot 'odd' may need any" in r.stderr and b"msb snapshot rm --force odd" in r.stderr
    assert cli("snapshot", "rm", "odd").returncode == FAILED and odd.exists()
    good(cli, "snapshot", "rm", "--force", "odd")
    assert not odd.exists()
    odd.parent.rmdir()
    odd.parent.write_text("")
    r = good(cli, "image", "prune", "-y")
    assert b"what needs them cannot be read" in r.stderr and len(layers(home)) == 1
    odd.parent.unlink()
    assert report(cli, "image", "prune", "-y")["images"] == 1 and layers(home) == []


def test_prune_asks(cli, registry):
    ref = pulled(cli, registry, picture(b"1"), "a:1")
    r = cli("image", "prune", stdin=subprocess.DEVNULL)
    assert r.returncode == USAGE and b"there is nobody to ask; give --yes" in r.stderr
    for answer, left in ((b"\r", [ref]), (b"n\r", [ref]), (b"y\r", [])):
        screen = Screen(cli, "image", "prune")
        screen.read_until(b"[y/N] ")
        screen.type(answer)
        assert screen.end() == 0
        assert good(cli, "images", "-q").stdout.decode().split() == left
    assert good(cli, "image", "prune", "-y").stdout == b"Removed 0 images and 0 layers, 0 B\n"


def test_a_store_in_use_is_not_collected(cli, registry, home):
    ref = pulled(cli, registry, picture(b"1" * 5000), "a:1")
    with open(home / "images/lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        r = cli("image", "prune", "-y")
        assert r.returncode == FAILED and b"the image store is in use" in r.stderr
        assert good(cli, "images", "-q").stdout.decode().split() == [ref]
        r = good(cli, "rmi", ref)
        assert b"frees the space later" in r.stderr and len(layers(home)) == 1
    assert report(cli, "image", "prune", "-y")["layers"] == 1


# registry login, logout, ls

def wants_login(registry, users):
    def check(handler, kind, name):
        given = handler.headers.get("Authorization", "").removeprefix("Basic ")
        if base64.b64decode(given).decode() in users:
            return False
        registry.send(handler, b"{}", {"WWW-Authenticate": 'Basic realm="test"'}, 401)
        return True

    registry.hook = check


def test_login_pull_logout(cli, registry, home):
    p = picture(b"secret")
    registry.add(p, "1")
    ref = f"{registry.host}/a:1"
    wants_login(registry, ["ann:pw \u00e4"])
    r = cli("pull", ref)
    assert r.returncode == FAILED and b"needs a login" in r.stderr

    r = cli("registry", "login", registry.host, "-u", "ann", "--password-stdin", input=b"wrong\n")
    assert r.returncode == FAILED and not (home / "registry.json").exists()
    r = good(cli, "registry", "login", registry.host, "-u", "ann", "--password-stdin", input="pw \u00e4\n".encode())
    assert r.stderr.decode() == f"   \u2713 Logged in    to {registry.host} as ann\n" and r.stdout == b""
    assert (home / "registry.json").stat().st_mode & 0o777 == 0o600
    good(cli, "pull", ref)
    assert report(cli, "registry", "ls") == [{"registry": registry.host, "username": "ann", "source": "msb"}]
    lines = good(cli, "regs").stdout.decode().splitlines()
    assert lines[0].split() == ["REGISTRY", "USERNAME", "SOURCE"] and lines[1].split() == [registry.host, "ann", "msb"]

    r = good(cli, "registry", "logout", registry.host)
    assert r.stderr.decode() == f"   \u2713 Logged out   of {registry.host}\n"
    r = good(cli, "registry", "logout", registry.host)
    assert r.stderr.decode() == f"msb: warning: there is no login for {registry.host}\n"
    assert report(cli, "registry", "ls") == [] and b"No logins found." in good(cli, "registry", "ls").stderr
    assert cli("pull", ref).returncode == FAILED


@pytest.mark.parametrize("argv,text", [
    (["registry", "login", "not/a/registry"], b"'not/a/registry' is no registry; write HOST[:PORT]"),
    (["registry", "login", "ghcr.io", "--password-stdin"], b"--password-stdin needs --username"),
    (["registry", "login", "ghcr.io", "-u", "", "--password-stdin"], b"the user name is empty"),
    (["registry", "login", "ghcr.io", "-u", "x", "--password-stdin"], b"the password is empty"),
    (["registry", "lgin"], b"unknown command registry 'lgin'; did you mean 'msb registry login'?"),
    (["image", "frobnicate"], b"unknown command image 'frobnicate'; see 'msb image --help'"),
])
def test_mistakes(cli, argv, text):
    r = cli(*argv, stdin=subprocess.DEVNULL)
    assert r.returncode == USAGE and text in r.stderr and r.stderr.count(b"\n") == 1 and r.stdout == b""


def test_login_without_a_terminal(cli):
    r = subprocess.run([MSB, "registry", "login", "ghcr.io", "-u", "x"], env=cli.env, stdin=subprocess.DEVNULL,
                       capture_output=True, start_new_session=True, check=False)
    assert r.returncode == USAGE and b"there is no terminal to ask on; give --username NAME --password-stdin" in r.stderr


def test_login_on_a_terminal(cli, registry):
    wants_login(registry, ["ann:hush"])
    screen = Screen(cli, "registry", "login", registry.host)
    screen.read_until(b"Username: ")
    screen.type(b"anx\x7fn\r")
    screen.read_until(b"Password: ")
    screen.type(b"oops\x15hush\r")
    assert screen.end() == 0
    assert b"hush" not in screen.text and b"oops" not in screen.text
    assert report(cli, "registry", "ls")[0]["username"] == "ann"


@pytest.mark.parametrize("how", ["key", "SIGTERM"])
def test_a_prompt_gives_the_terminal_back(cli, registry, how):
    screen = Screen(cli, "registry", "login", registry.host, "-u", "ann")
    screen.read_until(b"Password: ")
    raw = termios.tcgetattr(screen.fd)
    assert not raw[3] & termios.ECHO
    if how == "key":
        screen.type(b"\x03")
    else:
        os.kill(screen.pid, signal.SIGTERM)
    screen.read_until(b"\r\n")
    assert termios.tcgetattr(screen.fd)[3] & (termios.ECHO | termios.ICANON) == termios.ECHO | termios.ICANON
    assert screen.end() == (128 + signal.SIGINT if how == "key" else -signal.SIGTERM) and not registry.seen
