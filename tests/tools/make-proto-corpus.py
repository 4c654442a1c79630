#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seed inputs of the protocol's fuzz targets to tests/corpus/. Run again after a protocol change."""
import os
import sys

sys.dont_write_bytecode = True
import msbproto as p  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'corpus')
RLIMITS = [{'resource': 7, 'soft': 1024, 'hard': p.UNLIMITED}]
STAT = {'ino': 7, 'size': 4096, 'mode': 0o100644, 'nlink': 1, 'mtime_s': -1, 'mtime_ns': 999999999}

# In the order of the decoders in src/proto/fuzz-msg.c.
MESSAGES = [
    ('HELLO', {'version': 1, 'pid1_ns': 5, 'agent_version': '0.1.0', 'kernel': '6.12.0'}),
    ('READY', {'ready_ns': 9, 'cpus': 4, 'mem_total_kib': 262144}),
    ('FAILED', {'stage': 12, 'errno': 2, 'what': '/bin/x'}),
    ('CONFIG', {'version': 1, 'real_ns': 1, 'root_fstype': 'erofs', 'hostname': 'box', 'user': 'app:1000',
                'cwd': '/w', 'env': ['PATH=/bin', 'EMPTY='],
                'tmpfs': [{'path': '/tmp', 'size_bytes': 1 << 20, 'options': 'mode=1777'}], 'rlimits': RLIMITS}),
    ('CLOCK', {'real_ns': 1 << 60}),
    ('SHUTDOWN', {'grace_ms': 500}),
    ('EXEC', {'flags': 3, 'rows': 24, 'cols': 80, 'user': '0', 'cwd': '/', 'argv': ['sh', '-c', 'exit 3'],
              'env': ['A=1'], 'rlimits': RLIMITS}),
    ('RESIZE', {'rows': 50, 'cols': 132}),
    ('EXITED', {'code': 255, 'signal': 9}),
    ('FS', {'op': 3, 'flags': 32, 'mode': 0o644, 'uid': 1000, 'gid': 1000, 'length': p.UNLIMITED, 'path': '/tmp/f'}),
    ('FS_DONE', dict(STAT, errno=0, bytes=4096)),
    ('METRICS_DONE', {'uptime_ns': 1, 'mem_total_kib': 2, 'procs': 3, 'execs': 4}),
    ('SB_READY', {'engine': 'qemu', 'kernel': '6.12.0', 'spawn_ns': 1, 'guest_ready_tsc': 2}),
    ('SB_FAILED', {'kind': 11, 'msg': 'the guest kernel crashed', 'hint': 'x', 'console': 'panic\n'}),
    ('SB_STOPPED', {'reason': 1, 'detail': 'guest'}),
    ('CREDIT', {'bytes': 65536}),
]


def write(target, name, data):
    path = os.path.join(ROOT, target)
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, name), 'wb') as f:
        f.write(data)


def main():
    stream = b''
    for i, (name, values) in enumerate(MESSAGES):
        payload = p.encode(p.MESSAGES[name], values)
        write('msg', name.lower(), bytes([i]) + payload)
        stream += p.message(name, 0 if p.TYPES[name] < 0x10 or p.TYPES[name] >= 0x40 else 1 + i, **values)
    entries = b''.join(p.encode(p.DIRENT, dict(STAT, name=n, target=t)) for n, t in (('a', ''), ('l', '/etc/x')))
    write('msg', 'dirents', bytes([16]) + entries)
    stream += p.frame('DATA', 5, b'hello', 2 | p.EOF_FLAG)
    for step in (0, 6, 255):
        write('frame', 'stream-%d' % step, bytes([step]) + stream)
    write('frame', 'bad-length', b'\xff' + b'\x01\x00\x01\x00' + stream[4:40])
    write('frame', 'bad-type', b'\xff' + p.frame('PING', 1) + stream[:8] + b'\x7f' + stream[9:12])


main()
