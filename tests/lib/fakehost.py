# SPDX-License-Identifier: Apache-2.0
"""msb with machines that are processes: everything of the product but the guest is real.

The QEMU that the supervisor finds is fake-qemu (src/sandbox/fake-qemu.c), which plays a guest with a few commands (`exit N`,
`emit BYTES`, `cat`, `sink`, `sync`) and small files. It starts in milliseconds, so that thousands of operations are a matter
of seconds.

Environment: MSB_TEST_BUILD is the build with the fake, MSB and MSB_LIB the msb to test; by default the build directory's.
"""

import functools
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MSB_TEST_BUILD", ROOT / "build"))
MSB = os.environ.get("MSB", str(BUILD / "src/cli/msb"))
FAKE = BUILD / "src/sandbox/fake-qemu"
PARTS = {"msb-sandbox": "src/sandbox/msb-sandbox", "msb-vmm": "src/vmm/msb-vmm", "msb-net": "src/net/msb-net",
         "initramfs.cpio": "src/agent/initramfs.cpio",
         "base.erofs": "images/base/base.erofs", "vmlinux": "vmlinux"}
LIMIT = int(os.environ.get("MSB_TEST_LIMIT", "120"))  # seconds for one command, on a machine that may be busy with others


@functools.cache
def _pattern_of_nothing(size):
    """pattern() without what the total adds, of at least @size bytes."""
    ramp = bytes(range(256)) * 2
    return b"".join(ramp[v:v + 256] for v in (((row >> 8) * 31 + row * 7) & 255 for row in range(-(-size // 256))))


def pattern(total):
    """What `emit TOTAL` prints: fake_pattern() in src/sandbox/fake-guest.h. Two totals differ in every byte, or nearly so."""
    add = total * 13 & 255
    table = bytes((v + add) & 255 for v in range(256))
    return _pattern_of_nothing(1 << max(16, total.bit_length()))[:total].translate(table)


class FakeHost:
    """msb with a home of its own in the directory @work; @fake: False leaves machines as they are."""

    def __init__(self, work, fake=True):
        self.work = Path(work)
        self.home = self.work / "home"
        self.tmp = self.work / "tmp"
        path = self.work / "bin"
        for d in (self.tmp, path):
            d.mkdir(parents=True)
        if fake:
            (path / "qemu-system-x86_64").symlink_to(FAKE)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("MSB_") or k == "MSB_LIB"}
        self.env = {**clean, "MSB_HOME": str(self.home), "MSB_ENGINE": "qemu", "TMPDIR": str(self.tmp),
                    "PATH": f"{path}:{os.environ['PATH']}"}
        if "MSB_LIB" not in self.env:
            self.env["MSB_LIB"] = str(self._lib())

    def _lib(self):
        lib = self.work / "lib"
        lib.mkdir()
        for name, path in PARTS.items():
            (lib / name).symlink_to(BUILD / path)
        if not (lib / "vmlinux").exists():  # a fake does not read it
            (lib / "vmlinux").unlink()
            (lib / "vmlinux").write_bytes(b"none")
        return lib

    def start(self, *argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE):
        return subprocess.Popen([MSB, *argv], stdin=stdin, stdout=stdout, stderr=stderr, env=self.env)

    def __call__(self, *argv, input=None):
        return subprocess.run([MSB, *argv], input=input, stdin=subprocess.DEVNULL if input is None else None,
                              capture_output=True, env=self.env, timeout=LIMIT, check=False)

    def ok(self, *argv, input=None):
        """Output of a command that must succeed."""
        r = self(*argv, input=input)
        if r.returncode != 0:
            raise AssertionError(f"msb {' '.join(argv)}: exit status {r.returncode}: {r.stderr.decode(errors='replace')}")
        return r.stdout
