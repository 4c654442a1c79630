#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that every #include respects the levels of docs/architecture.md.

A component includes only components of lower levels (and itself). Components of one level do not know each other. Each
third-party header has exactly one owner. Architecture code stays below arch/.
"""

import re
import sys
from pathlib import Path

LEVELS = {
    "base": 0, "proto": 0, "tls": 0,
    "vmm": 1, "net": 1, "fs": 1, "vsock": 1, "image": 1, "agent": 1,
    "engine": 2,
    "sandbox": 3,
    "lib": 4,
    "server": 5, "cli": 5,
}
# Headers that hold a wire contract between a process and whoever starts it.
CONTRACTS = {("proto", "base"), ("tls", "base")}
OWNERS = {"openssl/": "tls", "curl/": "image/registry", "nghttp2/": "net/intercept", "sqlite3.h": "server",
          "seccomp.h": "vmm/jail", "libssh/": "server/ssh"}
# Reading rings in the memory of a guest is done by one piece of code (no state, no I/O) in all processes that do it.
SHARED = {(user, name) for user in ("fs", "vsock") for name in ("vmm/mem.h", "vmm/virtio/queue.h", "vmm/virtio/vhost-user.h",
                                                      "vmm/virtio/testvhost.h")}
# Commands that use libmsb as any other program does: its public headers, and of src/lib what it cannot have in them:
# tables of options, and text for people. Files may only be added.
PUBLIC_ONLY = {f"cli/{name}.c" for name in (
    "about", "api", "cmd-completion", "cmd-cp", "cmd-create", "cmd-exec", "cmd-help", "cmd-image", "cmd-inspect",
    "cmd-load", "cmd-logs", "cmd-ls", "cmd-man", "cmd-metrics", "cmd-modify", "cmd-net", "cmd-net-ca",
    "cmd-net-events", "cmd-ping", "cmd-pull", "cmd-registry", "cmd-rename", "cmd-rmi", "cmd-run", "cmd-save",
    "cmd-snapshot", "cmd-snapshot-save", "cmd-start", "cmd-stop", "cmd-top", "cmd-version", "cmd-volume",
    "creating", "detach-keys", "follow", "guest-proc", "interrupt", "names", "out-file", "ports", "progress",
    "pull-show", "secret", "session", "table", "term", "timing")}
PUBLIC_HELPERS = {"lib/create-args.h", "lib/env-file.h", "lib/human.h", "lib/modify.h", "lib/run-args.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')
ARCH_MACRO = re.compile(r'^\s*#\s*(?:if|ifdef|ifndef|elif)\b.*\b__(x86_64|aarch64|i386|amd64)__')


def check_file(path, src):
    rel = path.relative_to(src)
    component = rel.parts[0]
    in_arch = "arch" in rel.parts
    for number, line in enumerate(path.read_text().splitlines(), 1):
        where = f"src/{rel}:{number}"
        if ARCH_MACRO.match(line) and not in_arch:
            yield f"{where}: architecture macro outside arch/"
        m = INCLUDE.match(line)
        if not m:
            continue
        quote, name = m.groups()
        if quote == "<":
            for prefix, owner in OWNERS.items():
                if name.startswith(prefix) and not str(rel).startswith(owner + "/"):
                    yield f"{where}: <{name}> belongs to {owner}/"
            continue
        if name.startswith(".."):
            yield f"{where}: relative include {name}"
        other = name.split("/")[0] if "/" in name else component
        if str(rel) in PUBLIC_ONLY and other not in ("base", "cli", "msb") and name not in PUBLIC_HELPERS:
            yield f"{where}: {name}: this command uses libmsb by its public headers only"
        if other == component or (component, other) in CONTRACTS or (component, name) in SHARED:
            continue
        if other not in LEVELS:
            continue  # below the component's own folder
        if LEVELS[other] >= LEVELS[component]:
            yield (f"{where}: {component} (level {LEVELS[component]}) must not include "
                   f"{other} (level {LEVELS[other]})")


def main():
    src = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve() / "src"
    problems = []
    count = 0
    for path in sorted(src.rglob("*.[ch]")):
        component = path.relative_to(src).parts[0]
        if component not in LEVELS:
            problems.append(f"src/{component}: no level known")
            continue
        count += 1
        problems += check_file(path, src)
    problems += [f"src/{name}: does not exist" for name in sorted(PUBLIC_ONLY) if not (src / name).exists()]
    print("\n".join(problems) if problems else f"{count} files respect the levels")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
