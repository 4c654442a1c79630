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
    ('HELLO', {'version': p.VERSION, 'pid1_ns': 5, 'agent_version': '0.1.0', 'kernel': '6.12.0'}),
    ('READY', {'ready_ns': 9, 'cpus': 4, 'mem_total_kib': 262144}),
    ('FAILED', {'stage': 12, 'errno': 2, 'what': '/bin/x'}),
    ('CONFIG', {'version': p.VERSION, 'real_ns': 1, 'root_fstype': 'erofs', 'hostname': 'box', 'user': 'app:1000',
                'cwd': '/w', 'env': ['PATH=/bin', 'EMPTY='],
                'tmpfs': [{'path': '/tmp', 'size_bytes': 1 << 20, 'options': 'mode=1777'}], 'rlimits': RLIMITS,
                'shares': [{'tag': 'msb0', 'path': '/app', 'only': '', 'options': 'ro'}],
                'mtu': 1500, 'ip4': 0xac100002, 'gateway4': 0xac100001, 'prefix4': 30, 'ip6_high': 0xfd42 << 48, 'ip6_low': 2,
                'gateway6_high': 0xfd42 << 48, 'gateway6_low': 1, 'prefix6': 64}),
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

    agent_seeds()


def agent_seeds():
    """Requests as src/agent/fuzz-agent-channel.c takes them: a byte of options, then frames."""
    def fs(op, **values):
        return p.message('FS', 1, op=op, length=p.UNLIMITED, mode=0o755, **values)

    data = p.frame('DATA', 1, b'some text', p.EOF_FLAG)
    seeds = {
        'boot': b'\xfc' + p.message('CONFIG', version=p.VERSION) + p.frame('PING', 1, b'x') + p.frame('METRICS', 2),
        'files': b'\xfe' + fs(5, path='/d', flags=2) + fs(3, path='/d/f') + data + fs(2, path='/d/f') +
        fs(4, path='/d') + fs(1, path='/d/f') + fs(7, path='/d/f', path2='/d/g') + fs(6, path='/d', flags=4) +
        fs(3, path='/d/f', flags=0x300) + p.frame('CANCEL', 1) + fs(3, path='/d/f', flags=0x300) + data + fs(10, path='/d/f') +
        fs(2, path='/d/f', flags=0x100),
        'streams': b'\x02' + fs(3, path='/f') + p.message('CREDIT', 1, bytes=0) + p.frame('CANCEL', 1) +
        p.message('SIGNAL', 1, signal=9) + p.message('RESIZE', 1, rows=1, cols=2),
        'exec': b'\xfe' + p.message('EXEC', 1, flags=3, argv=['x'], env=['A=1']) + data,
        'end': b'\xfe' + p.message('CLOCK', real_ns=1) + p.message('SHUTDOWN', grace_ms=1) + p.frame('PING', 3),
        'freeze': b'\xfe' + p.message('FREEZE', 1, ms=50) + p.message('FREEZE', 2, ms=0) + fs(5, path='/d') +
        p.frame('CANCEL', 1) + p.message('FREEZE', 3, ms=1),
        'raw': b'\xff' + p.frame('PING', 1) + b'\xff' * 12,
    }
    for name, seed in seeds.items():
        write('agent-channel', name, seed)
    write('user', 'name', b'app\0root:x:0:0::/root:/bin/sh\napp:x:1:1:A:/home/app:/bin/sh\n\0app:x:1:\nw:x:10:b,app\n')
    write('user', 'numbers', b'1000:10\0u:x:1000:5::/h:s\n\0g:x:10:')
    write('user', 'broken', b'a:b\0a:x:4294967295:0::/:\na:::::::\na\n\0b:x:z:a,,a\nb:x:7:a')


main()
