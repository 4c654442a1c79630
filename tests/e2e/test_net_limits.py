# SPDX-License-Identifier: Apache-2.0
"""Limits of a sandbox's network: how fast it sends and receives, and how many connections it has at once."""

import json
import subprocess
import sys
import threading
import time

import pytest

from conftest import LIMIT, MSB, ROOT

sys.path.insert(0, str(ROOT / "tests/lib"))
import netbed  # noqa: E402

pytestmark = pytest.mark.skipif(netbed.possible() is not None, reason=str(netbed.possible()))

RATE = 100 * 1024
AMOUNT = 400 * 1024


@pytest.fixture
def bed():
    b = netbed.Bed()
    yield b
    b.close()


def test_bytes_are_slowed_down_and_none_is_lost(bed, msb):
    """Four times a second's worth takes three seconds more than the first one, each way; the name server is heard meanwhile."""
    times, got = {}, []

    def sink(s, _peer):
        begin, data = time.monotonic(), b""
        while chunk := s.recv(1 << 16):
            data += chunk
        times["up"] = time.monotonic() - begin
        got.append(data)

    def source(s, _peer):
        s.sendall(bytes(AMOUNT))

    bed.names.table["www.example"] = [netbed.PUBLIC4]
    bed.serve(netbed.PUBLIC4, 9, sink)
    bed.serve(netbed.PUBLIC4, 19, source)
    script = (f"head -c {AMOUNT} /dev/zero | nc {netbed.PUBLIC4} 9; "
              f"nc {netbed.PUBLIC4} 19 </dev/null > /tmp/down & nslookup www.example && wait; "
              "wc -c < /tmp/down; cut -d ' ' -f 1 /proc/uptime")
    script = "cut -d ' ' -f 1 /proc/uptime; " + script
    r = subprocess.run([MSB, "run", "--net-egress-bandwidth", str(RATE), "--net-ingress-bandwidth", f"{RATE // 10}/100ms", "--", "sh", "-c", script],
                       stdin=subprocess.DEVNULL, capture_output=True, env=msb.env, timeout=LIMIT, check=False, preexec_fn=bed.preexec)
    assert r.returncode == 0, r
    out = r.stdout.decode().split("\n")
    assert netbed.PUBLIC4 in r.stdout.decode()
    assert out[-3] == str(AMOUNT) and len(got[0]) == AMOUNT
    assert times["up"] >= 2.5
    # Both directions: 3 s for the first, 3.9 s for the second, whose bucket holds a tenth.
    assert float(out[-2]) - float(out[0]) >= 2.5 + 3.5


def test_who_comes_behind_an_upload_need_not_wait_for_its_end(bed, msb):
    """What waits for the limit is little, so another connection gets through while an upload is under way."""
    half, times = threading.Event(), {}

    def sink(s, _peer):
        n = 0
        while chunk := s.recv(1 << 16):
            n += len(chunk)
            if n >= 2 * RATE:  # the bucket is empty
                half.set()
        times["end"] = time.monotonic()

    def tell(s, _peer):
        assert half.wait(LIMIT)
        s.sendall(b"x")

    def late(_s, _peer):
        times["late"] = time.monotonic()

    bed.serve(netbed.PUBLIC4, 9, sink)
    bed.serve(netbed.PUBLIC4, 19, tell)
    bed.serve(netbed.PUBLIC4, 29, late)
    script = (f"nc {netbed.PUBLIC4} 19 </dev/null >/tmp/go & go=$!; head -c {2 * AMOUNT} /dev/zero | nc {netbed.PUBLIC4} 9 & "
              f"wait $go; nc {netbed.PUBLIC4} 29 </dev/null; wait; cat /tmp/go")
    r = subprocess.run([MSB, "run", "--net-egress-bandwidth", str(RATE), "--", "sh", "-c", script],
                       stdin=subprocess.DEVNULL, capture_output=True, env=msb.env, timeout=LIMIT, check=False, preexec_fn=bed.preexec)
    assert r.returncode == 0 and r.stdout == b"x", r
    # 600 KiB were still to come: six seconds, of which a busy machine may miss some.
    assert times["end"] - times["late"] > 1, times


def test_one_connection_more_is_refused(bed, msb):
    """--max-connections 3: the fourth at once is refused, and one that ends makes room."""
    held = []

    def hold(s, _peer):
        s.sendall(b"x")
        held.append(s)
        s.recv(1)

    bed.serve(netbed.PUBLIC4, 80, hold)
    script = (f"for i in 1 2 3; do tail -f /dev/null | nc {netbed.PUBLIC4} 80 > /tmp/out$i & last=$!; done; "
              "for i in 1 2 3; do until [ -s /tmp/out$i ]; do sleep 0.1; done; done; "
              f"nc -w 60 {netbed.PUBLIC4} 80 </dev/null 2>&1; kill $last; "
              f"until nc -w 60 {netbed.PUBLIC4} 80 </dev/null 2>/dev/null; do sleep 0.1; done")
    r = subprocess.run([MSB, "run", "--max-connections", "3", "--", "sh", "-c", script],
                       stdin=subprocess.DEVNULL, capture_output=True, env=msb.env, timeout=LIMIT, check=False, preexec_fn=bed.preexec)
    out = r.stdout.decode()
    assert r.returncode == 0 and "Connection refused" in out and out.endswith("x"), r
    assert len(held) == 4


def test_limits_are_kept_with_the_sandbox(msb):
    r = msb("create", "--name", "dev", "--net-egress-bandwidth", "1M/100ms", "--net-egress-bandwidth-burst", "2M", "--net-ingress-ops", "50")
    try:
        assert r.returncode == 0, r
        spec = json.loads((msb.home / "sandboxes/dev/spec.json").read_text())
        assert spec["network"]["limits"] == {
            "egress": {"bytes": {"size": 1 << 20, "window_ns": 100000000, "burst": 2 << 20}},
            "ingress": {"packets": {"size": 50, "window_ns": 1000000000, "burst": 0}}}
    finally:
        msb("rm", "-f", "dev")
    r = msb.run("--net-egress-ops-burst", "5", "--", "true")
    assert r.returncode == 2 and b"--net-egress-ops, which is not given" in r.stderr
