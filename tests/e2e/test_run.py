# SPDX-License-Identifier: Apache-2.0
"""msb run as people use it, with a real machine and kernel, once per engine."""

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time
from pathlib import Path

import pytest

from conftest import LIMIT, MSB

EXITS = [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137), ("kill -TERM $$", 143), ("kill -SEGV $$", 139)]


def test_a_kernel_of_its_own(msb):
    uname, user, init = msb.out("--", "sh", "-c", "uname -r; id -u; cat /proc/1/comm").split()
    assert uname != os.uname().release and re.match(r"6\.12\.", uname)
    assert user == "0" and init == "init"


def test_the_kernel_has_nothing_to_warn_about(msb):
    taint, log = msb.out("--", "sh", "-c", "cat /proc/sys/kernel/tainted; dmesg | grep -A 3 WARNING:; true").split("\n", 1)
    assert taint == "0" and log == "", log


@pytest.mark.parametrize("command,status", EXITS)
def test_exit_status(msb, command, status):
    r = msb.run("--", "sh", "-c", command)
    assert r.returncode == status and r.stdout == b""


@pytest.mark.parametrize("argv,status,text", [
    (["--", "nosuchprogram"], 127, "cannot run 'nosuchprogram': No such file or directory"),
    (["--", "/no/such/program"], 127, "cannot run '/no/such/program': No such file or directory"),
    (["--", "/etc/passwd"], 126, "cannot run '/etc/passwd': Permission denied"),
    (["--", "/etc"], 126, None),
    (["-w", "/etc/passwd", "--", "true"], 126, "working directory '/etc/passwd': Not a directory"),
    (["-u", "stranger", "--", "true"], 126, None),
])
def test_what_cannot_start(msb, argv, status, text):
    r = msb.run("-q", *argv)
    lines = r.stderr.decode().splitlines()
    assert r.returncode == status and len(lines) == 1 and lines[0].startswith("msb: "), (r.returncode, lines)
    assert text is None or lines[0] == "msb: " + text


def test_streams(msb):
    r = msb.run("-q", "--", "sh", "-c", "echo to stdout; echo to stderr >&2; cat", input=b"from stdin\n")
    assert r.returncode == 0
    assert r.stdout == b"to stdout\nfrom stdin\n"
    assert r.stderr == b"to stderr\n"


def test_bulk_both_ways(msb):
    data = os.urandom(3_000_000)
    r = msb.run("-q", "--", "cat", input=data)
    assert r.returncode == 0 and r.stdout == data


def test_output_comes_as_it_is_written(msb):
    p = msb.start("-q", "--", "sh", "-c", "echo first; read line; echo got $line; read line")
    assert p.stdout.readline() == b"first\n"
    p.stdin.write(b"one\n")
    p.stdin.flush()
    assert p.stdout.readline() == b"got one\n"
    assert p.poll() is None
    p.stdin.close()
    assert p.wait(LIMIT) == 1


def test_closed_pipe_ends_it(msb):
    r = subprocess.run(["sh", "-c", '"$0" run -q -- yes | head -n 2', MSB], env=msb.env, stdin=subprocess.DEVNULL,
                       capture_output=True, timeout=LIMIT, check=False)
    assert (r.stdout, r.stderr) == (b"y\ny\n", b"")


def test_environment_user_place_and_name(msb):
    text = msb.out("-e", "A=1 2", "-e", "FROM_HERE", "-w", "/tmp", "-u", "1000:1001", "-H", "box", "--",
                   "sh", "-c", 'echo "$A|$FROM_HERE|$(pwd)|$(id -u):$(id -g)|$(hostname)"', env={"FROM_HERE": "here"})
    assert text == "1 2|here|/tmp|1000:1001|box\n"


def test_nothing_else_of_our_environment_gets_in(msb):
    text = msb.out("--", "env", env={"SECRET_OF_THE_HOST": "x"})
    assert "SECRET" not in text and "MSB_" not in text
    assert "PATH=" in text and "HOME=/root" in text


def test_environment_from_a_file(msb, tmp_path):
    (tmp_path / "env").write_text("# ours\nA=file\n\nB=two words\nFROM_HERE\nNOWHERE\n")
    text = msb.out("--env-file", str(tmp_path / "env"), "-e", "A=line", "--", "sh", "-c",
                   'echo "$A|$B|$FROM_HERE|${NOWHERE-unset}"', env={"FROM_HERE": "here"})
    assert text == "line|two words|here|unset\n"


def test_a_working_directory_is_made(msb):
    assert msb.out("-w", "/srv/new/dir", "-u", "1000", "--", "sh", "-c", "pwd; stat -c '%a %u' .") == "/srv/new/dir\n755 0\n"


