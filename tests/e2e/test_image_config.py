# SPDX-License-Identifier: Apache-2.0
"""What images say about running them, and what programs of images find in the guest, once per engine."""

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

import offline
from conftest import MSB
from registry import Hostile, Picture

BUSYBOX = Path("/bin/busybox")
APPLETS = ("sh", "cat", "echo", "env", "id", "ls", "pwd", "stat", "sleep", "tail", "readlink", "test", "nc", "netstat", "grep")
PASSWD = """root:x:0:0:root:/root:/bin/sh
app:x:1000:1000:App:/home/app:/bin/sh
nohome:x:1001:1001::
"""
GROUP = """root:x:0:
app:x:1000:
www:x:33:app
audio:x:29:root,app
"""


def layer(files=()):
    """Busybox with two users, and nothing else: no /tmp, no /etc/hosts, no mount points."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        def add(name, data=b"", mode=0o644, kind=tarfile.REGTYPE, link=""):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.size, info.linkname = kind, mode, len(data), link
            t.addfile(info, io.BytesIO(data))

        for place in ("bin", "etc", "root", "home"):
            add(place, mode=0o755, kind=tarfile.DIRTYPE)
        add("bin/busybox", BUSYBOX.read_bytes(), 0o755)
        for name in APPLETS:
            add(f"bin/{name}", kind=tarfile.SYMTYPE, link="busybox")
        add("etc/passwd", PASSWD.encode())
        add("etc/group", GROUP.encode())
        add("etc/resolv.conf", b"nameserver 192.0.2.1\n")
        for name, data in files:
            add(name, data, 0o755)
    return out.getvalue()


@pytest.fixture(scope="module")
def registry():
    with Hostile() as r:
        yield r


@pytest.fixture
def image(registry):
    """Makes an image with this configuration; its reference."""
    def make(**config):
        registry.add(Picture([layer()], config=config), "x")
        return f"{registry.host}/tiny:x"

    return make


@pytest.fixture
def life(msb):
    yield msb
    names = msb("ls", "-q").stdout.decode().split()
    if names:
        r = msb("rm", "--force", *names)
        assert r.returncode == 0, r.stderr.decode()


def ok(msb, *argv):
    r = msb(*argv, stdin=subprocess.DEVNULL)
    assert r.returncode == 0, f"{argv}: exit status {r.returncode}: {r.stderr.decode(errors='replace')}"
    return r.stdout.decode()


ENTRY = {"Entrypoint": ["/bin/echo", "entry"], "Cmd": ["cmd", "two words"]}


@pytest.mark.parametrize("config,options,command,out", [
    (ENTRY, [], [], "entry cmd two words\n"),
    (ENTRY, [], ["--", "mine", "-n"], "entry mine -n\n"),
    (ENTRY, ["--entrypoint", "/bin/echo"], [], "\n"),
    (ENTRY, ["--entrypoint", ""], ["--", "echo", "plain"], "plain\n"),
    ({"Cmd": ["echo", "cmd"]}, ["--shell", "/bin/cat"], [], "cmd\n"),
])
def test_what_runs(msb, image, config, options, command, out):
    assert msb.out("-q", *options, image(**config), *command) == out


def test_the_shell_runs_when_nobody_says(msb, image):
    assert msb.out("-q", image(), input=b"echo from the shell\n") == "from the shell\n"


def test_environment(msb, image, tmp_path):
    (tmp_path / "env").write_text("B=file\nC=file\n")
    ref = image(Env=["A=image", "B=image", "C=image", "D=image", "NOVALUE", "PATH=/sbin:/bin"], Cmd=["env"])
    text = msb.out("-q", "--env-file", str(tmp_path / "env"), "-e", "C=line", "-H", "box", ref)
    found = dict(line.split("=", 1) for line in text.splitlines())
    assert {k: found[k] for k in "ABCD"} == {"A": "image", "B": "file", "C": "line", "D": "image"}
    assert found["PATH"] == "/sbin:/bin" and found["HOME"] == "/root" and found["HOSTNAME"] == "box"
    assert "NOVALUE" not in found


def test_environment_of_an_image_that_has_none(msb, image):
    found = dict(line.split("=", 1) for line in msb.out("-q", image(Cmd=["env"], User="app")).splitlines())
    assert found["PATH"] == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert found["HOME"] == "/home/app" and found["USER"] == "app"


WHO = 'echo "$(id -u):$(id -g):$(id -G):$HOME:$(pwd)"'
USERS = [
    ("app", "1000:1000:1000 29 33:/home/app"),
    ("1000", "1000:1000:1000 29 33:/home/app"),
    ("app:www", "1000:33:33:/home/app"),
    ("app:77", "1000:77:77:/home/app"),
    ("4242", "4242:0:0:/"),
    ("4242:www", "4242:33:33:/"),
    ("4242:4343", "4242:4343:4343:/"),
    ("nohome", "1001:1001:1001:/"),
    ("root", "0:0:0 29:/root"),
]


def test_users(life, image):
    """All forms against the users of the image: its USER, and -u of a command."""
    ok(life, "create", "-q", "--name", "who", image(User="app", WorkingDir="srv/made"))
    assert ok(life, "exec", "who", "--", "sh", "-c", WHO) == f"{USERS[0][1]}:/srv/made\n"
    for user, out in USERS:
        assert ok(life, "exec", "-u", user, "who", "--", "sh", "-c", WHO) == f"{out}:/srv/made\n", user
    for user in ("stranger", "app:strangers", "app:"):
        r = life("exec", "-u", user, "who", "--", "true", stdin=subprocess.DEVNULL)
        assert r.returncode == 126 and user.encode() in r.stderr, (user, r.stderr)
    # Made as root, as by others.
    assert ok(life, "exec", "who", "--", "stat", "-c", "%a %u %g", "/srv/made") == "755 0 0\n"


def test_the_user_of_the_command_line_wins(msb, image):
    ref = image(User="app:www", WorkingDir="/srv")
    assert msb.out("-q", ref, "--", "sh", "-c", WHO) == "1000:33:33:/home/app:/srv\n"
    assert msb.out("-q", "-u", "0", "-w", "/home/new", ref, "--", "sh", "-c", WHO) == "0:0:0 29:/root:/home/new\n"


def test_what_the_image_says_is_kept(life, image, tmp_path):
    ref = image(StopSignal="SIGRTMIN+3", Labels={"a": "1", "b": "image", "sandbox.id": "no"}, Env=["A=image"], User="app")
    ok(life, "create", "-q", "--name", "kept", "--label", "b=first", "--label", "b=mine", ref)
    spec = json.loads((life.home / "sandboxes/kept/spec.json").read_text())
    assert spec["labels"] == {"a": "1", "b": "mine"} and spec["guest"]["stop_signal"] == 37
    assert "kept" in ok(life, "ls", "--label", "a=1", "-q")
    ok(life, "stop", "kept")
    ok(life, "start", "kept")
    assert ok(life, "exec", "kept", "--", "sh", "-c", "echo $A; id -u") == "image\n1000\n"
    (tmp_path / "env").write_text("A=file\nB=file\n")
    assert ok(life, "exec", "--env-file", str(tmp_path / "env"), "-e", "B=line", "kept", "--", "sh", "-c",
              "echo $A $B") == "file line\n"


def test_the_stop_signal_reaches_the_command(life, image):
    script = "trap '' TERM; trap 'echo asked; exit 3' QUIT; echo up; while :; do sleep 1; done"
    ok(life, "run", "-q", "-d", "--name", "asked", image(StopSignal="SIGQUIT", Cmd=["sh", "-c", script]))
    follow = subprocess.Popen([MSB, "logs", "-f", "asked"], env=life.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    life.started.append(follow)
    assert b"up" in follow.stdout.readline()
    ok(life, "stop", "-t", "100", "asked")
    assert b"asked" in follow.stdout.read()


def test_the_stop_signal_reaches_an_attached_command(life, image):
    script = "trap '' TERM; trap 'echo asked; exit 3' QUIT; echo up; while :; do sleep 1; done"
    for name in ([], ["--name", "kept"]):
        p = life.start("-q", *name, image(StopSignal="SIGQUIT", Cmd=["sh", "-c", script]), stdin=subprocess.DEVNULL)
        assert p.stdout.readline() == b"up\n"
        ok(life, "stop", "-t", "100", *ok(life, "ls", "-q").split())
        assert p.stdout.read() == b"asked\n" and p.wait() == 3


def test_exec_without_a_command_is_that_of_the_image(life, image):
    ok(life, "create", "-q", "--name", "one", image(**ENTRY))
    assert ok(life, "exec", "one") == "entry cmd two words\n"
    ok(life, "create", "-q", "--pull", "always", "--name", "none", "--shell", "/bin/cat", image())
    assert life("exec", "none", input=b"through the shell").stdout == b"through the shell"


def test_a_configuration_that_is_none(msb, image):
    r = msb.run("-q", image(Cmd="not a list"), "--", "true")
    assert r.returncode == 125 and r.stderr.decode().endswith("image configuration: 'Cmd' must be an array, not string\n")
    assert not msb.sandboxes()


def test_the_guest_of_an_image_with_nothing(msb, image):
    text = msb.out("-q", "-H", "box", image(Env=[]), "--", "sh", "-c", """
        for f in /tmp /var/tmp /dev/shm /dev/mqueue /dev/pts /proc /sys /dev; do stat -c '%n %a %F' $f; done
        for f in /dev/fd /dev/stdin /dev/stdout /dev/stderr /etc/mtab; do readlink $f; done
        cat /etc/hostname /etc/resolv.conf; grep box /etc/hosts
        for f in null zero full random urandom tty ptmx; do stat -c '%n %a' /dev/$f; done
        cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ls /sys/fs/cgroup/cgroup.procs""")
    lines = text.splitlines()
    assert lines[:8] == ["/tmp 1777 directory", "/var/tmp 1777 directory", "/dev/shm 1777 directory",
                         "/dev/mqueue 1777 directory", "/dev/pts 755 directory", "/proc 555 directory",
                         "/sys 555 directory", "/dev 755 directory"]
    assert lines[8:13] == ["/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", "/proc/mounts"]
    assert lines[13] == "box" and lines[15] == "nameserver 172.16.0.1"
    assert lines[16:18] == ["127.0.0.1\tlocalhost box", "::1\tlocalhost ip6-localhost ip6-loopback box"]
    assert lines[18] == "172.16.0.1\thost.microsandbox.internal"
    assert lines[-9:-2] == [f"/dev/{n} 666" for n in ("null", "zero", "full", "random", "urandom", "tty", "ptmx")]
    assert lines[-2:] == ["0", "/sys/fs/cgroup/cgroup.procs"]


def test_a_new_name_resolves(life, image):
    ok(life, "create", "-q", "--name", "old", image())
    ok(life, "exec", "old", "--", "sh", "-c", "echo mine > /etc/mine")
    ok(life, "stop", "old")
    ok(life, "rename", "old", "new")
    ok(life, "start", "new")
    assert ok(life, "exec", "new", "--", "cat", "/etc/hostname", "/etc/mine").split() == ["new", "mine"]
    text = ok(life, "exec", "new", "--", "cat", "/etc/hosts")
    assert text.startswith("127.0.0.1\tlocalhost new\n") and "old" not in text


def offline_image(registry, name):
    try:
        registry.add_archive(offline.image(name), name)
    except offline.Missing as e:
        pytest.skip(str(e))
    return f"{registry.host}/offline:{name}"


PYTHON = """
import ctypes, getpass, grp, multiprocessing, os, pwd, resource, socket, subprocess, tempfile
from multiprocessing import shared_memory

