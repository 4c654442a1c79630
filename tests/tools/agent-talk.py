#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Boots the agent under QEMU (TCG) without a supervisor and talks to it: a tool for developers.

  agent-talk.py --kernel vmlinux --initramfs initramfs.cpio --root base.erofs -- CMD ARGS...

prints the phases with their time stamps, the output and the exit status of the command. With --icount one guest
instruction is one nanosecond of the guest's clock, so the time stamps are instruction counts.
"""
import argparse
import os
import sys
import time

sys.dont_write_bytecode = True
import msbproto as p  # noqa: E402
from agentguest import Guest  # noqa: E402


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def boot(guest, args):
    tmpfs = [dict(zip(('path', 'options'), (t + ':').split(':')[:2])) for t in args.tmpfs]
    hello, ready = guest.boot(args.timeout, root_kind=1 if args.disk else 0, root_fstype=args.fstype,
                              hostname=args.hostname, tmpfs=tmpfs)
    if args.verbose:
        say(hello, ready)
    say('kernel %s: PID 1 at %d ns, READY at %d ns, %d ns later; %.3f s of real time' % (
        hello['kernel'], hello['pid1_ns'], ready['ready_ns'], ready['ready_ns'] - hello['pid1_ns'],
        time.monotonic() - guest.started))


def run(guest, args):
    """Streams one command; returns its exit status as a shell would."""
    stdin = sys.stdin.buffer.read(p.WINDOW) if args.stdin else None
    for name, flags, payload in guest.exec_stream(args.argv, stdin=stdin, timeout=args.timeout,
                                                  flags=1 if args.tty else 0, user=args.user, cwd=args.cwd,
                                                  env=args.env):
        if name == 'DATA':
            out = sys.stderr if flags & 3 == 2 else sys.stdout
            out.buffer.write(payload)
            out.flush()
        elif name == 'EXITED':
            m = p.decode(name, payload)
            return 128 + m['signal'] if m['signal'] else m['code']
        elif name == 'FAILED':
            m = p.decode(name, payload)
            say('failed: stage %d, %s: %s' % (m['stage'], m['what'], os.strerror(m['errno'])))
            return 127
        elif args.verbose:
            say(name, p.decode(name, payload) if name in p.MESSAGES else payload)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--kernel', required=True)
    parser.add_argument('--initramfs', required=True)
    parser.add_argument('--root', required=True, help='image of vda')
    parser.add_argument('--disk', action='store_true', help='mount vda read-write instead of an overlay')
    parser.add_argument('--fstype', default='')
    parser.add_argument('--mem', type=int, default=256)
    parser.add_argument('--append', default='', help='more kernel parameters')
    parser.add_argument('--hostname', default='talk')
    parser.add_argument('--user', default='')
    parser.add_argument('--cwd', default='')
    parser.add_argument('--env', action='append', default=[])
    parser.add_argument('--tmpfs', action='append', default=[], help='PATH[:OPTIONS]')
    parser.add_argument('--tty', action='store_true')
    parser.add_argument('--stdin', action='store_true')
    parser.add_argument('--icount', action='store_true')
    parser.add_argument('--timeout', type=float, default=60)
    parser.add_argument('--console', action='store_true', help='print the console at the end')
    parser.add_argument('--verbose', '-v', action='store_true')
    parser.add_argument('argv', nargs='*')
    args = parser.parse_args()
    with Guest(args.kernel, args.initramfs, args.root, args.disk, args.mem, args.append, args.icount) as guest:
        try:
            boot(guest, args)
            status = run(guest, args) if args.argv else 0
            guest.send(p.message('SHUTDOWN', grace_ms=1000))
            guest.expect('BYE', args.timeout)
            if guest.ended() != 0:
                say('QEMU failed')
        except (AssertionError, EOFError, TimeoutError) as e:
            say(e)
            return 125
        finally:
            if args.console:
                say(guest.console_text())
        return status


sys.exit(main())
