#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules of the source that no compiler checks: banned functions, licence lines, sizes of files and functions.

Exceptions to the size budgets stand in build-aux/size-allow.txt as `path[:function] limit`; an exception that is no longer
needed, or looser than needed, is an error, so the list can only shrink.
"""

import re
import sys
from pathlib import Path

FILE_MAX, HEADER_MAX, FUNCTION_MAX = 1200, 250, 100

BANNED = re.compile(
    r"\b(strcpy|strcat|strncpy|strncat|sprintf|vsprintf|strtok|gets|atoi|atol|atoll|strtol|strtoul|strtoll|strtoull|sscanf|"
    r"alloca|system|popen|tmpnam|mktemp|gmtime|localtime|readdir_r|pthread_cancel|usleep|sleep)\s*\(")
# exit() is for main.c, commands and the test programs; everything else returns.
EXIT = re.compile(r"(?<![_\w])exit\s*\(")
EXIT_OK = re.compile(r"(/main\.c$|^tests/|/test-[^/]*\.c$)")
FUNCTION_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*\(")
COMMENT = re.compile(r"/\*.*?\*/", re.S)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')


def strip(text):
    """Code without comments and strings, with the line structure kept."""
    text = COMMENT.sub(lambda m: "\n" * m.group().count("\n"), text)
    return STRING.sub('""', text)


def functions(lines):
    """(name, first line, length) of every function body that starts with a brace in column one."""
    start = None
    head = ""
    for i, line in enumerate(lines):
        if line == "{":
            start = i
            back = i - 1
            head = ""
            while back >= 0 and lines[back].strip() and not lines[back].startswith(("}", "#")):
                head = lines[back] + " " + head
                back -= 1
        elif line.startswith("}") and start is not None:
            m = FUNCTION_NAME.search(head)
            if m:
                yield m.group(1), start + 1, i - start + 1
            start = None


def check_file(path, rel, sizes):
    text = path.read_text()
    if "SPDX-License-Identifier: Apache-2.0" not in text[:300]:
        yield f"{rel}:1: no SPDX licence line"
    lines = strip(text).splitlines()
    for number, line in enumerate(lines, 1):
        m = BANNED.search(line)
        if m and not line.lstrip().startswith("#"):
            yield f"{rel}:{number}: {m.group(1)}() is banned"
        if EXIT.search(line) and not EXIT_OK.search(rel):
            yield f"{rel}:{number}: exit() outside main.c"
        if re.search(r"(^|\s)//", line):
            yield f"{rel}:{number}: // comment"
    sizes[rel] = (len(lines), HEADER_MAX if rel.endswith(".h") else FILE_MAX)
    for name, _, length in functions(lines):
        sizes[f"{rel}:{name}"] = (length, FUNCTION_MAX)


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    problems = []
    sizes = {}
    allow = {}
    allow_file = root / "build-aux" / "size-allow.txt"
    for line in allow_file.read_text().splitlines():
        if line and not line.startswith("#"):
            key, limit = line.split()
            allow[key] = int(limit)
    files = [p for top in ("src", "tests", "bench", "include") for p in sorted((root / top).rglob("*.[ch]"))]
    for path in files:
        problems += check_file(path, str(path.relative_to(root)), sizes)
    for key, (size, limit) in sizes.items():
        if size > allow.get(key, limit):
            problems.append(f"{key}: {size} lines, the budget is {allow.get(key, limit)}")
        if key in allow and size < allow[key]:
            problems.append(f"{key}: {size} lines, lower its exception of {allow[key]} in {allow_file.name}"
                            + (" (remove it)" if size <= limit else ""))
    problems += [f"{key}: exception for something that is gone" for key in allow if key not in sizes]
    print("\n".join(problems) if problems else f"{len(files)} files within the rules")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
