# SPDX-License-Identifier: Apache-2.0
"""msb-layer gives up its rights before it reads a byte of a layer."""

import io
import os
import re
import shutil
import subprocess
import tarfile

import pytest

LAYER = os.environ.get("MSB_LAYER", "build/src/image/msb-layer")


def tar_stream(size):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        info = tarfile.TarInfo("file")
        info.size = size
        t.addfile(info, io.BytesIO(b"x" * size))
    return out.getvalue()


def start(tmp_path, *prefix):
    """The worker with its descriptors, and one that is not its own (9)."""
    fds = {3: os.open(tmp_path / "result", os.O_RDWR | os.O_CREAT),
           4: os.open(tmp_path / "data", os.O_RDWR | os.O_CREAT),
           5: os.open(tmp_path / "index", os.O_RDWR | os.O_CREAT),
           6: os.open(tmp_path / "recipe", os.O_RDWR | os.O_CREAT),
           9: os.open("/etc/passwd", os.O_RDONLY)}
    high = {target: os.dup2(fd, 100 + target) for target, fd in fds.items()}

    def place():
        for target in high:
            os.dup2(100 + target, target)
            os.close(100 + target)

    worker = subprocess.Popen([*prefix, LAYER, "unpack"], stdin=subprocess.PIPE, preexec_fn=place, close_fds=False)
    for target, fd in fds.items():
        os.close(fd)
        os.close(100 + target)
    return worker


def test_rights_of_a_worker_that_reads(tmp_path):
    worker = start(tmp_path)
    stream = tar_stream(4 << 20)
    # More than the pipe and one read hold: when this returns, the worker has begun to read.
    worker.stdin.write(stream[:2 << 20])
    worker.stdin.flush()
    status = dict(re.findall(r"^(\w+):\s*(.*)$", open(f"/proc/{worker.pid}/status").read(), re.M))
    assert status["Seccomp"] == "2"
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapAmb"], 16) == 0
    if os.geteuid() == 0:
        assert status["Uid"].split() == ["65534"] * 4
        assert sorted(int(fd) for fd in os.listdir(f"/proc/{worker.pid}/fd")) == [0, 1, 2, 3, 4, 5, 6]
        assert os.readlink(f"/proc/{worker.pid}/ns/net") != os.readlink("/proc/self/ns/net")
        limits = open(f"/proc/{worker.pid}/limits").read()
        assert re.search(r"Max open files\s+0\s+0", limits)
        for task in os.listdir(f"/proc/{worker.pid}/task"):
            assert "Seccomp:\t2\n" in open(f"/proc/{worker.pid}/task/{task}/status").read(), "every thread"
    worker.stdin.write(stream[2 << 20:])
    worker.stdin.close()
    assert worker.wait() == 0


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing")
def test_the_filter_comes_before_the_first_byte(tmp_path):
    log = tmp_path / "strace"
    worker = start(tmp_path, "strace", "-f", "-o", str(log), "-e", "trace=read,seccomp")
    worker.communicate(tar_stream(1 << 20))
    if worker.returncode != 0 and "EPERM" in log.read_text():
        pytest.skip("this host does not let strace trace")
    assert worker.returncode == 0
    calls = log.read_text()
    assert calls.index("seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC") < calls.index("read(0, ")


def test_unknown_jobs_are_refused():
    for argv in ([LAYER], [LAYER, "steal"], [LAYER, "unpack", "more"]):
        assert subprocess.run(argv, check=False).returncode == 2
