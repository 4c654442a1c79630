#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the guest's initramfs: the agent as /init, and /dev/console for its standard streams.

Written here rather than by cpio(1) so that the device node needs no root and equal input gives equal bytes.
"""
import argparse
import os
import stat
import struct
import subprocess
import sys
import tempfile

PT_INTERP = 3


def entry(ino, name, mode, data=b'', rdev=(0, 0)):
    """One member in "newc" format: header of hexadecimal fields, name and data padded to 4 bytes."""
    fields = [ino, mode, 0, 0, 1, 0, len(data), 0, 0, rdev[0], rdev[1], len(name) + 1, 0]
    out = b'070701' + b''.join(b'%08X' % f for f in fields) + name.encode() + b'\0'
    out += b'\0' * (-len(out) % 4)
    return out + data + b'\0' * (-len(data) % 4)


def stripped(strip, program):
    with tempfile.TemporaryDirectory() as tmp:
        out = os.path.join(tmp, 'init')
        subprocess.run([strip, '-s', '-R', '.comment', '-R', '.note*', '-o', out, program], check=True)
        with open(out, 'rb') as f:
            return f.read()


def is_static(program):
    """Does an ELF64 program run without a loader?"""
    (phoff,) = struct.unpack_from('<Q', program, 32)
    size, count = struct.unpack_from('<HH', program, 54)
    return all(struct.unpack_from('<I', program, phoff + i * size)[0] != PT_INTERP for i in range(count))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--strip', default='strip', help='program that strips symbols')
    parser.add_argument('--limit', type=int, default=1 << 20, help='largest agent in bytes, stripped')
    parser.add_argument('agent')
    parser.add_argument('output')
    args = parser.parse_args()
    agent = stripped(args.strip, args.agent)
    if not is_static(agent):
        sys.exit(f'{args.agent}: not a static program; nothing in the initramfs could load it')
    if len(agent) > args.limit:
        sys.exit(f'{args.agent}: {len(agent)} bytes stripped, the budget is {args.limit}')
    members = [
        ('dev', stat.S_IFDIR | 0o755, b'', (0, 0)),
        ('dev/console', stat.S_IFCHR | 0o600, b'', (5, 1)),
        ('init', stat.S_IFREG | 0o755, agent, (0, 0)),
    ]
    archive = b''.join(entry(i + 1, *m) for i, m in enumerate(members)) + entry(0, 'TRAILER!!!', 0)
    with open(args.output, 'wb') as f:
        f.write(archive)


main()
