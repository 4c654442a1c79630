# SPDX-License-Identifier: Apache-2.0
"""The lines that people know from microsandbox, typed as they are, once per engine, without the Internet.

`python:3.12`, `node:22` and `alpine` come through a mirror of docker.io on this machine. What has a file of tests of its own
stands here once, as it is typed. Not here: lines that need a real site, and `registry login` (test_images.py).
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

import offline
from conftest import LIMIT, MSB, Msb, children, wait_gone
from registry import Hostile, Picture
from test_image_config import layer
from test_life_detach import Terminal

RELEASE = ("etc/os-release", b'NAME="Tiny"\nID=tiny\n')


@pytest.fixture(scope="module")
def place(engine, tmp_path_factory):
    """One state directory for all lines, with a mirror for the names that they use."""
    before = {pid for pid, _ in children()}
    root = tmp_path_factory.mktemp("lines")
    m = Msb(root / "home", engine)
    m.env.update(NO_PROXY="*", DOCKER_CONFIG=str(root / "docker"))
    m.home.mkdir()
    with Hostile() as registry:
        registry.add(Picture([layer([RELEASE])], config={"Env": ["PATH=/bin"]}), "latest")
        try:
            registry.add_archive(offline.image("python"), "3.12")
        except offline.Missing:
            m.python = False
        else:
            m.python = True
        (m.home / "config.json").write_text(json.dumps(
            {"registries": {"hosts": {"docker.io": {"mirrors": [f"http://{registry.host}"]}}}}))
        m.registry = registry
        m.root = root
        yield m
        m("rm", "--force", *m("ls", "-q").stdout.decode().split(), stdin=subprocess.DEVNULL)
    m.close()
    left = wait_gone(before)
    assert not left, f"processes left behind: {left}"
    assert m.sandboxes() == []


@pytest.fixture
def python(place):
    if not place.python:
        pytest.skip("mmdebstrap, umoci or skopeo is missing, which build images")
    return place


def typed(m, line, *last, status=0, cwd=None, **kwargs):
    """The words of @line, and @last as they are; stdout. The words are the line: no shell, no quotes."""
    path = f"{os.path.dirname(os.path.abspath(MSB))}:{m.home}/bin:{os.environ['PATH']}"
    r = subprocess.run([*line.split(), *last], env={**m.env, "PATH": path}, cwd=cwd,
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, check=False, **kwargs)
    assert r.returncode == status, f"{line}: exit status {r.returncode}: {r.stderr.decode(errors='replace')}"
    typed.stderr = r.stderr.decode(errors="replace")
    return r.stdout.decode()


def names(m):
    return m("ls", "-q", stdin=subprocess.DEVNULL).stdout.decode().split()


def header(text):
    return text.splitlines()[0].split()


def test_version(place):
    assert re.fullmatch(r"msb \d+\.\d+\.\d+\n", typed(place, "msb --version"))


def test_one_command_in_a_sandbox_of_its_own(python):
    out = typed(python, "msb run python:3.12 -- python -c", "print('hello from sandbox')")
    assert out == "hello from sandbox\n" and "python:3.12" in typed.stderr
    # What is here is not pulled again; nothing of the sandbox stays.
    python.registry.seen.clear()
    kib = typed(python, "msb run -m 1G python:3.12 -- python -c",
                "import os; print(os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') >> 20)")
    assert 850 < int(kib) <= 1024 and not python.registry.seen
    assert names(python) == [] and python.sandboxes() == []


def test_a_kernel_and_a_system_of_its_own(place):
    out = typed(place, "msb run alpine:latest -- sh -c", "cat /proc/version && cat /etc/os-release")
    assert os.uname().release not in out and "ID=tiny" in out


def test_a_project_of_the_host(python, tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project/script.py").write_text("import sys; print('ran', sys.version_info[0]); open('/app/out', 'w').write('kept')")
    assert typed(python, "msb run -v ./project:/app python:3.12 -- python /app/script.py", cwd=tmp_path) == "ran 3\n"
    assert (tmp_path / "project/out").read_text() == "kept"


@pytest.mark.parametrize("line,last,out", [
    ("msb run -e API_KEY=xxx -w /app -u nobody -H myhost --shell /bin/sh base -- sh -c", "echo $API_KEY; pwd; id -un; hostname",
     "xxx\n/app\nnobody\nmyhost\n"),
    ("msb run --entrypoint /bin/sh alpine -- -c", "echo $0 and $((40 + 2))", "/bin/sh and 42\n"),
    ("msb run --pull always alpine -- echo", "fresh", "fresh\n"),
    ("msb run --max-duration 5m --idle-timeout 30s alpine -- echo", "short", "short\n"),
    ("msb run --tmpfs /tmp:100M base -- sh -c", "df -k /tmp | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2", "102400\n"),
])
def test_options_of_run(place, line, last, out):
    assert typed(place, line, last) == out


def test_no_network(python, tmp_path):
    script = """