queue = multiprocessing.Queue()
p = multiprocessing.Process(target=lambda: queue.put("from a process"))
p.start(); print(queue.get()); p.join()
with multiprocessing.Pool(2) as pool:
    print(pool.map(abs, [-1, 2]))
block = shared_memory.SharedMemory(create=True, size=1 << 20)
block.buf[0] = 7
print(block.buf[0]); block.close(); block.unlink()
libc = ctypes.CDLL(None, use_errno=True)
print("mq", libc.mq_open(b"/q", os.O_CREAT | os.O_RDWR, 0o600, None) >= 0, os.listdir("/dev/mqueue"))
a, b = os.openpty(); print(os.ttyname(b).startswith("/dev/pts/"))
with tempfile.NamedTemporaryFile() as f: print(f.name.startswith("/tmp/"))
print(getpass.getuser(), os.path.expanduser("~"), socket.gethostbyname(socket.gethostname()))
s = socket.socket(); s.bind(("127.0.0.1", 80)); s.listen()
c = socket.create_connection(("localhost", 80)); print("port", c.getpeername()[1])
socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP).sendto(b"\\x08\\0\\0\\0\\0\\0\\0\\0", ("127.0.0.1", 0))
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 1024, open("/dev/stdin").read() == "")
try:
    socket.getaddrinfo("example.com", 80)
