# SPDX-License-Identifier: Apache-2.0
"""Attacks on the network from inside: what must not get out does not, is told, and the rest goes on working."""

import struct
import subprocess
import sys

import pytest

from conftest import BUILD, LIMIT, MSB, ROOT

sys.path.insert(0, str(ROOT / "tests/lib"))
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


def test_names_do_not_lead_inside(bed, msb):
    """A name whose answer changes, one that is another name of a private host; the forwarder's answers are what counts."""
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
    assert out == "1000 refused\nhello\n", out
    assert heard == [b"0123456789", b"abcdefghij"]
    assert len(public) == 1 and not private
    assert any("(private): denied" in line for line in told) and len(told) < LOG_LIMIT, len(told)


def test_a_flood_to_a_peer_that_answers(bed, msb):
    """Handshakes that are never finished hold no more than their share, and give way."""
    bed.serve(netbed.PUBLIC4, 80, page)
    with Inside(bed, msb, "-v", f"{ATTACK.parent}:/x:ro") as inside:
        out = inside.sh(f"ping -c 1 -w 60 172.16.0.1 >/dev/null; /x/net-attack flood {netbed.PUBLIC4} 80 && "
                        f"for i in $(seq 60); do wget -qO- http://{netbed.PUBLIC4}/ 2>/dev/null && break; sleep 1; done")
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
