# SPDX-License-Identifier: Apache-2.0
"""Attacks on the network from inside: what must not get out does not, is told, and the rest goes on working."""

import contextlib
import json
import shutil
import struct
import subprocess
import sys
import time

import pytest

from conftest import BUILD, LIMIT, MSB, ROOT

sys.path.insert(0, str(ROOT / "tests/lib"))
import guestpy  # noqa: E402
import netbed  # noqa: E402

pytestmark = pytest.mark.skipif(netbed.possible() is not None, reason=str(netbed.possible()))
ATTACK = BUILD / "tests/tools/net-attack"
LOG_LIMIT = 2000  # lines about 21,000 refusals: fifty and ten a second, however slow the machine


def page(s, _peer):
    s.recv(4096)
    s.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")


class Inside:
    """A named sandbox in the made world."""

    def __init__(self, bed, msb, *options):
        self.bed, self.msb, self.options = bed, msb, options

    def call(self, *argv, stdin=b""):
        return subprocess.run([MSB, *argv], input=stdin, capture_output=True, env=self.msb.env, timeout=LIMIT, check=False,
                              preexec_fn=self.bed.preexec)

    def __enter__(self):
        r = self.call("create", "--name", "attacker", *self.options)
        assert r.returncode == 0, r.stderr
        return self

    def __exit__(self, *_):
        self.call("rm", "-f", "attacker")

    def sh(self, script, stdin=b""):
        r = self.call("exec", "attacker", "--", "sh", "-c", script, stdin=stdin)
        return (r.stdout + r.stderr).decode(errors="replace")

    def until(self, choose):
        """What choose(events) gives, once it is anything: events come by another way than the output of commands."""
        deadline = time.monotonic() + LIMIT
        while True:
            events = [json.loads(line) for line in self.call("net", "events", "--format", "json", "attacker").stdout.splitlines()]
            chosen = choose(events)
            if chosen:
                return chosen
            assert time.monotonic() < deadline, events
            time.sleep(0.05)

    def told(self):
        return self.call("logs", "--source", "network", "attacker").stdout.decode().splitlines()


@pytest.fixture
def bed():
    b = netbed.Bed()
    yield b
    b.close()


def test_no_spelling_of_an_address_gets_through(bed, msb):
    seen = [bed.serve(a, 80, page) for a in (netbed.METADATA, netbed.PRIVATE[0], "127.0.0.1")]
    spellings = ["http://2852039166/", "http://0xa9fea9fe/", "http://0251.0376.0251.0376/", "http://169.254.43518/", "http://0x0a.66051/",
                 "http://[::ffff:169.254.169.254]/", "http://[::ffff:a9fe:a9fe]/", "http://[64:ff9b::a9fe:a9fe]/",
                 "http://[64:ff9b::169.254.169.254]/", "http://[2002:a9fe:a9fe::1]/", "http://[::169.254.169.254]/",
                 "http://0/", "http://127.1/", "http://172.16.0.1/", "http://169.254.169.254.nip.example/"]
    bed.names.table["169.254.169.254.nip.example"] = [netbed.METADATA]
    with Inside(bed, msb) as inside:
        out = inside.sh("for u in " + " ".join(f"'{u}'" for u in spellings) + "; do wget -qO- $u 2>&1; done")
        told = inside.told()
    assert "hello" not in out and not any(seen), out
    assert "timed out" not in out, out
    for what in ("egress tcp 169.254.169.254:80 (meta): denied", "egress tcp 10.1.2.3:80 (private): denied",
                 "lookup of 169.254.169.254.nip.example: denied"):
        assert any(line.startswith(what) for line in told), (what, told, out)


# Ways to write 169.254.169.254 and 10.1.2.3 that getaddrinfo(3) takes, and what they come to.
SPELLED = {"2852039166": netbed.METADATA, "0xa9fea9fe": netbed.METADATA, "0XA9.0xFE.0xA9.0xFE": netbed.METADATA, "0251.0376.0251.0376": netbed.METADATA,
           "169.254.43518": netbed.METADATA, "169.16689662": netbed.METADATA, "0000251.254.0xa9.254": netbed.METADATA, "0x0a010203": "10.1.2.3",
           "012.1.2.3": "10.1.2.3", "10.66051": "10.1.2.3", "167838211": "10.1.2.3"}
