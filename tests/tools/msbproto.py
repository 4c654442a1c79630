# SPDX-License-Identifier: Apache-2.0
"""The channel protocol in Python, written from src/proto/*.h: for developer tools and seed corpora.

An independent second implementation of the wire format: a seed that it makes and the C decoders
refuse shows a disagreement.
"""
import struct

VERSION = 2
HEADER = struct.Struct('<IIBBH')
WINDOW = 256 * 1024

TYPES = {
    'HELLO': 0x01, 'READY': 0x02, 'BOOT_FAILED': 0x03, 'BYE': 0x04,
    'CONFIG': 0x08, 'CLOCK': 0x09, 'SHUTDOWN': 0x0a,
    'EXEC': 0x10, 'FS': 0x11, 'PING': 0x12, 'METRICS': 0x13, 'FREEZE': 0x14, 'MODIFY': 0x15,
    'DATA': 0x20, 'CREDIT': 0x21, 'RESIZE': 0x22, 'SIGNAL': 0x23, 'CANCEL': 0x24, 'STARTED': 0x25, 'FROZEN': 0x26,
    'EXITED': 0x30, 'FAILED': 0x31, 'FS_DONE': 0x32, 'PONG': 0x33, 'METRICS_DONE': 0x34,
    'THAWED': 0x35, 'MODIFIED': 0x36,
    'SB_READY': 0x40, 'SB_FAILED': 0x41, 'SB_STOP': 0x42, 'SB_STOPPED': 0x43,
}
NAMES = {v: k for k, v in TYPES.items()}
EOF_FLAG = 0x80
UNLIMITED = 2 ** 64 - 1

STAT = [('ino', 'Q'), ('size', 'Q'), ('blocks', 'Q'), ('mode', 'I'), ('nlink', 'I'), ('uid', 'I'), ('gid', 'I'),
        ('rdev', 'Q'), ('mtime_s', 'q'), ('mtime_ns', 'I')]
FAILURE = [('stage', 'I'), ('errno', 'I'), ('what', 's')]
MESSAGES = {
    'HELLO': [('version', 'I'), ('pid1_ns', 'Q'), ('pid1_tsc', 'Q'), ('agent_version', 's'), ('kernel', 's')],
    'READY': [('ready_ns', 'Q'), ('ready_tsc', 'Q'), ('cpus', 'I'), ('mem_total_kib', 'Q')],
    'BOOT_FAILED': FAILURE,
    'FAILED': FAILURE,
    'BYE': [('signal', 'I')],
    'CONFIG': [('version', 'I'), ('real_ns', 'Q'), ('root_kind', 'I'), ('root_fstype', 's'), ('upper_bytes', 'Q'), ('hostname', 's'),
               ('user', 's'), ('cwd', 's'), ('env', 'strv'),
               ('tmpfs', [('path', 's'), ('size_bytes', 'Q'), ('options', 's')]),
               ('rlimits', [('resource', 'I'), ('soft', 'Q'), ('hard', 'Q')]),
               ('shares', [('tag', 's'), ('path', 's'), ('only', 's'), ('options', 's')]),
               ('mtu', 'I'), ('ip4', 'I'), ('gateway4', 'I'), ('prefix4', 'I'), ('ip6_high', 'Q'), ('ip6_low', 'Q'),
               ('gateway6_high', 'Q'), ('gateway6_low', 'Q'), ('prefix6', 'I'), ('restricted', 'I'),
               ('ca', 's'), ('init', 's'), ('init_args', 'strv'), ('init_env', 'strv')],
    'CLOCK': [('real_ns', 'Q')],
    'SHUTDOWN': [('grace_ms', 'I')],
    'EXEC': [('flags', 'I'), ('rows', 'H'), ('cols', 'H'), ('user', 's'), ('cwd', 's'), ('argv', 'strv'),
             ('env', 'strv'), ('rlimits', [('resource', 'I'), ('soft', 'Q'), ('hard', 'Q')])],
    'FS': [('op', 'I'), ('flags', 'I'), ('mode', 'I'), ('uid', 'I'), ('gid', 'I'), ('offset', 'Q'), ('length', 'Q'),
           ('path', 's'), ('path2', 's')],
    'RESIZE': [('rows', 'H'), ('cols', 'H')],
    'SIGNAL': [('signal', 'I')],
    'CREDIT': [('bytes', 'I')],
    'STARTED': [('pid', 'I')],
    'FREEZE': [('ms', 'I')],
    'THAWED': [('errno', 'I')],
    'MODIFY': [('cpus', 'I'), ('defaults', 'I'), ('cwd', 's'), ('env', 'strv')],
    'MODIFIED': [('value', 'I')],
    'EXITED': [('code', 'I'), ('signal', 'I')],
    'FS_DONE': [('errno', 'I'), ('bytes', 'Q')] + STAT,
    'METRICS_DONE': [(n, 'Q') for n in (
        'uptime_ns', 'cpu_user_ns', 'cpu_system_ns', 'cpu_idle_ns', 'cpu_steal_ns', 'mem_total_kib',
        'mem_available_kib', 'mem_free_kib', 'mem_cached_kib', 'disk_read_bytes', 'disk_write_bytes',
        'root_used_bytes', 'root_free_bytes')] + [('procs', 'I'), ('execs', 'I')],
    'SB_READY': [('engine', 's'), ('kernel', 's')] + [(n, 'Q') for n in (
        'spawn_ns', 'engine_ns', 'vm_created_ns', 'first_run_ns', 'hello_ns', 'ready_ns', 'guest_pid1_ns',
        'guest_ready_ns', 'guest_pid1_tsc', 'guest_ready_tsc')],
    'SB_FAILED': [('kind', 'I'), ('errno', 'I'), ('msg', 's'), ('hint', 's'), ('console', 's')],
    'SB_STOP': [('grace_ms', 'I')],
    'SB_STOPPED': [('reason', 'I'), ('detail', 's')],
}
DIRENT = STAT + [('name', 's'), ('target', 's')]


