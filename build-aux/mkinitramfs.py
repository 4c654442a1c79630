#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the guest's initramfs: the agent as /init, and /dev/console for its standard streams.

Written here rather than by cpio(1) so that the device node needs no root and equal input gives equal bytes.
"""
import argparse
import os
import stat
import subprocess
import tempfile


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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--strip', default='strip', help='program that strips symbols')
    parser.add_argument('agent')
    parser.add_argument('output')
    args = parser.parse_args()
    members = [
        ('dev', stat.S_IFDIR | 0o755, b'', (0, 0)),
        ('dev/console', stat.S_IFCHR | 0o600, b'', (5, 1)),
        ('init', stat.S_IFREG | 0o755, stripped(args.strip, args.agent), (0, 0)),
    ]
    archive = b''.join(entry(i + 1, *m) for i, m in enumerate(members)) + entry(0, 'TRAILER!!!', 0)
    with open(args.output, 'wb') as f:
        f.write(archive)


main()