def test_entrypoint_and_shell(msb):
    assert msb.out("--entrypoint", "", "--", "echo", "plain") == "plain\n"
    assert msb.out("--entrypoint", "echo", "--", "a", "-n", "b") == "a -n b\n"
    assert msb.out(input=b"echo from the default shell; exit\n") == "from the default shell\n"
    assert msb.out("--shell", "/bin/cat", input=b"as it is") == "as it is"


def test_machine_size(msb):
    cpus, kib = msb.out("-c", "3", "-m", "200M", "--", "sh", "-c", "nproc; sed -n 's/MemTotal: *//p' /proc/meminfo").split()[:2]
    assert cpus == "3"
    assert 140 * 1024 < int(kib) <= 200 * 1024


def test_tmpfs_and_rlimit(msb):
    text = msb.out("--tmpfs", "/scratch:20M:noexec", "--tmpfs", "/other", "--rlimit", "nofile=100:200", "--", "sh", "-c",
                   "grep -E ' /(scratch|other) ' /proc/mounts; ulimit -n; ulimit -Hn")
    lines = text.splitlines()
    assert "tmpfs /scratch tmpfs" in lines[0] and "noexec" in lines[0] and "size=20480k" in lines[0]
    assert "tmpfs /other tmpfs" in lines[1]
    assert lines[2:] == ["100", "200"]


def test_every_run_starts_fresh(msb):
    msb.out("--", "sh", "-c", "echo x > /root/mark; echo x > /tmp/mark; rm /bin/ls")
    assert msb.out("--", "sh", "-c", "ls /root /tmp") .count("mark") == 0


def test_timeout(msb):
    begin = time.monotonic()
    r = msb.run("-q", "--timeout", "1s", "--", "sh", "-c", "trap '' TERM INT; echo on; sleep 1000")
    assert r.returncode == 124 and r.stdout == b"on\n"
    assert r.stderr == b"msb: the command was killed: it did not end within 1 s (--timeout)\n"
    assert time.monotonic() - begin < 60


def test_max_duration(msb):
    r = msb.run("-q", "--max-duration", "8s", "--", "sleep", "1000")
    assert r.returncode == 124
    assert r.stderr == b"msb: the sandbox was stopped: it reached its --max-duration\n"


def test_signals_reach_the_command(msb):
    p = msb.start("-q", "--", "sh", "-c", "trap 'echo term; exit 5' TERM; echo on; while :; do sleep 1; done")
    assert p.stdout.readline() == b"on\n"
    p.send_signal(signal.SIGTERM)
    assert p.stdout.readline() == b"term\n"
    assert p.wait(LIMIT) == 5


def test_second_signal_ends_the_sandbox(msb):
    p = msb.start("-q", "--", "sh", "-c", "trap 'echo no' INT TERM; echo on; while :; do sleep 1; done")
    assert p.stdout.readline() == b"on\n"
    p.send_signal(signal.SIGINT)
    assert p.stdout.readline() == b"no\n"
    p.send_signal(signal.SIGTERM)
    assert p.wait(LIMIT) == 143


def test_signal_while_it_boots(msb):
    p = msb.start("-q", "--", "sleep", "1000")
    while not msb.sandboxes():
        assert p.poll() is None
    p.send_signal(signal.SIGINT)
    assert p.wait(LIMIT) == 130


@pytest.mark.parametrize("how", ["poweroff", "reboot", "halt"])
def test_guest_that_switches_itself_off(msb, how):
    """The machine is not started again, and the run ends."""
    r = msb.run("-q", "--", "sh", "-c", f"{how}; sleep 1000")
    assert r.returncode == 128 + signal.SIGTERM, r
    # Behind the back of PID 1 it would look like a crash, or hang.
    r = msb.run("-q", "--", how, "-f")
    assert r.returncode == 1 and b"not permitted" in r.stderr


def test_guest_panic_is_reported_with_the_console(msb):
    r = msb.run("-q", "-m", "64M", "--", "sh", "-c", "echo 2 > /proc/sys/vm/panic_on_oom; tail /dev/zero")
    assert r.returncode == 125
    lines = r.stderr.decode().splitlines()
    assert lines[0].startswith("msb: ") and lines[1] == "msb: last lines of the guest's console:"
    assert any("Kernel panic" in line for line in lines)


def test_kernel_that_is_none(msb, tmp_path):
    bad = tmp_path / "vmlinux"
    bad.write_bytes(b"not a kernel" * 1000)
    r = msb.run("-q", "--kernel", str(bad), "--", "true")
    assert r.returncode == 125 and r.stderr.startswith(b"msb: ")


