# SPDX-License-Identifier: Apache-2.0
"""msb top: the processes in a sandbox, of any image."""

import json

from test_life import life, ok  # noqa: F401 (life is a fixture)


def test_top(life):
    ok(life, "create", "--name", "dev")
    ok(life, "exec", "-d", "-u", "nobody", "dev", "--", "sleep", "1234")
    found = json.loads(ok(life, "top", "dev", "--format", "json"))
    by_command = {p["command"]: p for p in found}
    nobody = by_command["sleep 1234"]
    # It has just begun, and may be on its way to sleep.
    assert nobody["uid"] == 65534 and nobody["state"] in "SRD" and nobody["threads"] == 1 and nobody["memory_bytes"] > 0
    agent = next(p for p in found if p["pid"] == 1)
    assert nobody["ppid"] == 1 and agent["ppid"] == 0 and agent["uid"] == 0 and nobody["cpu_ms"] >= 0
    assert not [p for p in found if p["command"].startswith("[")]
    assert [p["pid"] for p in found] == sorted(p["pid"] for p in found)
    everything = json.loads(ok(life, "top", "-a", "dev", "--format", "json"))
    assert "[kthreadd]" in {p["command"] for p in everything} and len(everything) > len(found)
    lines = ok(life, "top", "dev").splitlines()
    assert lines[0].split() == ["PID", "PPID", "USER", "STATE", "CPU", "MEMORY", "COMMAND"] and len(lines) == len(found) + 1
    assert any(line.split()[0] == str(nobody["pid"]) and line.endswith("sleep 1234") for line in lines)


def test_what_does_not_run(life):
    r = life("top", "nobody")
    assert r.returncode == 125 and b"no sandbox is named 'nobody'" in r.stderr
    ok(life, "create", "--name", "dev")
    ok(life, "stop", "dev")
    r = life("top", "dev")
    assert r.returncode == 125 and b"'dev'" in r.stderr and b"not running" in r.stderr and r.stdout == b""
    assert json.loads(ok(life, "ls", "--format", "json"))[0]["status"] == "Stopped"
    assert life("top").returncode == 2
