# SPDX-License-Identifier: Apache-2.0
"""Secrets: where values go, where placeholders stop, and that a value is nowhere else.

One sandbox for all of them; its clients are the host's, as in test_tls.py.
"""

import base64
import json
import os
import re
import subprocess
import urllib.parse
from pathlib import Path

import pytest

from conftest import LIMIT, MSB, Msb, children, reap, wait_gone
from test_tls import Server, authority, netbed, pytestmark  # noqa: F401

VALUE = "sk-7Qv/x2+Lm9&pR4=tYw8ZkD3sNf6HbJc1aGe5uVq0"
ASK = """
import json, socket, ssl, sys, time
for host, pieces in json.load(open(sys.argv[1])):
    try:
        s = ssl.create_default_context().wrap_socket(socket.create_connection((host, 443), 60), server_hostname=host)
        got = b""
        for p in pieces:
            s.sendall(p.encode())
        while True:
            data = s.recv(65536)
            if not data:
                break
            got += data
        print(got.split(b"\\r\\n")[0].decode())
    except Exception as e:
        print("error", e)
"""


class BodyServer(Server):
    """Hears whole requests, also their bodies, and remembers head and body."""

    def handle(self, sock, _peer):
        try:
            with self.context.wrap_socket(sock, server_side=True) as s:
                data = b""
                while not self.whole(data):
                    more = s.recv(65536)
                    if not more:
                        return
                    data += more
                self.heard.append(data)
                s.sendall(self.answer)
                s.unwrap()
        except OSError:
            pass

    @staticmethod
    def whole(data):
        head, found, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if b"chunked" in head:
            return body.endswith(b"0\r\n\r\n")
        return found and (not length or len(body) >= int(length[1]))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    where = tmp_path_factory.mktemp("secrets")
    bed = netbed.Bed()
    bed.ca, context = authority(where, "World CA")
    bed.names.table["www.example"] = [netbed.PUBLIC4]
    bed.names.table["other.example"] = [netbed.PUBLIC4_OTHER]
    bed.www = BodyServer(bed, netbed.PUBLIC4, context("www.example"))
    bed.other = BodyServer(bed, netbed.PUBLIC4_OTHER, context("other.example"))
    (where / "ask.py").write_text(ASK)
    bed.where = where
    yield bed
    bed.close()


