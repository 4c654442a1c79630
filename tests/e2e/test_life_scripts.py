# SPDX-License-Identifier: Apache-2.0
"""--script: files of the host and lines, on the guest's PATH, in every run of a sandbox."""

import os

from test_life import life, ok  # noqa: F401 (life is a fixture)


def test_a_file_a_line_and_raw_text(life, tmp_path):
    (tmp_path / "setup.sh").write_text("#!/bin/sh\necho \"set up $*\"\n")
    big = "#!/bin/sh\necho big\n" + "# \u00e4 line that fills\n" * 8000
    (tmp_path / "big.sh").write_text(big)
    ok(life, "create", "--name", "dev", "--script", f"setup:{tmp_path / 'setup.sh'}", "--script", r"two=echo 1\necho '$#'",
       "--script-raw", "raw=#!/bin/cat\nas it is\n", "--script-path", f"big:{tmp_path / 'big.sh'}", "--script", "ls=echo mine")
    # Once it is made it stands for itself.
    os.unlink(tmp_path / "setup.sh")
    for _ in range(2):
        assert ok(life, "exec", "dev", "--", "setup", "a", "b") == "set up a b\n"
        assert ok(life, "exec", "dev", "--", "two") == "1\n$#\n"
        assert ok(life, "exec", "dev", "--", "raw") == "#!/bin/cat\nas it is\n"
        assert ok(life, "exec", "dev", "--", "big") == "big\n"
        assert ok(life, "exec", "dev", "--", "cat", "/.msb/scripts/big") == big
        assert ok(life, "exec", "-u", "nobody", "dev", "--", "ls") == "mine\n"
        assert ok(life, "exec", "dev", "--", "stat", "-c", "%a %u", "/.msb/scripts/setup") == "755 0\n"
        # Whatever is done to them in there.
        ok(life, "exec", "dev", "--", "rm", "-rf", "/.msb")
        ok(life, "restart", "dev")


def test_they_are_there_for_the_first_command(msb):
    assert msb.out("--script", "hi=echo hello $1", "--", "hi", "you") == "hello you\n"
    assert msb.out("--script", "hi=import sys", "--shell", "cat", "--", "cat", "/.msb/scripts/hi") == "#!/usr/bin/env cat\nimport sys\n"
    assert msb.out("--script", "hi=echo hello", "-e", "PATH=/bin", "--", "sh", "-c", "hi; echo $PATH") == "hello\n/.msb/scripts:/bin\n"
    assert "/.msb" not in msb.out("--", "sh", "-c", "echo $PATH; ls -d /.msb 2>&1 || true").split("\n")[0]


def test_what_is_wrong_with_one(cli, tmp_path):
    (tmp_path / "f").write_bytes(b"\xff\n")
    for argv, text in ((["--script", "a"], b"'=' is missing"), (["--script", "a:/nothing"], b"No such file"),
                       (["--script", "a/b=x"], b"no name for a script"), (["--script", "a=x", "--script-raw", "a=y"], b"given twice"),
                       (["--script-path", f"a:{tmp_path / 'f'}"], b"no UTF-8 text")):
        r = cli.run(*argv, "--", "true")
        assert r.returncode == 2 if b"No such" not in text else r.returncode in (2, 125), r.stderr
        assert text in r.stderr, r.stderr
