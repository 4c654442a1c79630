# SPDX-License-Identifier: Apache-2.0
"""config.json: option over variable over file over what is built in, and msb config show."""

import json
import subprocess

import pytest

from test_life import life, ok  # noqa: F401 (life is a fixture)


def write(msb, **config):
    msb.home.mkdir(exist_ok=True)
    (msb.home / "config.json").write_text(json.dumps(config))


def shown(msb, **env):
    r = msb("config", "show", "--format", "json", env=env)
    assert r.returncode == 0, r.stderr
    return {k: (v["value"], v["origin"]) for k, v in json.loads(r.stdout).items()}


def test_show_and_origins(cli):
    file = f"file {cli.home}/config.json"
    got = shown(cli)
    assert got["home"] == (str(cli.home), "environment MSB_HOME")
    assert got["sandbox_defaults.cpus"] == ("1", "default") and got["sandbox_defaults.shell"] == (None, "default")
    write(cli, sandbox_defaults={"cpus": 3, "memory_mib": 1024, "engine": "kvm", "shell": "/bin/ash", "idle_timeout": None},
          registries={"ca_certs": "x.pem", "hosts": {"reg.example:5000": {"insecure": True}}})
    got = shown(cli)
    assert got["sandbox_defaults.cpus"] == ("3", file) and got["sandbox_defaults.memory_mib"] == ("1024", file)
    assert got["sandbox_defaults.engine"] == ("kvm", file) and got["sandbox_defaults.idle_timeout"] == (None, "default")
    assert got["registries.ca_certs"] == ("x.pem", file)
    assert got["deployment_profile"] == ("single-tenant", "default")
    assert got["registries.hosts.reg.example:5000"] == ('{"insecure":true}', file)
    assert shown(cli, MSB_ENGINE="qemu")["sandbox_defaults.engine"] == ("qemu", "environment MSB_ENGINE")
    write(cli)
    assert shown(cli)["sandbox_defaults.cpus"] == ("1", "default")
    write(cli, registries={"hosts": {}}, sandbox_defaults={"cpus": 3})
    lines = cli("config", "show").stdout.decode().splitlines()
    assert lines[0].split() == ["KEY", "VALUE"] and ["sandbox_defaults.cpus", "3"] in [line.split() for line in lines]
    assert ["sandbox_defaults.cpus", "3", "file", f"{cli.home}/config.json"] in [
        line.split() for line in cli("config", "show", "--origin").stdout.decode().splitlines()]


@pytest.mark.parametrize("config,text", [
    ({"sandbox_defaults": {"cpu": 1}}, b"cpu"), ({"sandbox_defaults": {"cpus": 0}}, b"sandbox_defaults.cpus"),
    ({"sandbox_defaults": {"cpus": [1]}}, b"sandbox_defaults.cpus"), ({"sandbox_defaults": []}, b"sandbox_defaults"),
    ({"log_level": "info"}, b"'log_level' is not supported; give --debug"),
    ({"paths": {"cache": "/c"}}, b"'paths' is not supported; set MSB_HOME"),
    ({"home": "/elsewhere"}, b"'home' is not supported; set MSB_HOME"), ({"nonsense": 1}, b"nonsense"),
    ({"deployment_profile": "many"}, b"deployment_profile"), ({"deployment_profile": {}}, b"deployment_profile"),
    ({"sandbox_defaults": {"engine": "warp"}}, b"sandbox_defaults.engine"), ({"sandbox_defaults": {"shell": 5}}, b"a text"),
])
def test_mistakes_are_named(cli, config, text):
    write(cli, **config)
    r = cli.run("--", "true")
    assert r.returncode == 2 and text in r.stderr, r.stderr
    # Commands that make no sandbox do not mind.
    assert cli("ls").returncode == 0


@pytest.mark.parametrize("text", ["{", '{"sandbox_default": {}}', '{"sandbox_defaults": {"cpus": 0}}'])
def test_help_and_what_needs_no_file_work_with_a_broken_one(cli, text):
    cli.home.mkdir()
    (cli.home / "config.json").write_text(text)
    assert cli.run("--", "true").returncode == 2 and cli("create").returncode == 2
    for argv in (["run", "--help"], ["run", "-h"], ["run", "--tree"], ["create", "--help"], ["--help"], ["help"], ["help", "run"],
                 ["--tree"], ["--version"], ["version"], ["completion", "bash"], ["run", "-c", "4", "--help"],
                 ["ls"], ["ps"], ["images"], ["volume", "ls"], ["volume", "create", "v"], ["volume", "rm", "v"], ["snapshot", "ls"],
                 ["registry", "ls"], ["registry", "logout", "ghcr.io"], ["install", "--list"], ["image", "prune", "-y"]):
        r = cli(*argv, stdin=subprocess.DEVNULL, env={"MSB_ENGINE": "nonsense"})
        assert r.returncode == 0 and b"config.json" not in r.stderr, (argv, r.stderr)
    # Of a sandbox that is not there, that is what is said.
    for argv in (["exec", "nobody", "--", "true"], ["start", "nobody"], ["cp", "nobody:/x", "-"], ["modify", "nobody", "-c", "2"]):
        r = cli(*argv, stdin=subprocess.DEVNULL)
        assert r.returncode == 125 and b"no sandbox is named 'nobody'" in r.stderr, (argv, r.stderr)


def test_they_reach_the_sandbox(life):
    write(life, sandbox_defaults={"cpus": 2, "memory_mib": 256, "workdir": "/srv", "shell": "/bin/cat", "root_disk": "64M"})
    ok(life, "create", "--name", "a")
    ok(life, "create", "--name", "b", "-c", "1", "-w", "/tmp")
    assert ok(life, "exec", "a", "--", "sh", "-c", "nproc; pwd").split() == ["2", "/srv"]
    assert ok(life, "exec", "b", "--", "sh", "-c", "nproc; pwd").split() == ["1", "/tmp"]
    assert life("exec", "a", input=b"through cat").stdout == b"through cat"
    spec = json.loads((life.home / "sandboxes/a/spec.json").read_text())
    assert spec["mem_mib"] == 256 and spec["root_disk"]["size"] == 64 << 20
