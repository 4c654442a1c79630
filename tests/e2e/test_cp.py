# SPDX-License-Identifier: Apache-2.0
"""msb cp: the rules of docker cp, and guests that want to write somewhere else on the host."""

import fcntl
import os
import resource
import subprocess

import pytest

from conftest import MSB
from test_life import life, listed, ok  # noqa: F401 (life is a fixture)


@pytest.fixture
def box(life):
    ok(life, "create", "--name", "box")
    return life


def sh(box, script):
    return ok(box, "exec", "box", "--", "sh", "-c", script)


def tree(root):
    found = {}
    for base, dirs, files in os.walk(root):
        for name in dirs + files:
            path = os.path.join(base, name)
            kind = os.readlink(path) if os.path.islink(path) else "dir" if os.path.isdir(path) else open(path, "rb").read()
            found[os.path.relpath(path, root)] = kind
    return found


def test_files_both_ways(box, tmp_path):
    data = os.urandom(5_000_000)
    (tmp_path / "f").write_bytes(data)
    (tmp_path / "f").chmod(0o751)
    ok(box, "cp", str(tmp_path / "f"), "box:/root/g")
    assert sh(box, "stat -c %a /root/g").strip() == "751"
    ok(box, "cp", "box:/root/g", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == data and (tmp_path / "back").stat().st_mode & 0o7777 == 0o751
    # Into a directory that exists, under its own name; over a file that exists.
    ok(box, "cp", str(tmp_path / "f"), "box:/srv")
    (tmp_path / "d").mkdir()
    ok(box, "cp", "box:/srv/f", str(tmp_path / "d"))
    assert (tmp_path / "d/f").read_bytes() == data
    (tmp_path / "f").write_bytes(b"short")
    ok(box, "cp", str(tmp_path / "f"), "box:/root/g")
    assert sh(box, "cat /root/g") == "short"
    # Empty, and names that need care.
    (tmp_path / "-e mpty:x").write_bytes(b"")
    ok(box, "cp", str(tmp_path / "-e mpty:x"), "box:/srv/")
    assert sh(box, "stat -c %s '/srv/-e mpty:x'").strip() == "0"


def test_trees_both_ways(box, tmp_path):
    root = tmp_path / "root"
    for d in ("a/b/c", "empty"):
        (root / d).mkdir(parents=True)
    (root / "a/b/c/f").write_text("deep")
    (root / "top").write_text("x" * 100_000)
    (root / "a/link").symlink_to("../top")
    for i in range(200):
        (root / f"a/{i}").write_text(str(i))
    ok(box, "cp", str(root), "box:/srv/new")
    assert sh(box, "cat /srv/new/a/b/c/f; echo; readlink /srv/new/a/link; ls /srv/new/a | wc -l").split() == ["deep", "../top", "202"]
    ok(box, "cp", str(root), "box:/srv/new")
    assert sh(box, "ls /srv/new").split() == ["a", "empty", "root", "top"]
    ok(box, "cp", str(root) + "/.", "box:/opt/x")
    assert sh(box, "ls /opt/x").split() == ["a", "empty", "top"]
    ok(box, "cp", "box:/opt/x", str(tmp_path / "back"))
    assert tree(tmp_path / "back") == tree(root)
    ok(box, "cp", "box:/opt/x/.", str(tmp_path / "back"))
    assert tree(tmp_path / "back") == tree(root)
    ok(box, "cp", "box:/opt/x", str(tmp_path / "back"))
    assert tree(tmp_path / "back/x") == tree(root)


def test_a_link_as_the_source(box, tmp_path):
    sh(box, "cd /srv && mkdir d e && echo text >d/f && ln -s d/f file && ln -s d dir && ln -s ../etc/passwd up && ln -s /etc/passwd abs")
    (tmp_path / "to").mkdir()
    # As a link, under its own name or another one; over another link, over nothing else.
    for _ in range(2):
        ok(box, "cp", "box:/srv/file", str(tmp_path / "to"))
        ok(box, "cp", "box:/srv/dir", str(tmp_path / "to/x"))
    assert os.readlink(tmp_path / "to/file") == "d/f" and os.readlink(tmp_path / "to/x") == "d"
    (tmp_path / "to/plain").write_text("kept")
    assert box("cp", "box:/srv/file", str(tmp_path / "to/plain")).returncode == 125 and (tmp_path / "to/plain").read_text() == "kept"
    # What a hostile guest would like to have there.
    for name in ("up", "abs"):
        r = box("cp", f"box:/srv/{name}", str(tmp_path / "to"))
        assert r.returncode == 125 and b"give --follow-link" in r.stderr and not os.path.lexists(tmp_path / "to" / name)
    # What it points to: asked for, or with a slash behind it.
    ok(box, "cp", "-L", "box:/srv/file", str(tmp_path / "f"))
    ok(box, "cp", "--follow-link", "box:/srv/abs", str(tmp_path / "abs"))
    ok(box, "cp", "box:/srv/dir/", str(tmp_path / "d"))
    ok(box, "cp", "box:/srv/dir/.", str(tmp_path / "c"))
    assert (tmp_path / "f").read_text() == "text\n" and "root:" in (tmp_path / "abs").read_text()
    assert tree(tmp_path / "d") == tree(tmp_path / "c") == {"f": b"text\n"} and not (tmp_path / "abs").is_symlink()
    assert ok(box, "cp", "box:/srv/file", "-") == "text\n"
    # Into the sandbox, where any target is its own business; within it; a link to nothing.
    (tmp_path / "in").symlink_to("/etc/passwd")
    (tmp_path / "nowhere").symlink_to("not-there")
    ok(box, "cp", str(tmp_path / "in"), "box:/srv/e")
    ok(box, "cp", str(tmp_path / "nowhere"), "box:/srv/e/n")
    ok(box, "cp", "-L", str(tmp_path / "f"), "box:/srv/e/f")
    ok(box, "cp", "box:/srv/file", "box:/srv/e/")
    assert sh(box, "cd /srv/e && for l in in n file; do readlink $l; done; test ! -L f").split() == ["/etc/passwd", "not-there", "d/f"]
    assert box("cp", "-L", str(tmp_path / "nowhere"), "box:/srv/e/m").returncode == 125


def test_pipes(box):
    r = box("cp", "-", "box:/root/in", input=b"through a pipe\n")
    assert r.returncode == 0, r.stderr
    assert ok(box, "cp", "box:/root/in", "-") == "through a pipe\n"
    assert box("cp", "box:/root", "-").returncode == 125


@pytest.mark.parametrize("argv,status", [
    (["box:/nothing", "x"], 125), (["/nothing", "box:/x"], 125), (["box:/etc", "/dev/null"], 125), (["a", "b"], 2),
    (["box:/a", "box:/b"], 125), (["box:/etc", "box:/etc/x/y"], 2), (["box:/etc", "nobody:/x"], 125), (["box:a", "b"], 2), (["nobody:/a", "b"], 125), (["box:/etc/passwd", "/nothing/here"], 125),
])
def test_what_cannot_be_copied(box, tmp_path, argv, status):
    r = subprocess.run([MSB, "cp", *argv], env=box.env, cwd=tmp_path,
                       stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert r.returncode == status and r.stderr.startswith(b"msb: "), r.stderr
    assert not list(tmp_path.glob("x*"))


def test_a_stopped_sandbox_is_started_for_it(box, tmp_path):
    ok(box, "stop", "box")
    (tmp_path / "f").write_text("while stopped")
    ok(box, "cp", str(tmp_path / "f"), "box:/root/f")
    assert listed(box)["box"]["status"] == "Stopped"
    assert ok(box, "cp", "box:/root/f", "-") == "while stopped"


def test_a_hostile_tree_stays_inside(box, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("safe")
    sh(box, f"""mkdir -p /t/d/e && cd /t && ln -s {outside} abs && ln -s ../../outside up && ln -s d/e/../../../outside sly
        && ln -s ../d d/e/fine && ln -s /d rooted && mkfifo pipe && ln -s {outside}/victim file && echo new > d/plain
        && chmod 6755 d/plain""".replace("\n", " "))
    dst = tmp_path / "dst"
    r = box("cp", "box:/t", str(dst))
    assert r.returncode == 125 and b"leads out of the tree" in r.stderr and b"neither a file" in r.stderr
    got = tree(dst)
    assert got["d/plain"] == b"new\n" and (dst / "d/plain").stat().st_mode & 0o7777 == 0o755
    assert "up" not in got and "sly" not in got and "pipe" not in got and got["d/e/fine"] == "../d" and got["rooted"] == "d"
    for path, kind in got.items():
        assert os.path.realpath(dst / path).startswith(str(dst)), (path, kind)
    # The second time its links are there, and are not written through.
    sh(box, "cd /t && rm -rf abs file && mkdir abs && echo evil > abs/victim && echo evil > file")
    (dst / "abs").unlink()
    (dst / "abs").symlink_to(outside)
    (dst / "file").unlink()
    (dst / "file").symlink_to(outside / "victim")
    assert box("cp", "box:/t/.", str(dst)).returncode == 125
    assert (outside / "victim").read_text() == "safe" and list(outside.iterdir()) == [outside / "victim"]
    assert not [p for p in os.listdir(dst) if p.startswith(".msb-cp")]


def test_an_endless_file_ends(box, tmp_path):
    # The size is looked at first; a file that grows meanwhile is refused, not followed.
    r = box("cp", "box:/proc/kmsg", str(tmp_path / "f"))
    assert r.returncode == 125 and not (tmp_path / "f").exists()


def test_times_modes_and_owners(box, tmp_path):
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    (root / "d/f").write_text("1")
    (root / "d/f").chmod(0o640)
    for name, when in (("d/f", 1_000_000_000.25), ("d", 1_100_000_000), (".", 1_200_000_000)):
        os.utime(root / name, (when, when))
    (root / "d").chmod(0o555)
    ok(box, "cp", str(root), "box:/srv/t")
    assert sh(box, "cd /srv/t; stat -c '%n %a %u %Y' . d d/f").split("\n")[:3] == [
        ". 755 0 1200000000", "d 555 0 1100000000", "d/f 640 0 1000000000"]
    sh(box, "chown -R 7:8 /srv/t; touch -d @1300000000 /srv/t/d/f; touch -d @1400000000 /srv/t/d; ln -s d/f /srv/t/l")
    ok(box, "cp", "box:/srv/t", str(tmp_path / "back"))
    st = (tmp_path / "back/d/f").stat()
    assert (st.st_mtime, st.st_mode & 0o777, st.st_uid) == (1_300_000_000, 0o640, os.getuid())
    assert (tmp_path / "back/d").stat().st_mtime == 1_400_000_000 and (tmp_path / "back/d").stat().st_mode & 0o777 == 0o555
    # Over a file that is there: its mode and time become those of the source.
    (root / "d/f").chmod(0o604)
    ok(box, "cp", str(root / "d/f"), "box:/srv/t/d/f")
    assert sh(box, "stat -c '%a %Y' /srv/t/d/f").strip() == "604 1000000000"
    if os.getuid() == 0:
        ok(box, "cp", "-a", "box:/srv/t", str(tmp_path / "owned"))
        st = (tmp_path / "owned/d/f").stat()
        assert (st.st_uid, st.st_gid) == (7, 8)
        ok(box, "cp", "-a", str(tmp_path / "owned/."), "box:/srv/u")
        assert sh(box, "stat -c '%u %g' /srv/u/d").split() == ["7", "8"]


def test_from_sandbox_to_sandbox(box, tmp_path):
    ok(box, "create", "--name", "other")
    sh(box, "mkdir -p /t/a/b /t/empty && cd /t && head -c 3000000 /dev/urandom >a/big && : >none && ln -s ../none a/l && "
            "ln -s /etc/passwd out && mkfifo pipe && chmod 640 a/big && touch -d @1300000000 a/big a")
    r = box("cp", "box:/t", "other:/srv/new")
    assert r.returncode == 125 and b"neither a file" in r.stderr and b"is not copied" in r.stderr
    there = "cd /srv/new && find . | sort && stat -c '%a %Y' a/big a && sha256sum <a/big && readlink a/l"
    assert ok(box, "exec", "other", "--", "sh", "-c", there).replace("755 1300000000", "755 1300000000") == sh(
        box, there.replace("/srv/new", "/t") + "").replace("./pipe\n", "")
    # Into a directory that is there, and within one sandbox, started for it.
    ok(box, "stop", "box", "other")
    ok(box, "cp", "box:/t/a/big", "other:/srv")
    ok(box, "cp", "other:/srv/new/.", "other:/opt/x")
    assert {s["status"] for s in listed(box).values()} == {"Stopped"}
    assert ok(box, "exec", "other", "--", "cmp", "/srv/big", "/opt/x/a/big") == ""
    r = box("cp", "other:/srv", "other:/srv/new")
    assert r.returncode == 2 and b"inside it" in r.stderr


def test_a_hostile_sandbox_writes_nowhere_else_in_the_other(box):
    ok(box, "create", "--name", "other")
    ok(box, "exec", "other", "--", "sh", "-c", "echo safe >/root/victim; mkdir /dst")
    sh(box, "mkdir /t && cd /t && ln -s /root up && ln -s ../root/victim file && ln -s .. sly")
    assert box("cp", "box:/t/.", "other:/dst").returncode == 125
    sh(box, "cd /t && rm up file && mkdir up && echo evil >up/victim && echo evil >file")
    assert box("cp", "box:/t/.", "other:/dst").returncode == 125
    assert ok(box, "exec", "other", "--", "cat", "/root/victim") == "safe\n"


def test_what_is_cut_goes_on_where_it_was(box, tmp_path):
    """--resume, all three ways. Cuts that come at the same byte every time: a limit of the file's size, a full file system."""
    ok(box, "create", "--name", "small", "--tmpfs", "/small:8M")
    ok(box, "create", "--name", "empty", "--tmpfs", "/small:4M")
    src, back = tmp_path / "src", tmp_path / "back"
    data = os.urandom(12 << 20)
    src.write_bytes(data)
    back.mkdir()

    def limited(*argv, size):
        return subprocess.run([MSB, "cp", *argv], env=box.env, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))

    def grow(name):
        ok(box, "exec", name, "--", "mount", "-o", "remount,size=64M", "/small")

    # In. Without --resume nothing stays.
    assert box("cp", str(src), "small:/small/f").returncode == 125
    assert ok(box, "exec", "small", "--", "ls", "-A", "/small") == ""
    for _ in range(2):
        r = box("cp", "--resume", str(src), "small:/small/f")
        assert r.returncode == 125 and b"No space left" in r.stderr
    assert b"goes on behind" in r.stderr and ok(box, "exec", "small", "--", "ls", "-A", "/small") == "f.msb-part\n"
    grow("small")
    r = box("cp", "--resume", str(src), "small:/small/f")
    assert r.returncode == 0 and b"goes on behind" in r.stderr, r.stderr
    assert ok(box, "exec", "small", "--", "ls", "-A", "/small") == "f\n"
    # Across.
    assert box("cp", "--resume", "small:/small/f", "empty:/small/f").returncode == 125
    grow("empty")
    r = box("cp", "--resume", "small:/small/f", "empty:/small/f")
    assert r.returncode == 0 and b"goes on behind" in r.stderr, r.stderr
    # Out.
    assert limited("empty:/small/f", str(back / "f"), size=5 << 20).returncode != 0
    for name in back.iterdir():
        name.unlink()
    assert limited("--resume", "empty:/small/f", str(back / "f"), size=5 << 20).returncode != 0
    assert [p.name for p in back.iterdir()] == ["f.msb-part"] and (back / "f.msb-part").stat().st_size == 5 << 20
    r = box("cp", "--resume", "empty:/small/f", str(back / "f"))
    assert r.returncode == 0 and b"goes on behind 5.0 MiB" in r.stderr, r.stderr
    assert [p.name for p in back.iterdir()] == ["f"] and (back / "f").read_bytes() == data


def test_a_part_of_something_else_is_not_gone_on_with(box, tmp_path):
    data = os.urandom(3 << 20)
    (tmp_path / "f").write_bytes(data)
    sh(box, "head -c 1000000 /dev/zero >/srv/f.msb-part")
    r = box("cp", "--resume", str(tmp_path / "f"), "box:/srv/f")
    assert r.returncode == 0 and b"begins anew" in r.stderr, r.stderr
    # One bit of it, on the other side; more than the source has; a link that leads elsewhere; somebody who is at it.
    part = tmp_path / "out.msb-part"
    for wrong in (bytes([data[0] ^ 1]) + data[1:100_000], data + b"more"):
        part.write_bytes(wrong)
        r = box("cp", "--resume", "box:/srv/f", str(tmp_path / "out"))
        assert r.returncode == 0 and b"begins anew" in r.stderr and (tmp_path / "out").read_bytes() == data
        assert not part.exists()
    (tmp_path / "victim").write_text("safe")
    part.symlink_to(tmp_path / "victim")
    assert box("cp", "--resume", "box:/srv/f", str(tmp_path / "out")).returncode == 125
    part.unlink()
    with open(part, "wb") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        r = box("cp", "--resume", "box:/srv/f", str(tmp_path / "out"))
        assert r.returncode == 125 and b"another copy" in r.stderr
    sh(box, "echo safe >/root/victim && ln -s /root/victim /srv/g.msb-part")
    assert box("cp", "--resume", str(tmp_path / "f"), "box:/srv/g").returncode == 125
    assert (tmp_path / "victim").read_text() == "safe" and sh(box, "cat /root/victim") == "safe\n"
    # Trees, too; what goes through a pipe cannot be read again.
    sh(box, "mkdir /srv/t && echo 1 >/srv/t/a && : >/srv/t/b")
    ok(box, "cp", "--resume", "box:/srv/t", str(tmp_path / "tree"))
    ok(box, "cp", "--resume", str(tmp_path / "tree"), "box:/srv/u")
    assert tree(tmp_path / "tree") == {"a": b"1\n", "b": b""} and sh(box, "cd /srv/u && echo *") == "a b\n"
    assert box("cp", "--resume", "-", "box:/srv/x").returncode == 2 and box("cp", "--resume", "box:/srv/f", "-").returncode == 2


def test_a_client_that_dies_leaves_no_part(box):
    p = subprocess.Popen([MSB, "cp", "-", "box:/srv/f"], stdin=subprocess.PIPE, env=box.env)
    try:
        p.stdin.write(os.urandom(300_000))
        p.stdin.flush()
        sh(box, "while ! test -s /srv/f; do :; done")
    finally:
        p.kill()
        p.wait()
        p.stdin.close()
    sh(box, "while test -e /srv/f; do :; done")
