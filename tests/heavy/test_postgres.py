# SPDX-License-Identifier: Apache-2.0
"""A database server on a shared directory and on a disk, killed with everything around it: what it acknowledged is there."""

import os
import random
import re
import signal
import subprocess
import time

import pytest
from conftest import LIMIT
from offline import Missing, image

CLIENTS = 3
CYCLES = int(os.environ.get("MSB_HEAVY_CYCLES", "3"))
ACKS = int(os.environ.get("MSB_HEAVY_ACKS", "120"))
SLOW = LIMIT * 5  # seconds for a server to be made, started or recovered

PRELUDE = r"""
set -e
export PATH=/usr/lib/postgresql/15/bin:$PATH PGHOST=/tmp PGDATA=/db/pg PGUSER=postgres
as() { runuser -u postgres -- "$@"; }
begin() { rm -f $PGDATA/postmaster.pid; as pg_ctl -s -w -t 600 -l /tmp/log start || { cat /tmp/log; exit 9; } >&2; }
"""
MAKE = PRELUDE + r"""
mkdir -p $PGDATA; chown postgres $PGDATA; chmod 700 $PGDATA
as initdb -k -N -A trust --locale=C.UTF-8 >/tmp/initdb 2>&1 || { cat /tmp/initdb >&2; exit 9; }
printf '%s\n' "listen_addresses=''" "unix_socket_directories='/tmp'" jit=off shared_buffers=16MB full_page_writes=on >>$PGDATA/postgresql.conf
begin
psql -q -c 'create extension amcheck' -c 'create table t(client int, i int, b text, primary key (client, i))'
as pg_ctl -s -w -m fast stop
sync
"""
LOAD = PRELUDE + r"""
begin
echo started
client() {
    i=$(psql -qAt -c "select coalesce(max(i) + 1, 0) from t where client = $1")
    while :; do
        echo "insert into t values($1, $i, repeat(md5('$i'), 20)) returning client, i;"; i=$((i+1))
    done | psql -qAt -F ' '
}
for c in $CLIENTS; do client $c & done
wait
"""
CHECK = PRELUDE + r"""
begin
psql -qAt -F ' ' -c "select client, count(*), max(i) from t where b = repeat(md5(i::text), 20) group by client order by client"
psql -qAt -c "select bt_index_check('t_pkey', true)" >/dev/null && echo index
as pg_ctl -s -w -m fast stop
as pg_checksums -c | grep -i 'bad checksums'
"""


@pytest.fixture(scope="session")
def archive():
    try:
        return image("debian", ("git", "postgresql-15"))
    except Missing as e:
        pytest.skip(str(e))


def run(msb, words, script):
    """One `msb run` of @script, which may have to wait for what was killed to be gone."""
    deadline = time.monotonic() + SLOW
    while True:
        r = msb.run(*words, "bash", "-c", script, timeout=SLOW)
        if r.returncode == 0 or b"is in use" not in r.stderr or time.monotonic() > deadline:
            assert r.returncode == 0, r.stdout.decode() + r.stderr.decode()
            return r.stdout.decode()


def supervisor_of(p):
    with open(f"/proc/{p.pid}/task/{p.pid}/children", encoding="ascii") as f:
        return [int(pid) for pid in f.read().split()]


def machines_of(p):
    found = []
    for pid in supervisor_of(p):
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            found += [int(x) for x in f.read().split()]
    return [pid for pid in found if re.match(r"qemu-system|msb-vmm", open(f"/proc/{pid}/comm", encoding="ascii").read())]


def load_and_kill(msb, words, victim, acks):
    """The highest number that each client has seen acknowledged."""
    acked = {}
    p = msb.start(*words, "bash", "-c", LOAD.replace("$CLIENTS", " ".join(map(str, range(CLIENTS)))), stdin=subprocess.DEVNULL)
    lines = 0
    for line in p.stdout:
        m = re.fullmatch(rb"(\d+) (\d+)\n", line)
        if m:
            acked[int(m[1])] = int(m[2])
            lines += 1
        if lines == acks:
            killed = machines_of(p) if victim == "machine" else supervisor_of(p)
            assert killed
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
    err = p.stderr.read().decode()
    p.wait(SLOW)
    assert lines >= acks, err
    return acked


@pytest.mark.parametrize("kind", ["bind", "disk"])
def test_what_was_committed_survives(msb, archive, tmp_path, kind):
    assert msb("load", "-i", str(archive), "-t", "pg:1").returncode == 0
    (tmp_path / "db").mkdir()
    words = ["-q", "-m", "512M", "--no-net", "--pull", "never", *(["-v", f"{tmp_path}/db:/db"] if kind == "bind" else
             ["--mount-named", "db:/db:kind=disk,size=512M"]), "pg:1", "--"]
    begin = time.monotonic()
    run(msb, words, MAKE)
    print(f"{kind}: made in {time.monotonic() - begin:.0f} s")
    seed = random.SystemRandom().randrange(1 << 32)
    rng = random.Random(seed)
    acked = {}
    for cycle in range(CYCLES):
        victim = ("machine", "supervisor")[cycle % 2]
        begin = time.monotonic()
        acked.update(load_and_kill(msb, words, victim, rng.randrange(ACKS // 2, ACKS)))
        out = run(msb, words, CHECK)
        print(f"{kind}, seed {seed}: {victim} killed, acknowledged {acked}, {time.monotonic() - begin:.0f} s\n{out}")
        lines = out.splitlines()
        rows = {int(c): (int(n), int(newest)) for c, n, newest in (line.split() for line in lines if re.fullmatch(r"\d+ \d+ \d+", line))}
        for client, i in acked.items():
            n, newest = rows[client]
            assert newest >= i and n == newest + 1, f"client {client}: {i} acknowledged, {n} rows up to {newest}"
        assert "index" in lines and re.search(r"Bad checksums: +0", out)