import errno, socket, time
start = time.monotonic()
for to in (("1.1.1.1", 443), ("169.254.169.254", 80), ("10.0.0.1", 80)):
    try:
        socket.create_connection(to, timeout=20)
    except OSError as e:
        print(to[0], e.errno == errno.ENETUNREACH)
try:
    socket.getaddrinfo("example.com", 443)
except socket.gaierror:
    print("no names")
print("fast", time.monotonic() - start < 15)
"""
    (tmp_path / "script.py").write_text(script)
    out = typed(python, "msb run --no-network -v ./script.py:/script.py python:3.12 -- python /script.py", cwd=tmp_path)
    assert out.splitlines() == ["1.1.1.1 True", "169.254.169.254 True", "10.0.0.1 True", "no names", "fast True"]


def test_the_life_of_a_sandbox(python):
    typed(python, "msb create --name dev -m 1G -c 2 python:3.12")
    assert typed(python, "msb exec dev -- nproc") == "2\n"
    assert header(typed(python, "msb ls")) == ["NAME", "IMAGE", "STATUS", "CREATED"]
    for line in ("msb ls", "msb ls --running", "msb ps", "msb ps -a", "msb ps dev", "msb metrics", "msb metrics dev", "msb inspect dev"):
        assert "dev" in typed(python, line), line
    assert header(typed(python, "msb ps"))[:6] == ["NAME", "IMAGE", "COMMAND", "CPUS", "MEM", "STATUS"]
    t = Terminal(python, "shell", "dev")
    t.type(b"echo $((6 * 7))' in '$(tty); echo kept >/root/file; exit 7\r")
    t.read_until(b"42 in /dev/pts/")
    assert t.wait() == 7
    typed(python, "msb stop dev")
    assert "dev" not in typed(python, "msb ls --running") and "dev" not in typed(python, "msb ps") and "dev" in typed(python, "msb ps -a")
    typed(python, "msb start dev")
    assert typed(python, "msb exec dev -- cat /root/file") == "kept\n"
    typed(python, "msb stop -t 10 dev")
    typed(python, "msb rm dev")
    assert names(python) == []


def test_a_name_twice_and_rough_ends(place, tmp_path):
    (tmp_path / "setup.sh").write_text("#!/bin/sh\necho set up as $0\n")
    typed(place, "msb create --name box --script setup:./setup.sh alpine", cwd=tmp_path)
    assert typed(place, "msb exec box -- setup") == "set up as /.msb/scripts/setup\n"
    typed(place, "msb exec box -- sh -c", "echo x >/old")
    assert "exists already" in (typed(place, "msb create --name box alpine", status=125), typed.stderr)[1]
    typed(place, "msb create --name box --replace alpine")
    assert typed(place, "msb exec box -- ls", "/").find("old") < 0
    typed(place, "msb stop --force box")
    assert names(place) == ["box"] and "box" not in typed(place, "msb ls --running")
    typed(place, "msb start box")
    typed(place, "msb rm --force box")
    assert names(place) == []


def test_volumes(place):
    assert typed(place, "msb volume create mydata").strip() == "mydata"
    typed(place, "msb run -v mydata:/data alpine -- sh -c", "echo first >/data/file")
    assert typed(place, "msb run -v mydata:/data alpine -- cat /data/file") == "first\n"
    typed(place, "msb volume create x --size 5G")
    assert "mydata" in typed(place, "msb volume ls") and "x" in typed(place, "msb volume ls")
    assert "5 GiB" in typed(place, "msb volume inspect x")
    typed(place, "msb volume rm mydata x")
    assert "mydata" not in typed(place, "msb volume ls")


def test_images(place):
    typed(place, "msb pull alpine")
    for line in ("msb images", "msb image ls", "msb image inspect alpine"):
        assert "alpine" in typed(place, line), line
    typed(place, "msb rmi alpine")
    assert "alpine" not in typed(place, "msb images")
    typed(place, "msb pull alpine:latest")
    typed(place, "msb image rm alpine:latest")
    typed(place, "msb image rm alpine:latest", status=125)


def test_commands_of_images(python):
    typed(python, "msb install --tmp python:3.12")
    assert typed(python, "python -c", "import sys; print(sys.argv[1:])", "a b", "c") == "['a b', 'c']\n"
    typed(python, "msb install --tmp --name py python:3.12")
    listed = typed(python, "msb install --list")
    assert "python" in listed and "py " in listed
    assert typed(python, "py -c", "print(6 * 7)") == "42\n"
    typed(python, "msb uninstall py python")
    assert list((python.home / "bin").iterdir()) == []