class Box:
    """A sandbox, what is asked in it, and commands about it."""

    def __init__(self, world, msb, name, *options, tls=True, **env):
        self.world, self.env, self.name, self.n = world, msb.env, name, 0
        trust = ["--tls-upstream-ca-cert", str(world.ca)] if tls else []
        r = self.msb("create", "--name", name, *trust, "-m", "256M", "-v", "/usr:/h/usr:ro", "-v", f"{world.where}:/w:ro", *options, **env)
        assert r.returncode == 0, r.stdout

    def msb(self, *words, **env):
        return subprocess.run([MSB, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env={**self.env, **env}, timeout=LIMIT, check=False, preexec_fn=self.world.preexec)

    def ask(self, *requests):
        """Status lines of requests, each a host and its pieces, on connections of their own."""
        self.n += 1
        (self.world.where / f"{self.name}-{self.n}.json").write_text(json.dumps([[h, [p] if isinstance(p, str) else p] for h, p in requests]))
        r = self.msb("exec", self.name, "--", "sh", "-c",
                     "PYTHONHOME=/h/usr /h/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 --library-path /h/usr/lib/x86_64-linux-gnu "
                     f"/h/usr/bin/python3 -S /w/ask.py /w/{self.name}-{self.n}.json")
        return [" ".join(line.split()[:2]) for line in r.stdout.splitlines()]


@pytest.fixture(scope="module")
def home(tmp_path_factory, engine):
    before = {pid for pid, _ in children()}
    yield Msb(tmp_path_factory.mktemp("secrets-home") / "home", engine)
    reap()
    assert not wait_gone(before)


@pytest.fixture(scope="module")
def box(world, home):
    b = Box(world, home, "secret-box", "--secret", f"KEY={VALUE}@www.example", "--secret-inject", "KEY=headers,basic,query,body",
            "--secret", "PLAIN@www.example", PLAIN="plain-value")
    yield b
    b.msb("rm", "-f", "secret-box")


def request(line="GET / HTTP/1.1", *fields, body=None, host="www.example"):
    head = "".join(f"{x}\r\n" for x in (line, f"Host: {host}", "Connection: close", *fields))
    if body is not None:
        head += f"Content-Length: {len(body)}\r\n"
    return f"{head}\r\n{body or ''}"


OK, NO = "HTTP/1.1 200", "HTTP/1.1 403"


def test_every_part_of_a_request(world, box):
    heard = len(world.www.heard)
    basic = base64.b64encode(b"user:$MSB_KEY").decode()
    chunks = "POST / HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    got = box.ask(("www.example", request("GET / HTTP/1.1", "X-Key: $MSB_KEY")),
                  ("www.example", request("GET / HTTP/1.1", f"Authorization: Basic {basic}")),
                  ("www.example", request("GET /a?key=$MSB_KEY&b=%24MSB_KEY HTTP/1.1")),
                  ("www.example", request("POST / HTTP/1.1", body='{"key": "$MSB_KEY"}')),
                  ("www.example", request("POST / HTTP/1.1", "Content-Type: application/x-www-form-urlencoded", body="key=%24MSB_KEY")),
                  ("www.example", [chunks, "5\r\nab$MS\r\n", "5\r\nB_KEY\r\n", "1\r\n.\r\n0\r\n\r\n"]),
                  ("www.example", list(request("POST / HTTP/1.1", body="<$MSB_KEY>"))))
    assert got == [OK] * 7
    quoted = urllib.parse.quote(VALUE, safe="").encode()
    value = VALUE.encode()
    header, authorization, query, plain, form, chunked, pieces = world.www.heard[heard:]
    assert b"X-Key: " + value + b"\r\n" in header
    assert b"Authorization: Basic " + base64.b64encode(b"user:" + value) + b"\r\n" in authorization
    assert query.startswith(b"GET /a?key=" + quoted + b"&b=" + quoted + b" HTTP/1.1\r\n")
    assert plain.endswith(b'\r\n\r\n{"key": "' + value + b'"}') and b"Content-Length: %d\r\n" % (11 + len(value)) in plain
    assert form.endswith(b"\r\n\r\nkey=" + quoted)
    assert re.sub(rb"\r\n[0-9a-f]+\r\n|^[0-9a-f]+\r\n", b"", chunked.partition(b"\r\n\r\n")[2]) == b"ab" + value + b".\r\n"
    assert pieces.endswith(b"\r\n\r\n<" + value + b">")


def test_placeholders_that_go_astray(world, box):
    """To another host, to another part, hidden or in pieces: nobody hears of it."""
    heard, other = len(world.www.heard), len(world.other.heard)
    basic = base64.b64encode(b"user:$MSB_KEY").decode()
    astray = [request("GET / HTTP/1.1", "X: $MSB_KEY", host="other.example"), request("GET / HTTP/1.1", "X: %24MSB_KEY", host="other.example"),
              request("GET / HTTP/1.1", f"Authorization: Basic {basic}", host="other.example"),
              request("GET /?a=%24MSB%5FKEY HTTP/1.1", host="other.example"),
              request("POST / HTTP/1.1", body="\\u0024MSB_KEY", host="other.example"),
              list(request("GET / HTTP/1.1", "X: $MSB_KEY", host="other.example"))]
    here = [request("GET /$MSB_KEY HTTP/1.1"), request("GET /%24MSB_KEY HTTP/1.1"), request("GET / HTTP/1.1", "X-$MSB_KEY: a"),
            request("POST / HTTP/1.1", body="$MSB_PLAIN"), request("GET /?a=$MSB_PLAIN HTTP/1.1")]
    smuggled = ["POST / HTTP/1.1\r\nHost: www.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
                "0\r\n\r\nGET / HTTP/1.1\r\nHost: other.example\r\nX: $MSB_KEY\r\n\r\n"]
    got = box.ask(*[("other.example", r) for r in astray], *[("www.example", r) for r in here + smuggled])
    assert got == [NO] * (len(astray) + len(here)) + ["HTTP/1.1 400"]
    assert not [h for h in world.other.heard[other:] + world.www.heard[heard:] if VALUE.encode() in h or b"Host: other" in h]
    log = box.msb("logs", "--source", "network", "secret-box").stdout
    assert "secret KEY: " in log and "secret PLAIN: " in log and VALUE not in log


