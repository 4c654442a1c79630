# SPDX-License-Identifier: Apache-2.0
"""Readers of what strangers send, against independent ones: what ours take, the others take and understand alike.

HTTP/1.1 as msb-tls reads it, against h11; whom the first bytes of a connection are for, as msb-net reads them, against h11 and OpenSSL.
Ours may refuse more, never read something else: two readers that disagree about the end of a message are a way to smuggle one.
Compared are method, target, status, version, fields, body and the place where a message ends, for messages made of a corpus by
seeded mutations.
"""

import os
import random
import ssl
import struct
import subprocess
import sys
from pathlib import Path

import pytest

try:
    import h11
except ImportError:
    # Another Python than the one of the distribution: the package is pure Python.
    sys.path.append("/usr/lib/python3/dist-packages")
    h11 = pytest.importorskip("h11", reason="needs the package python3-h11")

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MSB_TEST_BUILD", ROOT / "build"))
READER = BUILD / "tests/tools/http-read"
CORPUS = ROOT / "tests/corpus/http"
ANSWERS, TO_HEAD, FIRST = 1, 2, 4
SEED, MUTANTS = 5, 20000
WHOLE_HEAD_MAX = 1 << 20

REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
    b"POST /x?y=z HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nX-Empty:\r\nX-Spaces:  a b\t \r\n\r\nhello",
    b"PUT /chunks HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n00a\r\n0123456789\r\n0\r\n\r\n",
    b"PUT /trailer HTTP/1.1\r\nhost:a.example\r\nTransfer-Encoding:  Chunked\r\n\r\n1\r\nh\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n",
    b"GET /1 HTTP/1.1\r\nHost: a.example\r\n\r\nGET /2 HTTP/1.1\r\nHost: a.example\r\n\r\n",
    b"POST /1 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabcPOST /2 HTTP/1.1\r\nHost: a.example\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /3 HTTP/1.1\r\nHost: a.example\r\n\r\n",
    b"GET http://a.example/x HTTP/1.0\r\nHost: a.example\r\nConnection: keep-alive\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    # Ways to have an end in two places: all of them refused or read alike.
    b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /s HTTP/1.1\r\nHost: a.example\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5, 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n0\r\n\r\n",
    b"POST / HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a.example\r\nX: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
]
ANSWERS_TO_GET = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 \r\nContent-Length: 1\r\n\r\nx",
    b"HTTP/1.0 200 OK\r\nServer: x\r\n\r\nup to the end",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"x\"\r\n\r\nHTTP/1.1 500\r\nContent-Length: 2\r\n\r\nno",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
]
ANSWERS_TO_HEAD = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 404 No\r\n\r\n",
]
PIECES = [b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b"\x0b", b"\x7f", b"\x80", b"\xff", b":", b",", b";", b"+", b"-", b"0", b"0x", b"00", b"f",
          b"Content-Length: 5\r\n", b"Content-Length:0\r\n", b"content-length: 7\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n",
          b"TRANSFER-ENCODING:chunked\r\n", b"Host: b.example\r\n", b"Connection: close\r\n", b"X: y\r\n", b"\r\n\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n",
          b"GET / HTTP/1.1\r\n", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"http/1.1", b"99999999999999999999", b"ffffffffffffffff"]


def mutate(rng, seeds):
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
        at = rng.randrange(len(data) + 1)
        way = rng.randrange(6)
        if way == 0 and data:
            data[at % len(data)] = rng.choice((rng.randrange(256), data[at % len(data)] ^ 1 << rng.randrange(8)))
        elif way == 1:
            del data[at:at + rng.randrange(1, 4)]
        elif way == 2:
            data[at:at] = rng.choice(PIECES)
        elif way == 3:
            lines = bytes(data).split(b"\r\n")
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
            data = bytearray(b"\r\n".join(lines))
        elif way == 4:
            other = rng.choice(seeds)
            data[at:] = other[rng.randrange(len(other)):]
        else:
            # At the end of a line, where framing is decided.
            ends = [i for i in range(len(data) - 1) if data[i:i + 2] == b"\r\n"]
            if ends:
                data[(end := rng.choice(ends) + rng.choice((0, 2))):end] = rng.choice(PIECES)
    return bytes(data)


