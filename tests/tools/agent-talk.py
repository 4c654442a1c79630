#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Boots the agent under QEMU (TCG) without a supervisor and talks to it: a tool for developers.

  agent-talk.py --kernel vmlinux --initramfs initramfs.cpio --root base.erofs -- CMD ARGS...

prints the phases with their time stamps, the output and the exit status of the command. With --icount one guest
instruction is one nanosecond of the guest's clock, so the time stamps are instruction counts.
"""
import argparse
import os
import select
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import msbproto as p  # noqa: E402


class Guest:
    def __init__(self, args):
        self.dir = tempfile.TemporaryDirectory(prefix='agent-talk-')
        path = os.path.join(self.dir.name, 'chan')
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(1)
        self.console = open(os.path.join(self.dir.name, 'console'), 'w+b')
        cmd = ['qemu-system-x86_64', '-M', 'microvm,x-option-roms=off,isa-serial=off,acpi=off,rtc=on,pit=on,pic=on',
               '-accel', 'tcg,thread=single' if args.cpus == 1 else 'tcg,thread=multi', '-cpu', 'max,la57=off',
               '-m', str(args.mem), '-smp', str(args.cpus),
               '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot',
               '-global', 'virtio-mmio.force-legacy=false',
               '-kernel', args.kernel, '-initrd', args.initramfs,
               '-append', 'console=hvc0 quiet panic=-1 reboot=t random.trust_cpu=on tsc=reliable mitigations=off '
               'no_timer_check' + (' noapictimer' if args.cpus == 1 else '') + ' ' + args.append,
               '-device', 'virtio-serial-device,max_ports=2',
               '-chardev', 'file,id=con,path=' + self.console.name, '-device', 'virtconsole,chardev=con,nr=0',
               '-chardev', 'socket,id=chan,path=' + path,
               '-device', 'virtserialport,chardev=chan,nr=1,name=msb.channel',
               '-device', 'virtio-rng-device']
        if args.root:
            cmd += ['-drive', 'id=r,if=none,format=raw,file=' + args.root +
                    ('' if args.disk else ',readonly=on,file.locking=off'),
                    '-device', 'virtio-blk-device,drive=r,num-queues=1']
        if args.icount:
            cmd += ['-icount', 'shift=0,sleep=off']
        self.started = time.monotonic()
        self.qemu = subprocess.Popen(cmd, stdin=subprocess.DEVNULL)
        self.chan, _ = listener.accept()
        listener.close()
        self.decoder = p.Decoder()
        self.frames = []

    def send(self, data):
        self.chan.sendall(data)

    def recv(self, timeout):
        """The next frame, None at the end of the channel."""
        deadline = time.monotonic() + timeout
        while not self.frames:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.chan], [], [], left)[0]:
                raise TimeoutError('the guest is silent; console:\n' + self.console_text())
            data = self.chan.recv(65536)
            if not data:
                return None
            self.frames.extend(self.decoder.feed(data))
        return self.frames.pop(0)

    def console_text(self):
        self.console.seek(0)
        return self.console.read().decode(errors='replace')

    def close(self):
        self.chan.close()
        if self.qemu.poll() is None:
            try:
                self.qemu.wait(5)
            except subprocess.TimeoutExpired:
                self.qemu.kill()
                self.qemu.wait()
        self.dir.cleanup()


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def run_exec(guest, args, argv):
    """Streams one command; returns its exit status as a shell would."""
    flags = (1 if args.tty else 0) | (2 if args.stdin else 0)
    guest.send(p.message('EXEC', 1, flags=flags, argv=argv, user=args.user, cwd=args.cwd, env=args.env))
    if args.stdin:
        guest.send(p.frame('DATA', 1, sys.stdin.buffer.read(p.WINDOW), p.EOF_FLAG))
    while True:
        f = guest.recv(args.timeout)
        if f is None:
            say('the channel ended; console:\n' + guest.console_text())
            return 125
        name, stream, flags, payload = f
        if name == 'DATA':
            out = sys.stderr if flags & 3 == 2 else sys.stdout
            out.buffer.write(payload)
            out.flush()
            if payload:
                guest.send(p.message('CREDIT', stream, bytes=len(payload)))
        elif name == 'EXITED':
            m = p.decode(name, payload)
            return 128 + m['signal'] if m['signal'] else m['code']
        elif name == 'FAILED':
            m = p.decode(name, payload)
            say('failed: stage %d, %s: %s' % (m['stage'], m['what'], os.strerror(m['errno'])))
            return 127
        elif name == 'BYE':
            say('BYE', p.decode(name, payload))
        elif args.verbose:
            say(name, p.decode(name, payload) if name in p.MESSAGES else payload)


def boot(guest, args):
    tmpfs = [dict(zip(('path', 'options'), (t + ':').split(':')[:2])) for t in args.tmpfs]
    config = {'version': p.VERSION, 'real_ns': time.time_ns(), 'root_kind': 1 if args.disk else 0,
              'root_fstype': args.fstype, 'hostname': args.hostname, 'tmpfs': tmpfs}
    guest.send(p.message('CONFIG', **config))
    hello = None
    while True:
        f = guest.recv(args.timeout)
        if f is None:
            raise SystemExit('the guest ended; console:\n' + guest.console_text())
        name, _, _, payload = f
        m = p.decode(name, payload)
        if args.verbose:
            say(name, m)
        if name == 'HELLO':
            hello = m
        elif name == 'BOOT_FAILED':
            raise SystemExit('boot failed: stage %d, %s: %s' % (m['stage'], m['what'], os.strerror(m['errno'])))
        elif name == 'READY':
            break
    say('kernel %s: PID 1 at %d ns, READY at %d ns, %d ns later; %.3f s of real time' % (
        hello['kernel'], hello['pid1_ns'], m['ready_ns'], m['ready_ns'] - hello['pid1_ns'],
        time.monotonic() - guest.started))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--kernel', required=True)
    parser.add_argument('--initramfs', required=True)
    parser.add_argument('--root', required=True, help='image of vda')
    parser.add_argument('--disk', action='store_true', help='mount vda read-write instead of an overlay')
    parser.add_argument('--fstype', default='')
    parser.add_argument('--mem', type=int, default=256)
    parser.add_argument('--cpus', type=int, default=1)
    parser.add_argument('--append', default='')
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
    guest = Guest(args)
    try:
        boot(guest, args)
        status = run_exec(guest, args, args.argv) if args.argv else 0
        guest.send(p.message('SHUTDOWN', grace_ms=1000))
        while True:
            f = guest.recv(args.timeout)
            if f is None:
                say('the machine ended without BYE; console:\n' + guest.console_text())
                return 125
            if f[0] == 'BYE':
                break
        if guest.qemu.wait(10) != 0:
            say('QEMU failed')
        if args.console:
            say(guest.console_text())
        return status
    finally:
        guest.close()


sys.exit(main())