# Addresses of IPv6 with one of these inside: NAT64 of everybody and of one's own, 6to4, Teredo's server and client, SIIT, compatible.
WITHIN = ("64:ff9b::a9fe:a9fe", "64:ff9b::a01:203", "64:ff9b:1::a9fe:a9fe", "64:ff9b:1:a01:2:300::", "2002:a9fe:a9fe::1", "2002:a01:203::1",
          "2001:0:a9fe:a9fe::1", "2001:0:5db8:d70e:8000:63bf:5601:5601", "2001:0:5db8:d70e::f5fe:fdfc", "::ffff:0:a9fe:a9fe", "::ffff:0:a01:203",
          "::a9fe:a9fe", "::a01:203")
PROTOCOLS = (2, 4, 41, 47, 50, 51, 89, 103, 132, 136, 253)


@pytest.mark.skipif(guestpy.missing() is not None, reason=str(guestpy.missing()))
def test_no_form_of_an_address_and_no_other_protocol(bed, msb, tmp_path):
    """What getaddrinfo makes of numbers, addresses within addresses, packets past the guest's kernel: refused at once, nothing out, all told."""
    seen = [bed.serve(a, 80, page) for a in (netbed.METADATA, netbed.PRIVATE[0])]
    heard = [bed.socket(netbed.PUBLIC4, p, netbed.RAW) for p in PROTOCOLS]
    shutil.copy(ROOT / "tests/tools/net-probe.py", tmp_path)
    probes = [["spelled", host, 80] for host in SPELLED] + [["tcp", a, 80] for a in (*WITHIN, "::ffff:169.254.169.254")]
    # A loose source route by way of a private address, and a record of the way.
    probes += [["raw", a, p] for a in (netbed.PUBLIC4, netbed.PRIVATE[0]) for p in PROTOCOLS]
    probes += [["raw", netbed.PUBLIC4, 17, "83070a01020300" + "00"], ["raw", netbed.PUBLIC4, 6, "07070400000000" + "00"]]
    (tmp_path / "probes").write_text(json.dumps(probes))
    with Inside(bed, msb, *guestpy.OPTIONS, "-v", f"{tmp_path}:/x:ro") as inside:
        r = inside.call("exec", "attacker", "--", *guestpy.command("/x/net-probe.py", "/x/probes"))
        assert r.returncode == 0, r.stderr
        got = json.loads(r.stdout)
        for (kind, *words), answer in zip(probes, got):
            if kind == "spelled":
                assert answer == [SPELLED[words[0]], "ECONNREFUSED"], (words, answer)
            else:
                assert answer in (("ECONNREFUSED", "ENETUNREACH") if kind == "tcp" else ("sent",)), (words, answer)
        wanted = {netbed.METADATA, "10.1.2.3", *(a for (kind, a, *_), answer in zip(probes, got) if kind == "tcp" and answer == "ECONNREFUSED")}
        inside.until(lambda events: {e.get("address") for e in events if e["event"] == "denied"} >= wanted - {"::ffff:169.254.169.254"})
        inside.until(lambda events: sum(e["packets"] for e in events if e["event"] == "dropped") >= 2 * len(PROTOCOLS) + 2)
    assert not any(seen)
    for s in heard:
        s.setblocking(False)
        with pytest.raises(BlockingIOError):
            s.recv(65536)
        s.close()