def cases():
    rng = random.Random(SEED)
    kinds = [(0, list(REQUESTS)), (ANSWERS, list(ANSWERS_TO_GET)), (ANSWERS | TO_HEAD, list(ANSWERS_TO_HEAD))]
    for f in sorted(CORPUS.iterdir()):
        data = f.read_bytes()
        kinds[data[0] & 1][1].append(data[1:])
    for flags, seeds in kinds:
        yield from ((flags, s) for s in seeds)
        yield from ((flags, s[:n]) for s in seeds for n in range(0, len(s), 7))
    for _ in range(MUTANTS):
        flags, seeds = rng.choices(kinds, (6, 3, 1))[0]
        yield flags, mutate(rng, seeds)


class Message:
    """What one reader says about one message: `end` is None while it has not come."""

    def __init__(self):
        self.start = self.fields = self.first = self.end = None
        self.body = b""

    def said(self):
        return self.first, self.fields, self.body, self.end


def text(word):
    return bytes.fromhex(word[1:])


def field(name, value):
    name = name.lower()
    return name, value.lower() if name == b"transfer-encoding" else value


def ours(lines):
    """Messages of one case, in order, and how many bytes of it were taken: that is what a server would get."""
    messages = []
    for line in lines:
        word, *rest = line.split()
        if word in ("request", "answer"):
            m = Message()
            m.start, m.fields = int(rest[0]), []
            version = b"1.1" if rest[2] == "1" else b"1.0"
            m.first = (version, text(rest[3]), text(rest[4])) if word == "request" else (version, int(rest[3]))
            messages.append(m)
        elif word == "field":
            m.fields.append(field(*map(text, rest)))
        elif word == "data":
            m.body += text(rest[0])
        elif word == "message":
            m.end = int(rest[0])
        else:
            assert word == "end", line
            return messages, int(rest[1])
    raise AssertionError("no end")


def theirs(flags, data, start):
    """The message that begins there, as h11 sees it."""
    if flags & ANSWERS:
        c = h11.Connection(h11.CLIENT, max_incomplete_event_size=WHOLE_HEAD_MAX)
        c.send(h11.Request(method="HEAD" if flags & TO_HEAD else "GET", target="/",
                           headers=[("Host", "a.example"), ("Upgrade", "x"), ("Connection", "upgrade")]))
        c.send(h11.EndOfMessage())
    else:
        c = h11.Connection(h11.SERVER, max_incomplete_event_size=WHOLE_HEAD_MAX)
    c.receive_data(data[start:])
    m = Message()
    m.start = start
    while True:
        e = c.next_event()
        if isinstance(e, (h11.Request, h11.Response, h11.InformationalResponse)):
            m.first = (e.http_version, e.method, e.target) if isinstance(e, h11.Request) else (e.http_version, e.status_code)
            m.fields = [field(n, v) for n, v in e.headers]
            if isinstance(e, h11.InformationalResponse):
                m.end = len(data) - len(c.trailing_data[0])
                return m
        elif isinstance(e, h11.Data):
            m.body += bytes(e.data)
        elif isinstance(e, h11.EndOfMessage):
            m.end = len(data) - len(c.trailing_data[0])
            return m
        else:
            return m


def is_refused_later(m):
    """What exchange.c says no to: a request that is for nobody or for two, or for a tunnel."""
    hosts = sum(name == b"host" for name, _ in m.fields)
    return hosts > 1 or (hosts == 0 and m.first[0] == b"1.1") or m.first[1].upper() == b"CONNECT"


def read(given):
    """Lines of our reader about these cases."""
    if not READER.exists():
        pytest.skip(f"{READER} was not built")
    r = subprocess.run([READER], input=b"".join(struct.pack("!BI", flags, len(d)) + d for flags, d in given), capture_output=True, timeout=60, check=False)
    assert r.returncode == 0, r.stderr
    return iter(r.stdout.decode("ascii").splitlines())


def test_messages_are_read_alike():
    given = list(cases())
    lines = read(given)
    whole = refused = 0
    for flags, data in given:
        mine = []
        for line in lines:
            mine.append(line)
            if line.startswith("end "):
                break
        refused += mine[-1].startswith("end bad")
        messages, used = ours(mine)
        for m in messages:
            if not flags & ANSWERS and is_refused_later(m):
                break
            try:
                t = theirs(flags, data[:used], m.start)
            except h11.RemoteProtocolError as e:
                raise AssertionError(f"only the other one refuses {data[m.start:used]!r}: {e}") from e
            assert t.said() == m.said(), data[m.start:used]
            whole += m.end is not None
    # The comparison is about something: many messages are read to their end, and many are refused.
    assert whole > len(given) // 3 and refused > len(given) // 10, (len(given), whole, refused)


