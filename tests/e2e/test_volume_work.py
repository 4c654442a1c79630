# SPDX-License-Identifier: Apache-2.0
"""Everyday work on the root, on a shared directory and on a disk: a tree of small files, a clone of a repository.

One sandbox for all. MSB_TREE_FILES files instead of a few (`make test-heavy` does 30,000).
"""

import hashlib
import os
import shutil
import subprocess

import pytest

from conftest import BUILD, LIMIT, Msb, children, wait_gone

TREE = BUILD / "tests/tools/fs-tree"
FILES = int(os.environ.get("MSB_TREE_FILES", "360"))
TREE_LIMIT = LIMIT + FILES // 10
PLACES = {"root": "/work", "bind": "/bind", "disk": "/disk"}
GIT = shutil.which("git")


def git(*argv, cwd=None):
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org",
           "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org"}
    return subprocess.run([GIT, *argv], cwd=cwd, env=env, capture_output=True, text=True, check=True).stdout


def make_repository(at):
    """Two branches and a merge; texts, a program, a link and something that is no text."""
    git("init", "-q", "-b", "main", str(at))
    for i in range(20):
        f = at / f"src/m{i % 5}/file{i}.c"
        f.parent.mkdir(parents=True, exist_ok=True)
        f.write_text(f"int f{i}(void)\n" * (i + 1))
    (at / "blob").write_bytes(hashlib.shake_128(b"blob").digest(300000))
    (at / "run").write_text("#!/bin/sh\n")
    (at / "run").chmod(0o755)
    (at / "link").symlink_to("src/m0/file0.c")
    git("add", ".", cwd=at)
    git("commit", "-q", "-m", "first", cwd=at)
    git("checkout", "-q", "-b", "side", cwd=at)
    (at / "run").write_text("#!/bin/sh\necho side\n")
    git("commit", "-q", "-am", "side", cwd=at)
    git("checkout", "-q", "main", cwd=at)
    (at / "src/m1/file1.c").write_text("changed\n")
    git("commit", "-q", "-am", "second", cwd=at)
    git("merge", "-q", "--no-edit", "side", cwd=at)


def libraries_of(program):
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return [word for word in listed.split() if word.startswith("/")]


def make_tools(at):
    """The host's git as a guest without libraries can run it: each of its programs through a script in /t/bin."""
    (at / "bin").mkdir(parents=True)
    shutil.copy(TREE, at / "fs-tree")
    if not GIT:
        return
    shutil.copy(GIT, at / "git")
    for library in libraries_of(GIT):
        shutil.copy(library, at / os.path.basename(library))
    loader = next(f for f in os.listdir(at) if f.startswith("ld-"))
    for name, words in (("git", ""), ("git-upload-pack", "upload-pack ")):
        script = at / "bin" / name
        script.write_text(f'#!/bin/sh\nexec /t/{loader} --library-path /t /t/git {words}"$@"\n')
        script.chmod(0o755)


@pytest.fixture(scope="module")
def box(engine, tmp_path_factory):
    top = tmp_path_factory.mktemp("work")
    before = {pid for pid, _ in children()}
    m = Msb(top / "home", engine)
    m.top = top
    (top / "bind").mkdir()
    make_tools(top / "t")
    if GIT:
        make_repository(top / "t/repository")
    r = m("create", "-n", "box", "-m", "512M", "--no-net", "--root-disk", "2G", "-v", f"{top}/bind:/bind", "-v", f"{top}/t:/t:ro",
          "--mount-named", "disk:/disk:kind=disk,size=2G", stdin=subprocess.DEVNULL)
    assert r.returncode == 0, r.stderr.decode()
    yield m
    r = m("rm", "-f", "box")
    m.close()
    assert r.returncode == 0 and not wait_gone(before), r


def inside(box, script, timeout=LIMIT):
    r = box("exec", "box", "--", "sh", "-c", script, stdin=subprocess.DEVNULL, timeout=timeout)
    assert r.returncode == 0, r.stdout.decode() + r.stderr.decode()
    return r.stdout.decode()


def in_tree(output, word):
    line = next(text for text in output.splitlines() if text.startswith(f"{word}: "))
    return [int(part.split()[0]) for part in line.removeprefix(f"{word}: ").split(",")[:4]]


@pytest.mark.parametrize("place", PLACES)
def test_a_tree_of_small_files(box, place):
    """Made, and when nothing of it is in the guest's memory any more read, byte by byte, and removed."""
    at = PLACES[place] + "/tree"
    cold = "sync; echo 3 > /proc/sys/vm/drop_caches"
    out = inside(box, f"mkdir -p {at} && /t/fs-tree make {at} {FILES} && {cold} && /t/fs-tree check {at} {FILES}", TREE_LIMIT)
    packages = (FILES + 11) // 12
    files, links, directories, size = in_tree(out, "check")
    assert (files, links, directories) == (FILES, packages, 3 + 4 * packages), out
    if place == "bind":
        on_host = [os.path.join(d, f) for d, _, names in os.walk(box.top / "bind/tree") for f in names]
        assert len(on_host) == FILES + packages
        assert sum(os.path.getsize(f) for f in on_host if not os.path.islink(f)) == size
    listed = inside(box, f"find {at} | wc -l", TREE_LIMIT)
    assert int(listed) == files + links + directories
    removed = inside(box, f"{cold}; /t/fs-tree remove {at} {FILES} && ls -A {at} | wc -l && rmdir {at}", TREE_LIMIT)
    print(f"{place}\n{out}{removed}")
    assert removed.splitlines()[-1] == "0"
    assert place != "bind" or os.listdir(box.top / "bind") == []


@pytest.mark.skipif(not GIT, reason="git is not installed")
@pytest.mark.parametrize("place", PLACES)
def test_a_repository(box, place):
    """Cloned, committed to and checked there, and what it holds is what the host has."""
    at = f"{PLACES[place]}/clone"
    env = ("export PATH=/t/bin:$PATH GIT_EXEC_PATH=/t/bin HOME=/nonexistent GIT_TEMPLATE_DIR= GIT_AUTHOR_NAME=G GIT_AUTHOR_EMAIL=g@example.org "
           "GIT_COMMITTER_NAME=G GIT_COMMITTER_EMAIL=g@example.org; g() { git -c safe.directory='*' \"$@\"; }; set -e;")
    out = inside(box, f"""{env}
        mkdir -p {PLACES[place]}; g clone -q --no-local /t/repository {at} 2>&1; cd {at}
        g status --porcelain; echo HEAD $(g rev-parse HEAD 'HEAD^{{tree}}')
        echo more >> src/m1/file1.c; g commit -q -a -m third; g fsck --full 2>&1; g status --porcelain
        g log --oneline | wc -l; tail -n 1 src/m1/file1.c; readlink link; test -x run && echo program""", LIMIT * 2)
    want = git("rev-parse", "HEAD", "HEAD^{tree}", cwd=box.top / "t/repository").split()
    lines = out.splitlines()
    assert lines[0].split() == ["HEAD", *want], out
    assert lines[1:] == ["5", "more", "src/m0/file0.c", "program"], out
    if place == "bind":
        assert git("-c", "safe.directory=*", "fsck", "--full", cwd=box.top / "bind/clone") == ""
        assert git("-c", "safe.directory=*", "status", "--porcelain", cwd=box.top / "bind/clone") == ""
    inside(box, f"rm -rf {at}")