def test_timing(msb):
    r = msb.run("-q", "--timing", "--", "true")
    assert r.returncode == 0
    rows = [line.rsplit(None, 2) for line in r.stderr.decode().splitlines()[1:]]
    names = [w[0] for w in rows]
    for phase in ("spawn", "engine", "kernel", "agent", "ready", "exec", "exit", "end"):
        assert phase in names
    at = [float(w[1]) for w in rows]
    assert at == sorted(at)


# Images.

def test_directory(msb, tmp_path):
    root = tmp_path / "root"
    for name in ("bin", "etc", "dev", "proc", "sys", "tmp"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for tool in ("sh", "cat", "ls", "id", "echo"):
        (root / "bin" / tool).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\nworker:x:1234:1234::/:/bin/sh\n")
    (root / "hello").write_text("from the directory\n")
    assert msb.out(str(root), "cat", "/hello") == "from the directory\n"
    assert msb.out("-u", "worker", str(root), "--", "id", "-u") == "1234\n"
    msb.out(str(root), "sh", "-c", "echo changed > /hello")
    assert (root / "hello").read_text() == "from the directory\n", "changes stay inside"


@pytest.fixture
def disk(tmp_path):
    if not shutil.which("mkfs.ext4"):
        pytest.skip("mkfs.ext4 is not installed (e2fsprogs)")
    root = tmp_path / "tree"
    for name in ("bin", "dev", "proc", "sys", "tmp", "etc"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for tool in ("sh", "cat", "echo"):
        (root / "bin" / tool).symlink_to("busybox")
    image = tmp_path / "disk.img"
    subprocess.run(["mkfs.ext4", "-q", "-d", str(root), str(image), "32M"], check=True, capture_output=True)
    return image


def test_disk_image_keeps_changes(msb, disk):
    msb.out(str(disk), "sh", "-c", "echo kept > /mark")
    assert msb.out(str(disk), "cat", "/mark") == "kept\n"
    r = subprocess.run(["e2fsck", "-fn", str(disk)], capture_output=True, text=True, check=False)
    assert r.returncode == 0, r.stdout


def test_disk_image_is_clean_after_a_timeout(msb, disk):
    r = msb.run("-q", "--timeout", "1s", str(disk), "sh", "-c", "echo kept > /mark; while :; do :; done")
    assert r.returncode == 124
    assert msb.out(str(disk), "cat", "/mark") == "kept\n"
    r = subprocess.run(["e2fsck", "-fn", str(disk)], capture_output=True, text=True, check=False)
    assert r.returncode == 0, r.stdout


# Terminals.

class Terminal:
    def __init__(self, msb, *argv, rows=33, cols=111):
        self.master, self.slave = pty.openpty()
        self.resize(rows, cols)
        self.before = termios.tcgetattr(self.slave)
        self.text = b""

        def child():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.p = subprocess.Popen([MSB, "run", *argv], env=msb.env, stdin=self.slave, stdout=self.slave,
                                  stderr=self.slave, preexec_fn=child)
        msb.started.append(self.p)

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

    def end(self, status):
        assert self.p.wait(LIMIT) == status
        assert termios.tcgetattr(self.slave) == self.before, "the terminal is as it was"
        os.close(self.master)
        os.close(self.slave)


def test_shell_on_a_terminal(msb):
    t = Terminal(msb, "-q")
    t.expect(b"# ")
    t.type(b"tty; stty size; echo $TERM_IS$TERM\r")
    t.expect(b"/dev/pts/")
    t.expect(b"33 111")
    t.resize(50, 132)
    t.type(b"stty size\r")
    t.expect(b"50 132")
    # Only a program that runs for sure may get the Ctrl-C: the shell itself would swallow it.
    t.type(b"sh -c 'echo u''p; exec sleep 1000'\r")
    t.expect(b"up\r\n")
    t.type(b"\x03")
    t.expect(b"# ")
    t.type(b"echo still $((40 + 2))\r")
    t.expect(b"still 42")
    t.type(b"exit 6\r")
    t.end(6)


def test_end_of_input_on_a_terminal(msb):
    t = Terminal(msb, "-q", "--", "cat")
    t.type(b"line\r")
    t.expect(b"line\r\nline\r\n")
    t.type(b"\x04")
    t.end(0)


# Who is asking.

@pytest.fixture
def open_place():
    """A directory that every user may enter, with a copy of the installation."""
    place = Path(tempfile.mkdtemp(prefix="msb-e2e-"))
    place.chmod(0o755)
    lib = Path(os.environ.get("MSB_LIB") or Path(MSB).resolve().parents[1] / "lib/msb")
    shutil.copytree(lib, place / "lib/msb")
    (place / "bin").mkdir()
    shutil.copy(MSB, place / "bin/msb")
    yield place
    shutil.rmtree(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user; the other tests are the proof then")
def test_without_root(engine, open_place, home):
    """Nobody in particular, in the group of /dev/kvm where that is the engine."""
    mine = open_place / "home"
    mine.mkdir()
    os.chown(mine, 65534, 65534)
    groups = []
    if engine == "kvm":
        device = os.stat("/dev/kvm")
        if device.st_mode & 0o006 != 0o006 and (device.st_mode & 0o060 != 0o060 or device.st_gid == 0):
            pytest.skip("/dev/kvm is for root only here")
        groups = [device.st_gid]
    r = subprocess.run([open_place / "bin/msb", "run", "-q", "--", "sh", "-c", "id -u; echo x > /root/x && cat /root/x"],
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, user=65534, group=65534,
                       extra_groups=groups, check=False,
                       env={"PATH": os.environ["PATH"], "MSB_HOME": str(mine), "MSB_ENGINE": engine})
    assert (r.returncode, r.stdout, r.stderr) == (0, b"0\nx\n", b"")
    assert list((mine / "sandboxes").iterdir()) == []


# Who dies first.

@pytest.mark.parametrize("victim", ["msb", "msb-sandbox"])
def test_kill_leaves_nothing(msb, victim):
    """The fixture looks for what is left."""
    p = msb.start("-q", "--", "sh", "-c", "echo on; sleep 1000")
    assert p.stdout.readline() == b"on\n"
    if victim == "msb":
        p.kill()
        p.wait(LIMIT)
        deadline = time.monotonic() + 10
        while msb.sandboxes() and time.monotonic() < deadline:
            time.sleep(0.02)
    else:
        supervisor = int(open(f"/proc/{p.pid}/task/{p.pid}/children", encoding="ascii").read().split()[0])
        os.kill(supervisor, signal.SIGKILL)
        assert p.wait(LIMIT) == 125
        assert p.stderr.read().startswith(b"msb: ")
        # Its directory cannot be removed by a dead process: the next run does it.
        assert msb.out("--", "echo", "next") == "next\n"
    assert msb.sandboxes() == []


def test_many_at_once(msb):
    runs = [msb.start("-q", "-m", "128M", "--", "sh", "-c", f"echo {i}; cat") for i in range(4)]
    for i, p in enumerate(runs):
        assert p.stdout.readline() == f"{i}\n".encode()
    assert len(msb.sandboxes()) == 4
    for p in runs:
        p.stdin.close()
    assert [p.wait(LIMIT) for p in runs] == [0] * 4


QEMU_IMG = shutil.which("qemu-img")


@pytest.mark.parametrize("form", ["qcow2", "vmdk", "vmdk:subformat=streamOptimized"])
def test_images_of_other_formats_are_converted(msb, disk, tmp_path, form):
    if not QEMU_IMG:
        pytest.skip("qemu-img is not installed")
    image = tmp_path / f"image.{form[:4]}"
    name, _, option = form.partition(":")
    subprocess.run([QEMU_IMG, "convert", "-O", name, *(["-o", option] if option else []), disk, image], check=True)
    before = image.read_bytes()
    assert msb.out(str(image), "--", "sh", "-c", "echo changed >/new; cat /new") == "changed\n"
    assert image.read_bytes() == before
    assert not list((msb.home / "cache").glob("*.raw"))
    # Without the tool it is named; nothing else is in this PATH.
    r = msb.run(str(image), "--", "true", env={"PATH": "/nonexistent"})
    assert r.returncode == 125 and b"apt install qemu-utils" in r.stderr


def test_images_that_name_other_files_are_refused(msb, disk, tmp_path):
    if not QEMU_IMG:
        pytest.skip("qemu-img is not installed")
    layered, outside = tmp_path / "layered.qcow2", tmp_path / "outside.qcow2"
    subprocess.run([QEMU_IMG, "create", "-q", "-f", "qcow2", "-b", disk, "-F", "raw", layered], check=True)
    subprocess.run([QEMU_IMG, "create", "-q", "-f", "qcow2", "-o", f"data_file={tmp_path}/data,data_file_raw=on", outside,
                    "8M"], check=True)
    for image, why in ((layered, b"differs from another file"), (outside, b"keeps its data in another file")):
        r = msb.run(str(image), "--", "true")
        assert r.returncode == 125 and why in r.stderr, r.stderr