def peeked(given):
    """Kind and name (None: none) that msb-net reads in the first bytes."""
    for (_, data), line in zip(given, read(given)):
        word, kind, named, name = line.split()
        assert word == "peek"
        yield data, kind, text(name).decode() if named == "1" else None


def hosts(request):
    """Whom a request is for: by its Host and by its target."""
    found = [v for n, v in request.headers if n == b"host"]
    scheme, mark, rest = request.target.partition(b"://")
    if mark and scheme.isalpha():
        found.append(rest.split(b"/")[0].split(b"?")[0])
    # With a dot at its end a name is the same name; an empty Host is nobody.
    return {h.decode("latin-1").lower().partition(":")[0].removesuffix(".") for h in found} - {""}


def test_hosts_are_read_alike():
    """What the policy lets through for a name is a request for that name to a server, too."""
    given = [(FIRST, data) for flags, data in cases() if not flags & ANSWERS]
    named = 0
    for data, kind, name in peeked(given):
        if kind != "http":
            continue
        c = h11.Connection(h11.SERVER, max_incomplete_event_size=WHOLE_HEAD_MAX)
        c.receive_data(data)
        try:
            e = c.next_event()
        except h11.RemoteProtocolError:
            continue  # a server that refuses it gives nothing away
        if isinstance(e, h11.Request):
            assert hosts(e) == ({name} if name else set()), (data, name)
            named += name is not None
    assert named > len(given) // 10, (len(given), named)


def client_hello(name, *protocols):
    """The first bytes of OpenSSL's client, with the same bytes each time where it has random ones."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    if protocols:
        c.set_alpn_protocols(protocols)
    out = ssl.MemoryBIO()
    tls = c.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = bytearray(out.read())
    hello[11:43] = bytes(range(32))
    hello[44:44 + hello[43]] = bytes(hello[43])
    key = hello.find(b"\0\x1d\0\x20") + 4
    hello[key:key + 32] = bytes(range(32))
    return bytes(hello)


def in_records(hello, size):
    """The same in records of @size bytes."""
    body = hello[5:]
    return b"".join(b"\x16\x03\x01" + struct.pack("!H", len(body[i:i + size])) + body[i:i + size] for i in range(0, len(body), size))


def mutate_hello(rng, hellos):
    data = bytearray(rng.choice(hellos))
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(data))
        way = rng.randrange(4)
        if way == 0:
            data[at] = rng.choice((0, 1, 255, rng.randrange(256), data[at] ^ 1 << rng.randrange(8)))
        elif way == 1:
            place = data.find(b"good.example")
            if place >= 0:
                data[place:place + 4] = rng.choice((b"evil", b"GOOD", b"g\0od", b"a.b."))
        elif way == 2:
            del data[at:at + rng.randrange(1, 3)]
        else:
            other = rng.choice(hellos)
            data[at:at + 30] = other[at:at + 30]
    return bytes(data)


def test_server_names_are_read_alike():
    """What the policy lets through for a name is a ClientHello for that name to a server, too."""
    rng = random.Random(SEED)
    hellos = [client_hello("good.example"), client_hello("evil.example", "h2", "http/1.1"), client_hello(None), client_hello("x" * 60 + ".good.example")]
    hellos += [in_records(h, n) for h in hellos for n in (50, 100, 300)]
    given = [(FIRST, h) for h in hellos] + [(FIRST, mutate_hello(rng, hellos)) for _ in range(MUTANTS // 2)]
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    heard = []

    def servername(_tls, name, _context):
        heard.append(name)
        return ssl.ALERT_DESCRIPTION_USER_CANCELLED

    server.sni_callback = servername
    named = 0
    for data, kind, name in peeked(given):
        if kind != "tls":
            continue
        bio = ssl.MemoryBIO()
        bio.write(data)
        heard.clear()
        try:
            server.wrap_bio(bio, ssl.MemoryBIO(), server_side=True).do_handshake()
        except (ssl.SSLError, UnicodeError):
            pass
        if heard:
            assert (heard[0].lower() if heard[0] else None) == name, (data, heard, name)
            named += name is not None
    assert named > len(given) // 20, (len(given), named)
