# SPDX-License-Identifier: Apache-2.0
"""Mistakes of users: one clear line on stderr, nothing on stdout, the right exit status. No machine is started."""

import json
import os
import re
import shutil
import subprocess

import pytest

from conftest import MSB, ROOT

USAGE, FAILED = 2, 125


@pytest.mark.parametrize("argv,status,text", [
    (["rnu"], USAGE, "unknown command 'rnu'; did you mean 'msb run'?"),
    (["run", "-m", "0"], USAGE, "option --memory: '0' is out of range; choose 64M to 1024G"),
    (["run", "-m", "lots"], USAGE, "option --memory: 'lots' is not a size; write MiB or a unit, for example 512M or 2G"),
    (["run", "-m"], USAGE, "option --memory needs a value (SIZE); see 'msb run --help'"),
    (["run", "-c", "999"], USAGE, "option --cpus: '999' is out of range; choose 1 to 64"),
    (["run", "-c", "0"], USAGE, "option --cpus: '0' is out of range; choose 1 to 64"),
    (["run", "-c", "1.5"], USAGE, "option --cpus: '1.5' is not a whole number"),
    (["run", "--memroy", "1G"], USAGE, "unknown option '--memroy'; did you mean --memory?"),
    (["run", "--timout=3"], USAGE, "unknown option '--timout'; did you mean --timeout?"),
    (["run", "-z"], USAGE, "unknown option '-z'; see 'msb run --help'"),
    (["run", "--quiet=yes"], USAGE, "option --quiet takes no value; see 'msb run --help'"),
    (["run", "--engine", "xen"], USAGE, "option --engine: 'xen' is not one of auto, kvm or qemu"),
    (["run", "--rlimit", "nofile"], USAGE,
     "option --rlimit: '=' is missing; write NAME=SOFT[:HARD], e.g. nofile=1024:2048"),
    (["run", "--rlimit", "nofiel=1"], USAGE, "option --rlimit: unknown resource 'nofiel'; did you mean nofile?"),
    (["run", "--rlimit", "nofile=2:1"], USAGE, "option --rlimit: the soft limit is above the hard limit"),
    (["run", "--tmpfs", "tmp"], USAGE, "option --tmpfs: 'tmp' is not an absolute path below /"),
    (["run", "--tmpfs", "/a:12x"], USAGE,
     "option --tmpfs: '12x' is not a size; write PATH[:SIZE][:OPTION,...], e.g. /scratch:100M"),
    (["run", "--timeout", "soon"], USAGE,
     "option --timeout: 'soon' is not a duration; write seconds or a unit, for example 500ms, 30s, 5m or 1h"),
    (["run", "--timeout", "0"], USAGE, "option --timeout: '0' is out of range"),
    (["run", "-t", "--no-tty"], USAGE, "options --tty and --no-tty exclude each other"),
    (["run", "-w", "here"], USAGE, "option --workdir: 'here' is not an absolute path"),
    (["run", "-e", "NOT_SET_ANYWHERE"], USAGE,
     "option --env: 'NOT_SET_ANYWHERE' is not set here; write -e NOT_SET_ANYWHERE=VALUE or export it"),
    (["run", "-e", "=x"], USAGE, "option --env: the name of the variable is missing"),
    (["run", "--env-file", "/missing"], FAILED, "cannot open '/missing': No such file or directory"),
    (["run", "--env-file", "/proc/version"], USAGE, "'/proc/version', line 1: the name of the variable contains a space"),
    (["run", "-H", "x" * 65], USAGE, None),
    (["run", "-H", "two words"], USAGE, None),
    (["run", "--name", ""], USAGE, None),
    (["run", "--volume", "x"], USAGE, None),
    (["run", "./missing.img"], FAILED, "cannot open image './missing.img': No such file or directory"),
    (["run", "missing.img"], FAILED, "cannot open image 'missing.img': No such file or directory"),
    (["run", "/dev/null"], USAGE, "image '/dev/null' is neither a directory nor a disk image"),
    (["run", "--pull", "never", "python:3.12"], FAILED,
     "image 'python:3.12' is not here; get it with 'msb pull python:3.12'"),
    (["run", "--pull", "never", "ghcr.io/some/image"], FAILED,
     "image 'ghcr.io/some/image' is not here; get it with 'msb pull ghcr.io/some/image'"),
    (["run", "--pull", "sometimes", "alpine"], USAGE, "option --pull: 'sometimes' is not one of always, if-missing, never or missing"),
    (["run", "--kernel", "/missing", "--", "true"], FAILED, "cannot read kernel '/missing': No such file or directory"),
    (["snapshot", "create", "x", "--from", "a", "--resumable"], USAGE,
     "--resumable: a snapshot holds the disk, not memory and processes; leave it out: what begins from the snapshot boots"),
    (["snapshot", "save", "x", "f", "--with-image"], USAGE,
     "--with-image: the archive of a snapshot holds no image; save that beside it: msb save IMAGE -o FILE"),
    (["snapshot", "save", "x", "f", "--with-parents"], USAGE,
     "--with-parents: every snapshot is whole and needs no parent; save those that you want to keep one by one"),
    (["doctor", "--format", "xml"], USAGE, "option --format: 'xml' is not one of text or json"),
    (["doctor", "now"], USAGE, "unexpected argument 'now'; see 'msb doctor --help'"),
    (["completion"], USAGE, "SHELL is missing; see 'msb completion --help'"),
])
def test_mistake(cli, argv, status, text):
    r = cli(*argv, stdin=subprocess.DEVNULL)
    assert r.stdout == b""
    lines = r.stderr.decode().splitlines()
    assert len(lines) == 1 and lines[0].startswith("msb: "), lines
    if text:
        assert lines[0] == "msb: " + text
    assert r.returncode == status