def test_requests_are_not_smuggled(bed, msb):
    """What one server would take for one request and another one for two is answered 400 and told, and the second one never leaves."""
    heard = []

    def server(s, _peer):
        with contextlib.suppress(ConnectionError):
            while data := s.recv(65536):
                heard.append(data)
                if b"h2c" in data:
                    s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
                elif data.startswith(b"GET"):
                    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n")

    bed.serve(netbed.PUBLIC4, 80, server)
    bed.names.table["www.example"] = [netbed.PUBLIC4]
    post = b"POST / HTTP/1.1\r\nHost: www.example\r\n"
    chunked = post + b"Transfer-Encoding: chunked\r\n\r\n"
    hidden = b"GET /smuggled HTTP/1.1\r\nHost: www.example\r\n\r\n"
    bad = {
        "cl.te": post + b"Content-Length: 62\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
        "te.cl": post + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n35\r\n" + hidden + b"\r\n0\r\n\r\n",
        "te.te": post + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + hidden,
        "te-x": post + b"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + hidden,
        "te-tab": post + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + hidden,
        "te-space": post + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + hidden,
        "te-folded": post + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + hidden,
        "te-1.0": post.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
        "cl.cl": post + b"Content-Length: 0\r\nContent-Length: 51\r\n\r\n" + hidden,
        "cl-list": post + b"Content-Length: 0, 51\r\n\r\n" + hidden,
        "cl-sign": post + b"Content-Length: +0\r\n\r\n" + hidden,
        "lf": post + b"X: y\nContent-Length: 51\r\n\r\n" + hidden,
        "cr": post + b"X: y\rContent-Length: 51\r\n\r\n" + hidden,
        "nul": post + b"X: y\0\r\n\r\n" + hidden,
    }
    # Their heads are good, so the server hears those, and nothing of what follows.
    late = {
        "extension": chunked + b"0;\n\r\n\r\n" + hidden,
        "size": chunked + b"10000000000000000\r\n" + hidden,
        "longer": chunked + b"1\r\nxGET /smuggled HTTP/1.1\r\nHost: www.example\r\n\r\n0\r\n\r\n",
        "trailer": chunked + b"0\r\nContent-Length: 51\r\n\r\n" + hidden,
    }
    with Inside(bed, msb, "--tls-intercept-port", "80") as inside:
        for name, data in {**bad, **late}.items():
            out = inside.sh(f"cat >/tmp/r; nc -w 60 {netbed.PUBLIC4} 80 </tmp/r", stdin=data)
            # Or reset, where the first bytes do not even say for whom they are.
            assert out.startswith("HTTP/1.1 400 ") or (out == "" and name in bad), (name, out)
            assert out.count("HTTP/1.1 ") <= 1, (name, out)
        assert inside.sh("wget -qO- http://www.example/") == "hello\n"
        upgrade = b"GET / HTTP/1.1\r\nHost: www.example\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
        inside.sh(f"cat >/tmp/r; (cat /tmp/r; sleep 1; echo /smuggled) | nc -w 60 {netbed.PUBLIC4} 80", stdin=upgrade)
        inside.until(lambda events: sum(e["event"] == "denied" and e.get("port") == 80 for e in events) >= len(bad) + len(late))
    assert not any(b"smuggled" in h for h in heard), heard
    assert sum(h.startswith(b"POST") for h in heard) <= len(late)


def test_names_do_not_lead_inside(bed, msb):
    """A name whose answer changes, one that is another name of a private host; the forwarder's answers are what counts."""
    bed.names.ttl = 0
    private = bed.serve(netbed.PRIVATE[0], 80, page)
    public = bed.serve(netbed.PUBLIC4, 80, page)
    bed.names.table.update({"turns.example": [netbed.PUBLIC4], "alias.example": ["secret.example"],
                            "secret.example": [netbed.PRIVATE[0]], "both.example": [netbed.PUBLIC4, netbed.PRIVATE[0]]})
    with Inside(bed, msb) as inside:
        assert inside.sh("wget -qO- http://turns.example/") == "hello\n"
        bed.names.table["turns.example"] = [netbed.PRIVATE[0]]
        out = inside.sh("for n in turns alias both; do wget -qO- http://$n.example/ 2>&1; done")
        told = inside.told()
    assert not private and len(public) == 1 and "hello" not in out, out
    assert sum("example: denied: the answer holds 10.1.2.3" in line for line in told) >= 2, told


