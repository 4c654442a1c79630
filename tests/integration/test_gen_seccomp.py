# SPDX-License-Identifier: Apache-2.0
"""What gen-seccomp.py reads from comments, and what it refuses."""
import re
import subprocess
import sys
from pathlib import Path

GENERATOR = Path(__file__).resolve().parents[2] / "build-aux" / "gen-seccomp.py"


def generate(tmp_path, *sources, libc="musl"):
    paths = []
    for number, text in enumerate(sources):
        path = tmp_path / f"{number}.c"
        path.write_text(text)
        paths.append(str(path))
    out = tmp_path / "out.h"
    run = subprocess.run(
        [sys.executable, str(GENERATOR), "--program", "vmm", "--arch", "x86_64", "--libc", libc, "--output", str(out), *paths],
        capture_output=True, text=True)
    return run, out.read_text() if run.returncode == 0 else ""


def calls(header, thread):
    body = re.search(rf"seccomp_{thread}_calls\[\] = {{(.*?)\n}};", header, re.S)[1]
    return re.findall(r'"(\w+)"', body)


def test_lists_of_all_files_add_up(tmp_path):
    run, header = generate(
        tmp_path,
        "/* #syscalls(vmm:loop): read write */\n",
        "/*\n * #syscalls(vmm:loop): write futex\n *   epoll_ctl\n *\n * Other words.\n */\n/* #syscalls(vmm:vcpu): exit */\n")
    assert run.returncode == 0, run.stderr
    assert calls(header, "loop") == ["read", "write", "futex", "epoll_ctl"]
    assert calls(header, "vcpu") == ["exit"]


def test_other_programs_and_libraries_do_not_count(tmp_path):
    source = "/* #syscalls(vmm:loop): read */\n/* #syscalls(net:loop): socket */\n/* #syscalls(vmm:loop:glibc): rseq */\n"
    assert calls(generate(tmp_path, source)[1], "loop") == ["read"]
    assert calls(generate(tmp_path, source, libc="glibc")[1], "loop") == ["read", "rseq"]


def test_arguments_are_compared(tmp_path):
    header = generate(tmp_path, "/* #syscalls(vmm:loop): tgkill(0=@pid) mmap(2&PROT_EXEC=0) */\n")[1]
    assert "SECCOMP_ARG_LOW(0)" in header and "SECCOMP_PID, 0, 1)" in header
    assert "BPF_ALU | BPF_AND | BPF_K, (uint32_t)PROT_EXEC" in header


def test_without_arguments_wins(tmp_path):
    header = generate(tmp_path, "/* #syscalls(vmm:loop): madvise(2=MADV_DONTNEED) */\n", "/* #syscalls(vmm:loop): madvise */\n")[1]
    assert "SECCOMP_ARG_LOW" not in header


def test_a_list_that_cannot_be_read_fails_the_build(tmp_path):
    for line in ("read, write", "ioctl(KVM_RUN)", "ioctl(7=KVM_RUN)", "Read"):
        run, _ = generate(tmp_path, f"/* #syscalls(vmm:loop): {line} */\n")
        assert run.returncode != 0 and "0.c:1" in run.stderr, line


def test_no_list_at_all_fails_the_build(tmp_path):
    run, _ = generate(tmp_path, "int x;\n")
    assert run.returncode != 0