def memory(pid):
    """Pieces of what a process has mapped for reading and writing and has used, with the flags of their mapping."""
    flags, spans = {}, []
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="ascii", errors="replace").splitlines():
        head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (rw)", line)
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            spans.append((int(head[1], 16), int(head[2], 16)) if head else None)
        elif line.startswith("VmFlags:") and spans[-1]:
            flags[spans[-1]] = line.split()[1:]
    with open(f"/proc/{pid}/mem", "rb", 0) as mem, open(f"/proc/{pid}/pagemap", "rb", 0) as pages:
        for (start, end), words in flags.items():
            for at in range(start, end, 1 << 20):
                try:
                    # What was never used is not there: the highest bit of each entry.
                    there = os.pread(pages.fileno(), (min(1 << 20, end - at) // 4096) * 8, at // 4096 * 8)
                    if max(there[7::8], default=0) < 0x80:
                        continue
                    # A little more, for what lies across the border.
                    yield words, os.pread(mem.fileno(), min((1 << 20) + 256, end - at), at)
                except OSError:
                    continue


def written(path):
    """What is in a file, without its holes."""
    with open(path, "rb") as f:
        size, at = os.fstat(f.fileno()).st_size, 0
        while at < size:
            try:
                at = os.lseek(f.fileno(), at, os.SEEK_DATA)
            except OSError:
                return
            end = os.lseek(f.fileno(), at, os.SEEK_HOLE)
            yield os.pread(f.fileno(), end - at, at)
            at = end


def needles():
    """The value in other shapes, and what any 16 bytes of it have in them."""
    v = VALUE.encode()
    found = [v[i:i + 8] for i in range(0, len(v) - 7, 8)] + [v[::-1], urllib.parse.quote(VALUE, safe="").encode(), v.hex().encode()]
    for shift in range(3):
        text = base64.b64encode(b"xyz"[:shift] + v)
        found.append(text[4 if shift else 0:-4])
    return found


def processes(name):
    """The sandbox's supervisor and everything below it, by process number."""
    parents, found = {}, {}
    for p in Path("/proc").iterdir():
        try:
            parents[int(p.name)] = int((p / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if (p / "cmdline").read_bytes() == f"msb-sandbox\0{name}\0".encode():
                found[int(p.name)] = "msb-sandbox"
        except (OSError, ValueError, IndexError):
            continue
    for _ in range(8):
        for pid, parent in parents.items():
            comm = Path(f"/proc/{pid}/comm")
            if parent in found and pid not in found and comm.exists():
                found[pid] = comm.read_text().strip()
    return found


def test_nothing_of_a_value_is_left(world, box, home):
    """After its use: not in guest memory, in no process, file or log; msb-tls has it in memory that is locked and in no core file."""
    shapes, pids = needles(), processes("secret-box")
    assert {"msb-net", "msb-tls", "msb-sandbox"} <= set(pids.values()) and len(pids) >= 4, pids
    locked = 0
    for pid, name in pids.items():
        shown = Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
        assert not [s for s in shapes if s in shown], name
        for flags, piece in memory(pid):
            found = [s for s in shapes if s in piece]
            if name == "msb-tls" and {"lo", "dd"} <= set(flags):
                locked += VALUE.encode() in piece
            else:
                assert not found, (name, flags, found)
    assert locked == 1
    files = [f for f in Path(home.env["MSB_HOME"]).rglob("*") if f.is_file()]
    assert len(files) > 3
    for f in files:
        for data in written(f):
            assert not [s for s in shapes if s in data], f
    shown = "".join(box.msb(*w).stdout for w in (("inspect", "secret-box", "--format", "json"), ("net", "events", "secret-box"), ("logs", "secret-box")))
    assert "www.example" in shown and not [s for s in shapes if s.decode() in shown]


def test_other_secrets_while_it_runs(world, box):
    """Another value, another host, another secret and one less, all at once; nothing of the first value stays."""
    new = "rotated-value-of-the-key"

    def modify(*words, **env):
        r = box.msb("modify", "secret-box", *words, **env)
        return r.returncode, r.stdout

    def header(host="www.example", name="KEY"):
        return host, request("GET / HTTP/1.1", f"X-Key: $MSB_{name}", host=host)

    status, out = modify("--secret", "KEY@www.example")
    assert status != 0 and "set the variable KEY" in out, out
    status, out = modify("--secret", "KEY@other.example", "--secret", "FRESH@www.example", "--secret-rm", "PLAIN", KEY=new, FRESH="fresh-one")
    assert status == 0 and "at once" in out and "next start" not in out and new not in out, out
    heard, other = len(world.www.heard), len(world.other.heard)
    assert box.ask(header(), header("other.example"), header(name="FRESH"), header("other.example", "FRESH")) == [OK, OK, OK, NO]
    for request_of, value in ((world.www.heard[heard], new), (world.other.heard[other], new), (world.www.heard[heard + 1], "fresh-one")):
        assert f"X-Key: {value}\r\n".encode() in request_of
    shown = box.msb("exec", "secret-box", "--", "env").stdout
    assert "KEY=$MSB_KEY\n" in shown and "FRESH=$MSB_FRESH\n" in shown and "PLAIN" not in shown
    # In another part, with the value that it has: no longer in those that go without saying.
    status, out = modify("--secret-inject", "FRESH=query")
    assert status == 0 and "at once" in out and "@www.example in query" in out, out
    heard = len(world.www.heard)
    assert box.ask(("www.example", request("GET /?k=$MSB_FRESH HTTP/1.1")), header(name="FRESH")) == [OK, NO]
    assert b"GET /?k=fresh-one HTTP/1.1\r\n" in world.www.heard[heard]
    status, out = modify("--secret-inject", "PLAIN=query")
    assert status != 0 and "there is no secret 'PLAIN'" in out, out
    # Another setting does not take them away.
    assert modify("-e", "A=B")[0] == 0
    shown = box.msb("exec", "secret-box", "--", "env").stdout
    assert "A=B\n" in shown and "KEY=$MSB_KEY\n" in shown
    # Only for the hosts that are said: the others are gone with it.
    assert modify("--secret-rm", "KEY", "--secret", f"KEY={new}-2@www.example")[0] == 0
    heard = len(world.www.heard)
    assert box.ask(header(), header("other.example")) == [OK, NO]
    assert f"X-Key: {new}-2\r\n".encode() in world.www.heard[heard]
    pids = processes("secret-box")
    for pid in pids:
        for _flags, piece in memory(pid):
            assert VALUE.encode() not in piece, pids[pid]
            assert pids[pid] == "msb-tls" or new.encode() not in piece, pids[pid]
    shown = box.msb("inspect", "secret-box", "--format", "json").stdout
    assert "FRESH" in shown and "PLAIN" not in shown and new not in shown


def test_the_first_secret_needs_a_restart(world, home):
    b = Box(world, home, "secret-first", tls=False)
    try:
        r = b.msb("modify", "secret-first", "--secret", "KEY@www.example", KEY=VALUE)
        assert r.returncode != 0 and "a change needs a restart" in r.stdout, r.stdout
        for words in (["--restart", "--secret", "KEY@www.example"], ["--restart", "--secret", f"KEY={VALUE}@www.example"]):
            r = b.msb("modify", "secret-first", *words)
            assert r.returncode != 0 and "secret KEY: " in r.stdout and b.msb("exec", "secret-first", "--", "true").returncode == 0, r.stdout
        r = b.msb("modify", "secret-first", "--restart", "--secret", "KEY@www.example", KEY=VALUE)
        assert r.returncode == 0 and "msb-tls" in processes("secret-first").values(), r.stdout
        assert "KEY=$MSB_KEY\n" in b.msb("exec", "secret-first", "--", "env").stdout
    finally:
        b.msb("rm", "-f", "secret-first")


def test_a_violation_that_ends_the_sandbox(world, home):
    b = Box(world, home, "secret-end", "--secret", "KEY@www.example", "--on-secret-violation", "block-and-terminate", KEY=VALUE)
    try:
        b.ask(("other.example", request("GET / HTTP/1.1", "X: $MSB_KEY", host="other.example")))
        b.msb("wait", "secret-end")
        shown = b.msb("inspect", "secret-end").stdout
        assert "secret KEY: a placeholder on its way to a host" in shown and VALUE not in shown, shown
    finally:
        b.msb("rm", "-f", "secret-end")
