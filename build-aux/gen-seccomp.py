#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns the `#syscalls(...)` comments of C sources into seccomp filters.

A source file says which system calls its code makes after the filter is in place, next to the
code that makes them:

    #syscalls(vmm:loop): read write ioctl(1=KVM_RUN) tgkill(0=@pid) mmap(2&PROT_EXEC=0)

`vmm` is the program, `loop` the kind of thread; `#syscalls(vmm:loop:glibc)` counts only for that
C library or --variant of the build. The list ends at a line without further words of the list's
form. A rule in parentheses compares the low 32 bits of one argument, optionally masked, with a C
constant or with the process id (@pid, filled in when the filter is installed). Several rules of one
call are alternatives.

The output is a C header with one array of BPF instructions per thread kind. Unknown architectures
and system calls not in the list kill the process.
"""

import argparse
import re
import sys

ARCHES = {
    # audit name, lowest number of a foreign table that shares the audit name
    "x86_64": ("AUDIT_ARCH_X86_64", "0x40000000"),
    "aarch64": ("AUDIT_ARCH_AARCH64", None),
}
HEADER = re.compile(r"#syscalls\((\w+):(\w+)(?::(\w+))?\):(.*)")
CALL = re.compile(r"([a-z_0-9]+)(?:\(([0-5])(?:&(\w+))?=(@?\w+)\))?")


class Error(Exception):
    pass


def parse_words(text, where):
    calls = []
    for word in text.split():
        m = CALL.fullmatch(word)
        if not m:
            raise Error(f"{where}: '{word}' is not a system call of the list's form")
        name, arg, mask, value = m.groups()
        calls.append((name, None if arg is None else (int(arg), mask, value)))
    return calls


def continuation(line):
    """The text of a comment line that continues a list, or None."""
    text = line.strip()
    if text.endswith("*/"):
        text = text[:-2].rstrip()
    text = text.lstrip("*").strip()
    if not text or "#syscalls" in text:
        return None
    return text if all(CALL.fullmatch(word) for word in text.split()) else None


def read_lists(path, program, variants):
    """All (thread, calls) of one source file that apply."""
    with open(path, encoding="utf-8") as f:
        lines = f.read().splitlines()
    found = []
    i = 0
    while i < len(lines):
        m = HEADER.search(lines[i])
        i += 1
        if not m:
            continue
        where = f"{path}:{i}"
        closed = m.group(4).rstrip().endswith("*/")
        text = m.group(4).replace("*/", "")
        while not closed and i < len(lines):
            more = continuation(lines[i])
            if more is None:
                break
            text += " " + more
            closed = lines[i].rstrip().endswith("*/")
            i += 1
        if m.group(1) == program and m.group(3) in (None, *variants):
            found.append((m.group(2), parse_words(text, where)))
    return found


def collect(paths, program, variants):
    """{thread: {call: [rules] or None for any arguments}}, in order of first appearance."""
    threads = {}
    for path in paths:
        for thread, calls in read_lists(path, program, variants):
            table = threads.setdefault(thread, {})
            for name, rule in calls:
                if rule is None:
                    table[name] = None
                elif table.get(name, []) is not None:
                    rules = table.setdefault(name, [])
                    if rule not in rules:
                        rules.append(rule)
    if not threads:
        raise Error(f"no #syscalls({program}:...) in any source")
    return threads


def emit_rule(rule):
    arg, mask, value = rule
    out = [f"\tBPF_STMT(BPF_LD | BPF_W | BPF_ABS, SECCOMP_ARG_LOW({arg})),"]
    if mask:
        out.append(f"\tBPF_STMT(BPF_ALU | BPF_AND | BPF_K, (uint32_t){mask}),")
    const = "SECCOMP_PID" if value == "@pid" else f"(uint32_t){value}"
    out.append(f"\tBPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, {const}, 0, 1),")
    out.append("\tBPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),")
    return out


def emit_call(name, rules):
    """A call that is not on the list of this architecture is skipped by the preprocessor."""
    if rules is None:
        body = ["\tBPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),"]
    else:
        body = [line for rule in rules for line in emit_rule(rule)]
        body.append("\tBPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),")
    if len(body) > 255:
        raise Error(f"too many rules for {name}")
    return [
        f"#ifdef SYS_{name}",
        f"\tBPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_{name}, 0, {len(body)}),",
        *body,
        "#endif",
    ]


def emit_thread(thread, table, arch):
    audit, foreign = ARCHES[arch]
    kill = "BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),"
    out = [
        f"static const struct sock_filter seccomp_{thread}[] = {{",
        "\tBPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),",
        f"\tBPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, {audit}, 1, 0),",
        "\t" + kill,
        "\tBPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),",
    ]
    if foreign:
        out.append(f"\tBPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, {foreign}, 0, 1),")
        out.append("\t" + kill)
    for name, rules in table.items():
        out += emit_call(name, rules)
    out += ["\t" + kill, "};", ""]
    out.append(f"static const struct seccomp_call seccomp_{thread}_calls[] = {{")
    for name, rules in table.items():
        restricted = "false" if rules is None else "true"
        out += [f"#ifdef SYS_{name}", f'\t{{SYS_{name}, {restricted}, "{name}"}},', "#endif"]
    out += ["};", ""]
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--program", required=True)
    p.add_argument("--arch", required=True, choices=sorted(ARCHES))
    p.add_argument("--libc", required=True, choices=["musl", "glibc"])
    p.add_argument("--variant", action="append", default=[], help="also count the lists of this variant")
    p.add_argument("--output", required=True)
    p.add_argument("sources", nargs="+")
    args = p.parse_args()
    try:
        threads = collect(args.sources, args.program, [args.libc, *args.variant])
        out = ["/* Generated by build-aux/gen-seccomp.py from #syscalls comments. */", ""]
        for thread, table in threads.items():
            out += emit_thread(thread, table, args.arch)
    except Error as e:
        sys.exit(f"gen-seccomp: {e}")
    with open(args.output, "w", encoding="utf-8") as f:
        f.write("\n".join(out))


if __name__ == "__main__":
    main()
