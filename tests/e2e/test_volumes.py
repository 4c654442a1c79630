# SPDX-License-Identifier: Apache-2.0
"""Directories and files of the host in a sandbox: what works, what stays on which side, what a hostile guest gets."""

import ctypes
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest

from conftest import BUILD, LIMIT

EXERCISE = BUILD / "tests/tools/fs-exercise"
RACE = BUILD / "tests/tools/fs-race"
RACE_ROUNDS = int(os.environ.get("MSB_RACE_ROUNDS", "250"))
IN_ALL_EVENTS = 0xfff


@pytest.fixture
def share(tmp_path):
    d = tmp_path / "share"
    d.mkdir()
    (d / "hello").write_text("hello\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    return d


def test_both_sides_see_the_same(msb, share):
    assert msb.out("-v", f"{share}:/mnt/in/here", "--", "sh", "-c",
                   "cat /mnt/in/here/hello; echo guest > /mnt/in/here/new; mkdir /mnt/in/here/dir; id -u") == "hello\n0\n"
    assert (share / "new").read_text() == "guest\n"
    assert (share / "new").stat().st_uid == os.geteuid() and (share / "dir").is_dir()
    assert msb.out("-v", f"{share}:/x", "--", "cat", "/x/new") == "guest\n"


def test_read_only(msb, share):
    r = msb.run("-v", f"{share}:/x:ro", "--", "sh", "-c", "mount -o remount,rw /x; echo no > /x/new; rm /x/hello; cat /x/hello")
    assert r.stdout == b"hello\n" and b"Read-only" in r.stderr
    assert os.listdir(share) == ["hello"]


def test_one_file(msb, share):
    (share / "other").write_text("other")
    out = msb.out("-v", f"{share}/hello:/etc/deep/conf", "--", "sh", "-c",
                  "cat /etc/deep/conf; ls /etc/deep /dev/.msb-share 2>/dev/null; echo more >> /etc/deep/conf")
    assert out == "hello\n/etc/deep:\nconf\n"
    assert (share / "hello").read_text() == "hello\nmore\n"


def test_owners_are_the_guests_and_kept(msb, share):
    msb.out("-v", f"{share}:/x", "--", "sh", "-c", "chown 33:44 /x/hello; chmod 4711 /x/hello; mknod /x/null c 1 3; mkfifo /x/p")
    st = (share / "hello").stat()
    assert st.st_uid == os.geteuid() and st.st_mode & 0o7000 == 0
    assert all(p.is_file() for p in share.iterdir())
    out = msb.out("-v", f"{share}:/x", "--", "sh", "-c", "stat -c '%u %g %a %F' /x/hello /x/null /x/p")
    assert out == "33 44 4711 regular file\n0 0 644 character special file\n0 0 644 fifo\n"


def test_options(msb, share):
    out = msb.out("-v", f"{share}:/x:noexec,nosuid,nodev,uid=7,gid=8", "--", "sh", "-c", "stat -c '%u %g' /x/hello; grep /x /proc/mounts")
    assert out.startswith("7 8\nmsb0 /x virtiofs rw,nosuid,nodev,noexec")


def test_nosuid_and_nodev_are_not_the_guests_to_lift(msb, share):
    script = "cp /bin/busybox /x/b; chmod 6755 /x/b; mount -o remount,suid,dev,exec /x; stat -c %a /x/b; mknod /x/null c 1 3; df -m /x | tail -1 | awk '{print $2}'"
    r = msb.run("-v", f"{share}:/x:nosuid,nodev", "--", "sh", "-c", script)
    mode, size = r.stdout.split()
    assert mode == b"755" and b"not permitted" in r.stderr, r
    assert int(size) <= 4096, "the default quota"


def test_quota(msb, share):
    r = msb.run("-v", f"{share}:/x:quota=4M", "--", "sh", "-c",
                "dd if=/dev/zero of=/x/big bs=64k count=100 2>&1; rm /x/big; dd if=/dev/zero of=/x/again bs=64k count=40 2>/dev/null")
    assert r.returncode == 0 and b"No space left on device" in r.stdout
    assert (share / "again").stat().st_size == 40 * 65536


def test_several_and_one_below_another(msb, share, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("other\n")
    out = msb.out("-v", f"{other}:/x/sub", "-v", f"{share}:/x", "--tmpfs", "/x/sub/tmp", "--", "sh", "-c",
                  "cat /x/hello /x/sub/file; grep -c 'tmpfs /x/sub/tmp' /proc/mounts")
    assert out == "hello\nother\n1\n"
    assert sorted(os.listdir(share)) == ["hello", "sub"] and (other / "tmp").is_dir()


def test_nothing_leads_out(msb, share, tmp_path):
    (share / "link").symlink_to("../outside/secret")
    (share / "dir").symlink_to("../outside")
    (share / "up").symlink_to("..")
    os.mkfifo(share / "fifo")
    script = f"""
        cat /x/link /x/dir/secret /x/up/outside/secret 2>/dev/null
        cat /x/../../outside/secret {tmp_path}/outside/secret 2>/dev/null
        ln -s {tmp_path}/outside/secret /x/abs; cat /x/abs 2>/dev/null
        echo bad > /x/link; echo bad > /x/dir/made
        ls -la /x >/dev/null; stat /x/fifo >/dev/null && echo alive
    """
    r = msb.run("-v", f"{share}:/x", "--", "sh", "-c", script)
    assert r.stdout == b"alive\n"
    assert (tmp_path / "outside/secret").read_text() == "secret"
    assert os.listdir(tmp_path / "outside") == ["secret"]


def test_swaps_of_the_host_while_the_guest_works(msb, share, tmp_path):
    """A directory that becomes a link outside, again and again, below a guest that writes into it."""
    (share / "d").mkdir()
    p = msb.start("-v", f"{share}:/x", "--", "sh", "-c",
                  "echo go; i=0; while [ $i -lt 400 ]; do echo $i > /x/d/made; cat /x/d/secret; i=$((i+1)); done 2>/dev/null; echo end")
    assert p.stdout.readline() == b"go\n"
    while p.poll() is None and not (share / "stop").exists():
        os.rename(share / "d", share / "e")
        os.symlink("../outside", share / "d")
        os.unlink(share / "d")
        os.rename(share / "e", share / "d")
        try:
            p.wait(0.001)
        except subprocess.TimeoutExpired:
            continue
    out = p.stdout.read()
    assert out == b"end\n", out
    assert os.listdir(tmp_path / "outside") == ["secret"]


class Watch:
    """Notices whatever opens, reads or changes a directory or the files in it."""

    def __init__(self, path):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self.fd >= 0 and libc.inotify_add_watch(self.fd, os.fsencode(path), IN_ALL_EVENTS) >= 0

    def events(self):
        try:
            return os.read(self.fd, 65536)
        except BlockingIOError:
            return b""
        finally:
            os.close(self.fd)


def swap(share, stop):
    """The host's own part: a directory that is a link outside for moments."""
    left = 0
    while not stop.is_set():
        left += 1
        for change in (lambda: os.rename(share / "d", share / "h"), lambda: os.symlink("../outside", share / "d"),
                       lambda: os.unlink(share / "d"), lambda: os.rename(share / "h", share / "d"),
                       lambda: os.rename(share / "h", share / f"left{left}")):
            try:
                change()
            except OSError:
                # The guest was faster.
                continue


def test_races_lead_nowhere(msb, share, tmp_path):
    """Two shares of one directory: what a guest exchanges in one it uses in the other, before that has noticed; the host exchanges, too."""
    (share / "d").mkdir()
    shutil.copy(RACE, tmp_path / "fs-race")
    secret = tmp_path / "outside/secret"
    before = secret.stat()
    watch = Watch(tmp_path / "outside")
    stop = threading.Event()
    thread = threading.Thread(target=swap, args=(share, stop))
    thread.start()
    try:
        r = msb.run("-v", f"{share}:/a", "-v", f"{share}:/b", "-v", f"{tmp_path}/fs-race:/fs-race:ro", "-c", "2", "--", "sh", "-c",
                    f"/fs-race /a /b ../outside {RACE_ROUNDS} && /fs-race /b /b {tmp_path}/outside {RACE_ROUNDS}")
    finally:
        stop.set()
        thread.join()
    print(r.stdout.decode())
    assert r.returncode == 0, r
    for line in r.stdout.decode().splitlines():
        tried, done, swaps, leaks = (int(part.split()[0]) for part in line.split(","))
        assert tried == 2 * RACE_ROUNDS and done > 0 and swaps > 0 and leaks == 0
    assert watch.events() == b"", "something outside was opened or changed"
    after = secret.stat()
    assert (after.st_mtime_ns, after.st_ctime_ns, after.st_nlink) == (before.st_mtime_ns, before.st_ctime_ns, before.st_nlink)
    assert os.listdir(tmp_path / "outside") == ["secret"] and sorted(os.listdir(tmp_path)) == ["fs-race", "home", "outside", "share"]


def server_with(word):
    """The one process msb-fs that was started with this option."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                words = f.read().split(b"\0")
        except OSError:
            continue
        if words[0] == b"msb-fs" and word.encode() in words:
            found.append(int(pid))
    assert len(found) == 1, found
    return found[0]


def test_a_killed_server_ends_the_sandbox(msb, share):
    """Whatever waits for its answers would wait for ever."""
    mark = f"uid={100000 + os.getpid()}"
    p = msb.start("-v", f"{share}:/x:{mark},gid=6", "--", "sh", "-c", "echo go; while :; do cat /x/hello; done >/dev/null")
    first = p.stdout.readline()
    assert first == b"go\n", p.communicate(timeout=LIMIT)
    os.kill(server_with(mark), signal.SIGKILL)
    _, err = p.communicate(timeout=LIMIT)
    assert p.returncode == 125
    assert b"the share at /x: msb-fs was killed by signal 9" in err, err


def test_a_frozen_server_goes_on(msb, share):
    """As after a suspend of the host: the kernel restarts the call in which a process was stopped."""
    mark = f"uid={200000 + os.getpid()}"
    p = msb.start("-v", f"{share}:/x:{mark},gid=6", "--", "sh", "-c", "echo go; while read n; do cat /x/$n; done")
    first = p.stdout.readline()
    assert first == b"go\n", p.communicate(timeout=LIMIT)
    pid = server_with(mark)
    for name in ("a", "b", "c"):
        (share / name).write_text(f"{name}\n")
        os.kill(pid, signal.SIGSTOP)
        wait_state(pid, "T")
        os.kill(pid, signal.SIGCONT)
        wait_state(pid, "S")
        p.stdin.write(f"{name}\n".encode())
        p.stdin.flush()
        assert p.stdout.readline() == f"{name}\n".encode(), p.communicate(timeout=LIMIT)
    _, err = p.communicate(timeout=LIMIT)
    assert p.returncode == 0, err


def wait_state(pid, state):
    deadline = time.monotonic() + LIMIT
    while True:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            now = f.read().rsplit(")", 1)[1].split()[0]
        if now == state:
            return
        assert time.monotonic() < deadline and now != "Z", f"{pid} is in state {now}, not {state}"
        time.sleep(0.01)


def test_what_cannot_be_shared(msb, share, tmp_path):
    (tmp_path / "link").symlink_to("share")
    for word, text in [(f"{tmp_path}/none:/x", "No such file or directory"),
                       (f"{tmp_path}/link:/x", "is a symbolic link"),
                       (f"{share}:x", "the path in the sandbox is not absolute")]:
        r = msb.run("-v", word, "--", "true")
        assert r.returncode in (2, 125), r
        assert text in r.stderr.decode()


@pytest.mark.parametrize("place", ["bind", "volume", "disk", "root"])
def test_posix(msb, share, place):
    shutil.copy(EXERCISE, share / "fs-exercise")
    (share / "work").mkdir()
    words = {"bind": ["-v", f"{share}/work:/w"], "volume": ["-v", "data:/w"],
             "disk": ["--mount-named", "data:/w:kind=disk,size=64M"], "root": ["--root-disk", "64M"]}[place]
    r = msb.run("-v", f"{share}:/x:ro", *words, "--", "sh", "-c", "mkdir -p /w/work && /x/fs-exercise /w/work 1500 && ls /w/work && rmdir /w/work")
    print(r.stdout.decode())
    assert r.returncode == 0, r.stdout.decode() + r.stderr.decode()
    assert os.listdir(share / "work") == []


def test_many_files(msb, share):
    out = msb.out("-v", f"{share}:/x", "--", "sh", "-c",
                  "mkdir /x/t; i=0; while [ $i -lt 400 ]; do echo $i > /x/t/$i; i=$((i+1)); done; ls /x/t | wc -l; "
                  "cat /x/t/* | wc -l; rm -r /x/t; ls /x")
    assert out.split() == ["400", "400", "hello"]
