# SPDX-License-Identifier: Apache-2.0
"""Python in a sandbox that has none: the host's /usr is shared with it, and the host's Python runs there with its own libraries.

A test writes its program into a directory, shares it with OPTIONS, and runs the words of command().
"""

from pathlib import Path

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
PYTHON = Path("/usr/bin/python3")
# The memory is for the interpreter and what it reads of /usr.
OPTIONS = ("-v", "/usr:/h/usr:ro", "-m", "256M")


def missing():
    """None, or why it cannot be."""
    if not (PYTHON.exists() and Path(LIBRARIES, "ld-linux-x86-64.so.2").exists()):
        return "needs the python3 of Debian on amd64"
    return None


def command(program, *words):
    """What runs @program (a path in the guest) there."""
    return ("env", "PYTHONHOME=/h/usr", f"/h{LIBRARIES}/ld-linux-x86-64.so.2", "--library-path", f"/h{LIBRARIES}", f"/h{PYTHON}", "-S",
            str(program), *words)
