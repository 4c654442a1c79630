# SPDX-License-Identifier: Apache-2.0
"""msb install: commands of the host that run images."""

import json
import os
import subprocess

import pytest

from conftest import LIMIT
from test_image_config import ENTRY, image, registry  # noqa: F401 (fixtures)
from test_life import life, listed, ok  # noqa: F401 (life is a fixture)


def command(msb, name, *argv, **kwargs):
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    if "input" in kwargs:
        kwargs.pop("stdin")
    env = {k: v for k, v in msb.env.items() if k != "MSB_HOME"}
    return subprocess.run([str(msb.home / "bin" / name), *argv], env=env, capture_output=True, timeout=LIMIT, check=False, **kwargs)


def test_a_command_with_its_arguments(life, tmp_path):
    ok(life, "install", "--tmp", "--name", "hello", "-m", "128M", "-e", "WHO=it's me", "-v", ".:/w", "-w", "/w", "base",
       "--", "sh", "-c", 'cat "$1" -; echo "$WHO|$2"', "sh")
    (tmp_path / "f").write_text("from here\n")
    r = command(life, "hello", "f", "a 'b' $HOME *", input=b"and stdin\n", cwd=tmp_path)
    assert (r.returncode, r.stdout.decode()) == (0, "from here\nand stdin\nit's me|a 'b' $HOME *\n"), r.stderr
    assert life.sandboxes() == []
    assert command(life, "hello", "/nothing").returncode == 0
    ok(life, "uninstall", "hello")
    assert not (life.home / "bin/hello").exists()


def test_a_command_keeps_its_sandbox(life):
    r = life("install", "--name", "count", "base", "--", "sh", "-c", "echo x >>/root/n; wc -l </root/n; exit 3")
    assert r.returncode == 0 and b"is not in PATH" in r.stderr
    for n in (1, 2):
        r = command(life, "count")
        assert (r.returncode, r.stdout.decode().strip()) == (3, str(n)), r.stderr
    assert listed(life)["count"]["status"] == "Stopped"


@pytest.mark.parametrize("config,argv,out", [
    (ENTRY, [], "entry cmd two words\n"), (ENTRY, ["mine"], "entry mine\n"),
    ({"Cmd": ["echo", "cmd"]}, [], "cmd\n"), ({"Cmd": ["echo", "cmd"]}, ["mine"], "cmd mine\n"),
])
def test_what_the_image_runs(life, image, config, argv, out):
    ok(life, "install", "-q", "--tmp", image(**config))
    r = command(life, "tiny", *argv)
    assert (r.returncode, r.stdout.decode()) == (0, out), r.stderr


def test_the_list_and_what_is_not_ours(cli):
    assert b"No commands" in cli("install", "--list").stderr
    assert cli("install", "--list", "--format", "json").stdout == b"[]\n"
    assert cli("install", "--name", "b", "base", "--", "echo", "a b").returncode == 0
    assert cli("install", "--tmp", "--name", "a", "base", "--", "true").returncode == 0
    (cli.home / "bin/mine").write_text("#!/bin/sh\n")
    (cli.home / "bin/link").symlink_to("a")
    assert json.loads(cli("install", "--list", "--format", "json").stdout) == [
        {"name": "a", "image": "base", "mode": "tmp", "command": ["true"]},
        {"name": "b", "image": "base", "mode": "persisted", "command": ["echo", "a b"]}]
    assert cli("install", "--list").stdout.decode().split("\n")[2].split() == ["b", "base", "persisted", "echo", "a", "b"]
    r = cli("install", "--name", "a", "base")
    assert r.returncode == 125 and b"--force" in r.stderr
    assert cli("install", "--force", "--name", "a", "base", "--", "false").returncode == 0
    for argv in (["install", "--force", "--name", "mine", "base"], ["uninstall", "mine"], ["uninstall", "link"]):
        r = cli(*argv)
        assert r.returncode == 125 and b"was not made by msb install" in r.stderr, r.stderr
    r = cli("uninstall", "nobody", "a", "b")
    assert r.returncode == 125 and b"no command 'nobody'" in r.stderr
    assert sorted(os.listdir(cli.home / "bin")) == ["link", "mine"]
    for argv in (["install"], ["install", "--name", "msb", "base"], ["install", "--name", "../x", "base"],
                 ["install", "-c", "0", "base"], ["uninstall", "../a"]):
        assert cli(*argv).returncode == 2, argv