def test_environment_is_checked_like_options(cli):
    r = cli.run("--", "true", env={"MSB_ENGINE": "xen"})
    assert r.returncode == USAGE
    assert r.stderr == b"msb: environment variable MSB_ENGINE: 'xen' is not one of auto, kvm or qemu\n"


def test_escape_sequences_are_not_replayed(cli):
    r = cli.run("\x1b[31mred")
    assert r.returncode == USAGE and b"\x1b" not in r.stderr and b"\\x1b[31mred" in r.stderr


@pytest.mark.parametrize("missing,text", [
    ("base.erofs", b"base.erofs: No such file or directory; the installation is incomplete: 'msb doctor'"),
    ("msb-sandbox", b"msb-sandbox: No such file or directory; the installation is incomplete"),
])
def test_incomplete_installation(cli, tmp_path, missing, text):
    lib = tmp_path / "lib"
    lib.mkdir()
    for name in ("base.erofs", "msb-sandbox"):
        if name != missing:
            (lib / name).write_bytes(b"")
            (lib / name).chmod(0o755)
    r = cli.run("--", "true", env={"MSB_LIB": str(lib)})
    assert r.returncode == FAILED and text in r.stderr and r.stderr.count(b"\n") == 1


def test_no_home(cli):
    env = {k: v for k, v in cli.env.items() if k not in ("HOME", "MSB_HOME")}
    r = subprocess.run([MSB, "run", "--", "true"], env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert r.returncode == FAILED
    assert r.stderr == b"msb: no place for state: HOME is not set; set MSB_HOME to a directory\n"


def test_home_not_writable(cli):
    # A place where nobody can make a directory, root included.
    r = cli.run("--", "true", env={"MSB_HOME": "/sys/kernel/locked/home"})
    assert r.returncode == FAILED and b"locked" in r.stderr and r.stderr.count(b"\n") == 1


def test_help_and_version(cli):
    assert cli().stdout == cli("--help").stdout == cli("help").stdout
    assert cli("run", "--help").stdout.startswith(b"Run a command in a new sandbox\n\nUsage: msb run ")
    assert cli("--version").stdout.decode().split()[0] == "msb"
    for argv in ([], ["run"], ["doctor"], ["completion"], ["pull"], ["image"], ["image", "ls"], ["image", "prune"], ["registry"],
                 ["registry", "login"]):
        r = cli(*argv, "--help")
        assert r.returncode == 0 and r.stderr == b""
        assert all(len(line) <= 80 for line in r.stdout.decode().splitlines())


def test_the_readme_names_every_command(cli):
    readme = (ROOT / "README.md").read_text().splitlines()
    commands = re.findall(r"^  ([a-z]+)(?: ([a-z]+))?  +[A-Z]", cli("--help").stdout.decode(), re.M)
    assert ("run", "") in commands and ("net", "explain") in commands
    for command, word in commands:
        lines = [line for line in readme if f"msb {command}" in line or (word and f"; {command} " in line)]
        if (command, word) not in (("version", ""), ("help", "")):
            assert any(re.search(rf"\b{word or command}\b", line) for line in lines), f"msb {command} {word}"
    # And nothing that is not there.
    known = {c for pair in commands for c in pair}
    for line in readme:
        if line.startswith("msb "):
            assert line.split()[1] in known | {"images"} or line.split()[1].startswith("-"), line


def test_options_of_run_do_not_reach_into_the_command(cli):
    r = cli.run("--pull", "never", "nosuchimage", "ls", "--frobnicate")
    assert b"nosuchimage" in r.stderr and b"frobnicate" not in r.stderr


def test_doctor_report(cli):
    r = cli("doctor", "--format", "json")
    report = json.loads(r.stdout)
    assert r.returncode == (0 if report["ok"] else 1) and r.stderr == b""
    ids = [c["id"] for c in report["checks"]]
    for wanted in ("kvm", "qemu", "vmlinux", "initramfs.cpio", "base.erofs", "msb-vmm", "msb-sandbox", "msb-pull",
                   "msb-layer", "home", "disk", "config",
                   "landlock", "userns", "cgroup"):
        assert wanted in ids
    for check in report["checks"]:
        assert check["status"] in ("ok", "warning", "failed") and check["detail"]
        assert check["status"] == "ok" or check["hint"], f"{check['id']} does not say how to fix it"
    plain = cli("doctor").stdout.decode()
    assert all(i in plain for i in ids) and "\x1b" not in plain


def test_doctor_reads_the_configuration(cli, home):
    home.mkdir()
    (home / "config.json").write_text('{"registries": {"host": {}}}')
    r = cli("doctor")
    text = r.stdout.decode()
    assert r.returncode == 1 and "config.json: registries: " in text and "fix: correct the file" in text


def test_doctor_misses_an_installation(cli, tmp_path):
    r = cli("doctor", env={"MSB_LIB": str(tmp_path)})
    assert r.returncode == 1
    text = r.stdout.decode()
    assert "failed   vmlinux" in text and "fix: install msb again" in text


# What the shells make of the completions.

def bash_completes(cli, *words):
    script = ("source <(\"$0\" completion bash); COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); compopt() { :; }; _msb; "
              "printf '%s\\n' \"${COMPREPLY[@]}\"")
    r = subprocess.run(["bash", "-c", script, MSB, *words], capture_output=True, text=True, env=cli.env, check=True)
    return r.stdout.split()


def test_bash_completion(cli, tmp_path):
    assert "run" in bash_completes(cli, "msb", "")
    assert bash_completes(cli, "msb", "doc") == ["doctor"]
    assert bash_completes(cli, "msb", "run", "--mem") == ["--memory"]
    assert bash_completes(cli, "msb", "run", "--engine", "k") == ["kvm"]
    assert bash_completes(cli, "msb", "run", "--engine", "=", "q") == ["qemu"]
    assert bash_completes(cli, "msb", "completion", "f") == ["fish"]
    assert bash_completes(cli, "msb", "run", "--", "--mem") == []
    assert bash_completes(cli, "msb", "ima") == ["image"]
    assert bash_completes(cli, "msb", "image", "in") == ["inspect"]
    assert bash_completes(cli, "msb", "image", "ls", "--for") == ["--format"]
    assert bash_completes(cli, "msb", "images", "--format", "j") == ["json"]


@pytest.mark.parametrize("shell,check", [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "-n"])])
def test_completion_is_valid_shell(cli, tmp_path, shell, check):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_bytes(cli("completion", shell).stdout)
    r = subprocess.run([*check, str(script)], capture_output=True, text=True, check=False)
    assert r.returncode == 0 and r.stderr == ""


def test_fish_completion(cli, tmp_path):
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    script = tmp_path / "msb.fish"
    script.write_bytes(cli("completion", "fish").stdout)
    r = subprocess.run(["fish", "-c", f"source {script}; complete -C 'msb run --eng'; complete -C 'msb run --engine k'; "
                        "complete -C 'msb image ins'; complete -C 'msb image ls --for'; complete -C 'msb regis'"],
                       capture_output=True, text=True, env={**cli.env, "XDG_CONFIG_HOME": str(tmp_path)}, check=True)
    assert [line.split("\t")[0] for line in r.stdout.splitlines()] == ["--engine", "kvm", "inspect", "--format", "registry"]


@pytest.mark.parametrize("page", ["", "run", "doctor", "completion", "pull", "image ls", "image inspect", "image rm", "image prune",
                                  "registry login", "registry logout", "registry ls"])
def test_man_pages_are_clean(cli, tmp_path, page):
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    source = tmp_path / "page.1"
    source.write_bytes(cli("__man", *page.split()).stdout)
    r = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(source)], capture_output=True, text=True, check=False)
    # The date is left out on purpose: it would make two builds of one source differ.
    assert [line for line in r.stdout.splitlines() if "missing date" not in line] == []