except OSError as e:
    print("no name servers", e.errno)
"""


def test_python(msb, registry):
    ref = offline_image(registry, "python")
    assert msb.out("-m", "1G", ref, "--", "python3", "-c", "print('hello')") == "hello\n"
    r = msb.run("-q", "-m", "1G", "--no-net", "-u", "nobody", "--pull", "never", ref, "--", "python3", "-c", PYTHON)
    assert r.returncode == 0, r.stderr.decode()
    assert r.stdout.decode().splitlines() == [
        "from a process", "[1, 2]", "7", "mq True ['q']", "True", "True", "nobody /nonexistent 127.0.0.1", "port 80",
        "True True", "no name servers -3"]


def test_pip(msb, registry):
    ref = offline_image(registry, "python")
    text = msb.out("-q", "-m", "1G", ref, "--", "python3", "-m", "pip", "--version")
    assert text.startswith("pip ") and text.endswith("(python 3.11)\n")


def test_packages_and_users_of_debian(msb, registry):
    ref = offline_image(registry, "python")
    text = msb.out("-q", "-m", "1G", ref, "--", "bash", "-ec", """
        mkdir -p /tmp/p/DEBIAN; echo content > /tmp/p/file
        printf 'Package: own\\nVersion: 1\\nArchitecture: all\\nMaintainer: x <x@x>\\nDescription: x\\n' > /tmp/p/DEBIAN/control
        dpkg-deb --build /tmp/p /tmp/own.deb > /dev/null; apt-get install -qq -y /tmp/own.deb > /tmp/log 2>&1; cat /file
        apt-get remove -qq -y own >> /tmp/log 2>&1; test ! -e /file
        useradd -m -G audio joe; su joe -c 'cd; id -nG; echo $HOME; touch mine; stat -c %U mine'
        script -qec 'tty' /dev/null < /dev/null; df / | tail -n 1 | grep -o '/$'; locale -a | grep -x C.utf8""")
    lines = text.replace("\r", "").splitlines()
    assert lines == ["content", "joe audio", "/home/joe", "joe", "/dev/pts/0", "/", "C.utf8"]


def test_node(msb, registry):
    ref = offline_image(registry, "node")
    script = "console.log(process.version.startsWith('v'), os.cpus().length, fs.mkdtempSync('/tmp/x').length)"
    text = msb.out("-q", "-m", "1G", "-c", "2", ref, "--", "node", "-e",
                   f"const os = require('os'), fs = require('fs'); {script}")
    assert text == "true 2 12\n"


def test_pull_policies(msb, registry, image):
    ref = image(Cmd=["echo", "first"])
    assert msb.run("-q", "--pull", "never", ref).returncode == 125
    assert msb.out("-q", ref) == "first\n"
    registry.seen.clear()
    image(Cmd=["echo", "second"])
    assert msb.out("-q", ref) == "first\n" and not registry.seen
    assert msb.out("-q", "--pull", "never", ref) == "first\n" and not registry.seen
    assert msb.out("-q", "--pull", "always", ref) == "second\n" and registry.seen
    r = msb.run(f"{registry.host}/tiny:missing")
    assert r.returncode == 125 and f"msb: image '{registry.host}/tiny:missing': ".encode() in r.stderr
