# SPDX-License-Identifier: Apache-2.0
"""msb net explain: the policy of a real sandbox, asked without a network."""

import json
import subprocess

import pytest


@pytest.fixture
def box(msb):
    """Makes a sandbox and asks about it; removed at the end."""
    def make(*argv):
        r = msb("create", "--name", "dev", *argv, stdin=subprocess.DEVNULL)
        assert r.returncode == 0, r.stderr.decode(errors="replace")

    def ask(*argv):
        r = msb("net", "explain", "dev", *argv, stdin=subprocess.DEVNULL)
        return r.returncode, r.stdout.decode(), r.stderr.decode()

    yield make, ask
    if "dev" in msb.sandboxes():
        assert msb("rm", "--force", "dev").returncode == 0


def test_every_step_names_its_rule(box):
    make, ask = box
    make("--net-rule", "allow@10.0.0.5:tcp:5432,allow@db.example", "--dns-block-suffix", "ads.example")
    assert ask("https://pypi.example/", "--address", "151.101.0.223") == (
        0, "lookup of pypi.example: allowed by rule 4 'allow@dns'\n"
        "egress tcp 151.101.0.223:443 (public, pypi.example): allowed by rule 5 'allow@public'\n", "")
    assert ask("https://x.ads.example/") == (1, "lookup of x.ads.example: denied by rule 1 'deny@*.ads.example'\n", "")
    assert ask("169.254.169.254:80") == (
        1, "egress tcp 169.254.169.254:80 (meta): denied by default (no rule for egress matches)\n", "")
    assert ask("10.0.0.5:5432")[0] == 0 and ask("10.0.0.5:5433")[0] == 1
    status, out, _ = ask("http://rebound.example/", "--address", "192.168.0.1")
    assert status == 1 and "answer 192.168.0.1 (private): denied, no public name has such an address" in out
    assert ask("[::ffff:10.0.0.9]:80")[0] == 1
    assert ask("http://host.microsandbox.internal:8080/")[0] == 1

    status, out, _ = ask("--format", "json", "db.example:5432", "--address", "93.184.216.34")
    answer = json.loads(out)
    assert status == 0 and answer["allowed"] and answer["lookup"]["rule"] == "allow@db.example"
    assert answer["addresses"][0]["connection"]["rule_number"] == 3

    status, _, err = ask("db.example")
    assert status == 2 and "the port is missing" in err
    status, _, err = ask("nowhere.invalid:80")
    assert status != 0 and "has no address here" in err and "--address" in err


def test_a_sandbox_without_network_is_told_so(box):
    make, ask = box
    make("--no-net")
    status, out, _ = ask("1.1.1.1:443")
    assert status == 1 and "denied by default" in out


def test_there_must_be_a_sandbox(msb):
    r = msb("net", "explain", "nobody", "1.1.1.1:443")
    assert r.returncode == 125 and b"nobody" in r.stderr