def put_str(s):
    b = s if isinstance(s, bytes) else s.encode()
    return struct.pack('<I', len(b)) + b + b'\0'


def encode(fields, values):
    out = b''
    for name, kind in fields:
        if kind == 's':
            out += put_str(values.get(name, ''))
        elif kind == 'strv':
            v = values.get(name, [])
            out += struct.pack('<I', len(v)) + b''.join(put_str(s) for s in v)
        elif isinstance(kind, list):
            v = values.get(name, [])
            out += struct.pack('<I', len(v)) + b''.join(encode(kind, e) for e in v)
        else:
            out += struct.pack('<' + kind, values.get(name, 0))
    return out


def decode_at(fields, data, at):
    out = {}
    for name, kind in fields:
        if kind == 's':
            (n,) = struct.unpack_from('<I', data, at)
            out[name] = data[at + 4:at + 4 + n].decode(errors='replace')
            at += 5 + n
        elif isinstance(kind, str) and kind != 'strv':
            (out[name],) = struct.unpack_from('<' + kind, data, at)
            at += struct.calcsize('<' + kind)
        else:
            (n,) = struct.unpack_from('<I', data, at)
            at += 4
            out[name] = []
            for _ in range(n):
                one, at = decode_at([('s', 's')] if kind == 'strv' else kind, data, at)
                out[name].append(one['s'] if kind == 'strv' else one)
    return out, at


def decode(name, payload):
    out, at = decode_at(MESSAGES[name], payload, 0)
    if at != len(payload):
        raise ValueError('trailing bytes in ' + name)
    return out


def frame(name, stream=0, payload=b'', flags=0):
    return HEADER.pack(len(payload), stream, TYPES[name], flags, 0) + payload


def message(name, stream=0, **values):
    return frame(name, stream, encode(MESSAGES[name], values))


class Decoder:
    """Collects bytes, yields (type name, stream, flags, payload)."""

    def __init__(self):
        self.buf = bytearray()

    def feed(self, data):
        self.buf += data
        while len(self.buf) >= HEADER.size:
            size, stream, kind, flags, _ = HEADER.unpack_from(self.buf)
            if len(self.buf) < HEADER.size + size:
                return
            payload = bytes(self.buf[HEADER.size:HEADER.size + size])
            del self.buf[:HEADER.size + size]
            yield NAMES[kind], stream, flags, payload
