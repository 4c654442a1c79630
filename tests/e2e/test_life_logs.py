# SPDX-License-Identifier: Apache-2.0
"""msb logs over the pieces of a log that goes round, and on a terminal."""

import json
import subprocess
import threading

import pytest

from conftest import LIMIT, MSB
from test_life import life, ok  # noqa: F401 (life is a fixture)
from test_life_detach import Terminal


@pytest.fixture
def box(life):
    ok(life, "create", "-q", "--name", "box")
    return life


def entry(second, text, source="stdout", id=1):
    return json.dumps({"t": f"2026-01-01T00:00:{second:02}.000Z", "s": source, "d": text, "id": id}) + "\n"


def test_options_across_pieces(box):
    """The four files of a log that has gone round: the oldest is neither the first nor the last."""
    ok(box, "stop", "-q", "box")
    place = box.home / "sandboxes/box"
    files = {7: [entry(30, "seven a\nsev"), entry(31, "other\n", id=2), entry(32, "en b\n")],
             4: [entry(1, "four a\n"), entry(2, "four b\nlong li")],
             5: [entry(10, "ne over files\nfive a\n"), entry(11, "to stderr\n", "stderr")],
             6: [entry(20, "six a\n"), "what is no entry\n", entry(21, "six b\n"), entry(22, "told\n", "system", 0)]}
    for old in place.glob("exec-*.log"):
        old.unlink()
    for number, (seq, lines) in enumerate(files.items()):
        (place / f"exec-{number}.log").write_text(f'{{"seq":{seq}}}\n' + "".join(lines))

    def logs(*argv):
        return ok(box, "logs", *argv, "box")

    # As it came; pieces are not lines.
    everything = "four a\nfour b\nlong line over files\nfive a\nto stderr\nsix a\nsix b\nseven a\nsevother\nen b\n"
    assert logs() == everything
    assert logs("--tail", "3") == "seven a\nsevother\nen b\n" and logs("--tail", "0") == "" and logs("--tail", "100") == everything
    assert logs("--tail", "4", "--source", "stdout,system") == "told\nseven a\nsevother\nen b\n"
    # Lines are what is picked: over pieces, over files, and of one command each.
    assert logs("--grep", "^long line over files$") == "long line over files\n"
    assert logs("--grep", "seven") == "seven a\nseven b\n" and logs("--grep", "^other$") == "other\n"
    # Records, as they are kept, of the same lines.
    def records(*argv):
        return [json.loads(line)["d"] for line in logs("--json", *argv).splitlines()]

    assert records("--grep", "^long line over files$") == ["four b\nlong li", "ne over files\nfive a\n"]
    assert records("--grep", "seven") == ["seven a\nsev", "en b\n"] and records("--grep", "^other$") == ["other\n"]
    assert records("--grep", "^seven b$") == ["seven a\nsev", "en b\n"] and records("--grep", "^seven a$") == ["seven a\nsev"]
    assert records("--grep", "^(sev|en b|long li)$") == [] and records("--grep", "four|five") == [
        "four a\n", "four b\nlong li", "ne over files\nfive a\n"]
    assert logs("--grep", " a$", "--tail", "2") == "six a\nseven a\n" and logs("--grep", "nothing") == ""
    assert logs("--grep", "(five|to) [as]", "--source", "stderr") == "to stderr\n"
    # From, and up to but not including.
    assert logs("--since", "2026-01-01T00:00:11Z", "--until", "2026-01-01T00:00:21Z") == "to stderr\nsix a\n"
    assert logs("--since", "2026-01-01T00:00:31.500Z") == "en b\n" and logs("--until", "2026-01-01T00:00:02Z") == "four a\n"
    assert logs("--since", "2026-01-01T02:00:31.5+02:00") == "en b\n" and logs("--until", "2025-12-31T19:00:02-0500") == "four a\n"
    assert logs("--since", "2026-01-01T00:00:32") == "en b\n"
    for wrong in ("2026-01-01T00:00", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00+2", "2026-01-01T00:00:00Zx", "yesterday"):
        assert box("logs", "--since", wrong, "box").returncode == 2
    assert logs("--since", "1h") == "" and logs("--until", "1h") == everything
    assert logs("--since", "2026-01-01T00:00:20Z", "--grep", " b$", "--tail", "1") == "seven b\n"
    assert logs("--timestamps", "--show-id", "--tail", "2", "--grep", "o") == (
        "2026-01-01T00:00:11.000Z [id:1] to stderr\n2026-01-01T00:00:31.000Z [id:2] other\n")
    assert [json.loads(line)["t"][17:19] for line in logs("--json", "--source", "system,stderr").splitlines()] == ["11", "22"]
    assert logs("-f") == everything  # it has ended already
    # Colors: what stands in front, on a terminal or when asked for.
    colored = "\x1b[33m[id:2]\x1b[0m other\n"
    assert logs("--show-id", "--grep", "^other$", "--color", "always") == colored
    assert logs("--show-id", "--grep", "^other$", "--color", "auto") == "[id:2] other\n"
    assert logs("--grep", "^other$", "--color", "always") == "other\n"
    for argv, env, want in (((), {}, colored), (("--color", "never"), {}, "[id:2] other\n"), ((), {"NO_COLOR": "1"}, "[id:2] other\n")):
        saved = box.env
        box.env = {**{k: v for k, v in saved.items() if k != "NO_COLOR"}, **env}
        t = Terminal(box, "logs", "--show-id", "--grep", "^other$", *argv, "box")
        box.env = saved
        t.read_until(b"other\r\n")
        assert t.text.decode().replace("\r\n", "\n") == want and t.wait() == 0


def test_follow_while_it_goes_round(box):
    """More than two files of it, and nothing is missing: one reader from the beginning, one that joins."""
    lines = 330_000
    whole = "".join(f"line {n:08} of what is printed, as it should be there, every one of them\n" for n in range(lines)).encode()
    p = subprocess.Popen([MSB, "logs", "-f", "box"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=box.env)
    q = subprocess.Popen([MSB, "logs", "-f", "--grep", "99999 ", "box"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=box.env)
    got = {}
    readers = [threading.Thread(target=lambda k=k, f=f: got.update({k: f.stdout.read()})) for k, f in (("all", p), ("some", q))]
    try:
        for r in readers:
            r.start()
        out = box("exec", "-q", "box", "--", "cat", input=whole)
        assert out.returncode == 0 and out.stdout == whole
        ok(box, "stop", "-q", "box")
        for r in readers:
            r.join(LIMIT)
        assert p.wait(LIMIT) == 0 and q.wait(LIMIT) == 0
    finally:
        for f in (p, q):
            f.kill()
            f.wait()
            f.stdout.close()
    assert got["all"] == whole
    assert [line[5:13] for line in got["some"].decode().splitlines()] == ["00099999", "00199999", "00299999"]
    written = [json.loads(f.read_text().split("\n", 1)[0])["seq"] for f in (box.home / "sandboxes/box").glob("exec-*.log") if f.stat().st_size]
    assert max(written) >= 3
