# SPDX-License-Identifier: Apache-2.0
"""A repository of some size, with git from Debian's packages: made in one place, cloned, worked on and checked in three."""

import subprocess
import time

import pytest
from conftest import LIMIT
from offline import Missing, image

FILES = 2000
SCRIPT = r"""
set -e
export HOME=/tmp GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.org
git config --global init.defaultBranch main; git config --global --add safe.directory '*'
work=$1; mkdir -p $work; cd $work
if [ ! -d /tmp/origin ]; then
    git init -q /tmp/origin; cd /tmp/origin
    for i in $(seq $2); do d=d$((i % 40)); mkdir -p $d; seq $i $((i + 30)) > $d/f$i; done
    git add .; git commit -q -m first
    git checkout -q -b side; for i in $(seq 30 40 $2); do echo side >> d30/f$i; done; git commit -q -a -m side
    git checkout -q main; echo main >> d1/f1; git commit -q -a -m second; git merge -q --no-edit side
    cd $work
fi
git clone -q --no-local /tmp/origin clone; cd clone
git fsck --full --strict --no-progress
test -z "$(git status --porcelain)"
test $(git ls-files | wc -l) = $2
test "$(git rev-parse 'HEAD^{tree}')" = "$(git -C /tmp/origin rev-parse 'HEAD^{tree}')"
diff -r --exclude=.git . /tmp/origin
git checkout -q -b work
for i in 1 2 3; do git mv d$i e$i; git commit -q -m "move $i"; done
git checkout -q main; git merge -q --no-edit work; git rebase -q HEAD~1 work; git stash -q || true
git gc -q --prune=now; git fsck --full --strict --no-progress
test -z "$(git status --porcelain)"
cd ..; rm -rf clone; echo good
"""


def test_clones(msb, tmp_path):
    try:
        archive = image("debian", ("git", "postgresql-15"))
    except Missing as e:
        pytest.skip(str(e))
    (tmp_path / "bind").mkdir()
    assert msb("load", "-i", str(archive), "-t", "git:1").returncode == 0
    r = msb("create", "-n", "git", "-m", "512M", "--no-net", "--pull", "never", "--root-disk", "2G", "-v", f"{tmp_path}/bind:/bind",
            "--mount-named", "disk:/disk:kind=disk,size=1G", "git:1", stdin=subprocess.DEVNULL)
    assert r.returncode == 0, r.stderr.decode()
    try:
        for place in ("/work", "/disk", "/bind"):
            begin = time.monotonic()
            r = msb("exec", "git", "--", "bash", "-c", SCRIPT, "git", place, str(FILES), stdin=subprocess.DEVNULL, timeout=LIMIT * 10)
            print(f"{place}: {time.monotonic() - begin:.0f} s")
            assert r.returncode == 0 and r.stdout == b"good\n", (place, r.stdout[-3000:].decode() + r.stderr[-3000:].decode())
    finally:
        msb("rm", "-f", "git")