def test_frames_past_the_kernel(bed, msb):
    """Spoofed sources, fragments, overlapping segments, a scan of ports and a flood of handshakes."""
    public = bed.serve(netbed.PUBLIC4, 80, page)
    private = bed.serve(netbed.PRIVATE[0], 80, page)
    heard = []

    def server(s, _peer):
        while data := s.recv(10, 0x100):  # MSG_WAITALL
            heard.append(data)
            s.sendall(b"+")

    bed.serve(netbed.PUBLIC4, 9, server)
    with Inside(bed, msb, "-v", f"{ATTACK.parent}:/x:ro") as inside:
        out = inside.sh(f"ping -c 1 -w 60 172.16.0.1 >/dev/null; set -e; /x/net-attack spoof {netbed.PUBLIC4} 80; "
                        f"/x/net-attack fragments {netbed.PUBLIC4} 80; /x/net-attack fragments {netbed.PRIVATE[0]} 80; "
                        f"/x/net-attack overlap {netbed.PUBLIC4} 9; /x/net-attack scan {netbed.PRIVATE[0]} 80; "
                        f"/x/net-attack flood {netbed.PRIVATE[0]} 80; wget -qO- http://{netbed.PUBLIC4}/")
        told = inside.told()
        for what in ("from an address that is not the sandbox's", "fragments that do not fit"):
            inside.until(lambda events, what=what: any(e["event"] == "dropped" and what in e["text"] for e in events))
    assert out == "1000 refused\nhello\n", out
    assert heard == [b"0123456789", b"abcdefghij"]
    assert len(public) == 1 and not private
    assert any("(private): denied" in line for line in told) and len(told) < LOG_LIMIT, len(told)


def test_a_flood_to_a_peer_that_answers(bed, msb):
    """Handshakes that are never finished hold no more than their share, give way, and are told of."""
    bed.serve(netbed.PUBLIC4, 80, page)
    with Inside(bed, msb, "-v", f"{ATTACK.parent}:/x:ro") as inside:
        out = inside.sh(f"ping -c 1 -w 60 172.16.0.1 >/dev/null; /x/net-attack flood {netbed.PUBLIC4} 80 && "
                        f"for i in $(seq 60); do wget -qO- http://{netbed.PUBLIC4}/ 2>/dev/null && break; sleep 1; done")
        inside.until(lambda events: any(e["event"] == "dropped" and "connections beyond the limit" in e["text"] for e in events))
    assert out == "hello\n", out


def hello(name, encrypted):
    """The ClientHello of a TLS client for @name, as small as it may be."""
    def extension(number, data):
        return struct.pack("!HH", number, len(data)) + data

    sni = struct.pack("!HBH", len(name) + 3, 0, len(name)) + name.encode()
    extensions = extension(0, sni) + extension(43, b"\x02\x03\x04") + (extension(0xFE0D, b"\0" * 40) if encrypted else b"")
    body = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0" + struct.pack("!H", len(extensions)) + extensions
    handshake = b"\x01" + struct.pack("!I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack("!H", len(handshake)) + handshake


def test_no_name_in_front_of_another(bed, msb):
    """Only good.example is allowed; its address serves others, too. Fronting by every means is refused before a byte gets out."""
    bed.names.table["good.example"] = [netbed.PUBLIC4]
    heard = []

    def server(s, _peer):
        data = s.recv(4096)
        heard.append(data)
        s.sendall(b"answer\n")

    bed.serve(netbed.PUBLIC4, 443, server)
    requests = {
        "host": b"GET / HTTP/1.1\r\nHost: bad.example\r\n\r\n",
        "absolute": b"GET http://bad.example/ HTTP/1.1\r\nHost: good.example\r\n\r\n",
        "twice": b"GET / HTTP/1.1\r\nHost: good.example\r\nHost: bad.example\r\n\r\n",
        "folded": b"GET / HTTP/1.1\r\nHost: good.example\r\n .bad.example\r\n\r\n",
        "bare": b"GET / HTTP/1.1\nHost: bad.example\n\n",
        "early": b"\r\n\r\nGET / HTTP/1.1\r\nHost: bad.example\r\n\r\n",
        "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
        "sni": hello("bad.example", False),
        "ech": hello("good.example", True),
        "opaque": b"SSH-2.0-x\r\n",
    }
    with Inside(bed, msb, "--net-default", "deny", "--net-rule", "allow@good.example", "--net-strict") as inside:
        inside.sh("nslookup good.example")
        for name, data in {**requests, "good": hello("good.example", False)}.items():
            out = inside.sh(f"cat >/tmp/r; nc -w 60 {netbed.PUBLIC4} 443 </tmp/r", stdin=data)
            assert ("answer" in out) == (name == "good"), (name, out)
        told = inside.told()
    assert heard == [hello("good.example", False)]
    assert sum("denied" in line for line in told) >= len(requests), told
