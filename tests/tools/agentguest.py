# SPDX-License-Identifier: Apache-2.0
"""A guest under QEMU (TCG) with the agent in it, spoken to without engine and supervisor."""
import os
import select
import socket
import subprocess
import tempfile
import time

import msbproto as p

MACHINE = 'microvm,x-option-roms=off,isa-serial=off,acpi=off,rtc=on,pit=on,pic=on'
CMDLINE = ('console=hvc0 quiet panic=-1 reboot=t random.trust_cpu=on tsc=reliable mitigations=off no_timer_check '
           'noapictimer')
WAIT_S = 60


class Guest:
    """@root: image of vda, written to if @disk. @channel: False leaves the port out."""

    def __init__(self, kernel, initramfs, root=None, disk=False, mem=256, append='', icount=False, channel=True):
        self.dir = tempfile.TemporaryDirectory(prefix='msb-guest-')
        self.console = open(self.path('console'), 'w+b')
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path('qmp'))
        self.listener.listen(1)
        cmd = ['qemu-system-x86_64', '-M', MACHINE, '-accel', 'tcg,thread=single', '-cpu', 'max,la57=off',
               '-m', str(mem), '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot',
               '-global', 'virtio-mmio.force-legacy=false',
               '-kernel', kernel, '-initrd', initramfs, '-append', CMDLINE + ' ' + append,
               '-device', 'virtio-serial-device,id=serial,max_ports=2',
               '-chardev', 'file,id=con,path=' + self.console.name, '-device', 'virtconsole,chardev=con,nr=0',
               '-chardev', 'socket,id=chan,server=on,wait=off,path=' + self.path('chan'),
               '-device', 'virtio-rng-device',
               '-chardev', 'socket,id=qmp,path=' + self.path('qmp'), '-mon', 'chardev=qmp,mode=control']
        if channel:
            cmd += ['-device', 'virtserialport,chardev=chan,nr=1,name=msb.channel']
        if root:
            cmd += ['-drive', 'id=r,if=none,format=raw,file=' + str(root) +
                    ('' if disk else ',readonly=on,file.locking=off'),
                    '-device', 'virtio-blk-device,drive=r,num-queues=1']
        if icount:
            cmd += ['-icount', 'shift=0,sleep=off']
        self.started = time.monotonic()
        self.qemu = subprocess.Popen(cmd, stdin=subprocess.DEVNULL)
        # QEMU makes its sockets in this order: when it connects for the monitor, the channel is there.
        self.qmp, _ = self.listener.accept()
        self.chan = None
        self.connect()

    def path(self, name):
        return os.path.join(self.dir.name, name)

    def connect(self):
        """Opens the host's end of the channel, anew after hang_up()."""
        self.chan = socket.socket(socket.AF_UNIX)
        self.chan.connect(self.path('chan'))
        self.decoder = p.Decoder()
        self.frames = []

    def hang_up(self):
        self.chan.close()

    def monitor(self, text):
        """One QMP command after the greeting is done; replies are not looked at."""
        self.qmp.sendall(b'{"execute":"qmp_capabilities"}' + text.encode())

    def send(self, data):
        self.chan.sendall(data)

    def recv(self, timeout=WAIT_S):
        """The next frame: (name, stream, flags, payload); None at the end of the channel."""
        deadline = time.monotonic() + timeout
        while not self.frames:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.chan], [], [], left)[0]:
                raise TimeoutError('the guest is silent; console:\n' + self.console_text())
            try:
                data = self.chan.recv(65536)
            except ConnectionResetError:
                data = b''
            if not data:
                return None
            self.frames.extend(self.decoder.feed(data))
        if self.frames[0][0] in ('BYE', 'BOOT_FAILED'):
            # A host ends the machine now, or hangs up; for any other one the guest waits a while.
            self.chan.shutdown(socket.SHUT_WR)
        return self.frames.pop(0)

    def expect(self, name, timeout=WAIT_S):
        """The next frame, which must be @name; its message."""
        f = self.recv(timeout)
        if f is None:
            raise AssertionError('no %s, the channel ended; console:\n%s' % (name, self.console_text()))
        if f[0] != name:
            raise AssertionError('%s instead of %s: %r' % (f[0], name, f[3][:200]))
        return p.decode(name, f[3])

    def boot(self, timeout=WAIT_S, **config):
        """CONFIG to READY; (hello, ready)."""
        values = {'version': p.VERSION, 'real_ns': time.time_ns(), 'hostname': 'guest'}
        values.update(config)
        self.send(p.message('CONFIG', **values))
        return self.expect('HELLO', timeout), self.expect('READY', timeout)

    def exec_stream(self, argv, stream=1, stdin=None, timeout=WAIT_S, **values):
        """Runs a command, yields its frames up to the terminal one as (name, flags, payload)."""
        flags = values.pop('flags', 0) | (2 if stdin is not None else 0)
        self.send(p.message('EXEC', stream, flags=flags, argv=argv, **values))
        if stdin is not None:
            self.send(p.frame('DATA', stream, stdin, p.EOF_FLAG))
        while True:
            f = self.recv(timeout)
            if f is None:
                raise EOFError('the channel ended; console:\n' + self.console_text())
            name, on, flags, payload = f
            if on != stream:
                continue
            if name == 'DATA' and payload:
                self.send(p.message('CREDIT', stream, bytes=len(payload)))
            yield name, flags, payload
            if name in ('EXITED', 'FAILED'):
                return

    def run(self, argv, **values):
        """(exit status as of a shell, standard output, standard error)"""
        if isinstance(argv, str):
            argv = ['sh', '-c', argv]
        out = {1: b'', 2: b''}
        for name, flags, payload in self.exec_stream(argv, **values):
            if name == 'DATA':
                out[flags & 3] += payload
        m = p.decode(name, payload)
        if name == 'FAILED':
            raise AssertionError('FAILED: %r' % m)
        return 128 + m['signal'] if m['signal'] else m['code'], out[1].decode(), out[2].decode()

    def ended(self, timeout=WAIT_S):
        """Waits for the end of the machine; QEMU's exit status."""
        return self.qemu.wait(timeout)

    def console_text(self):
        self.console.seek(0)
        return self.console.read().decode(errors='replace')

    def wait_console(self, text, timeout=WAIT_S):
        """Until the guest has said @text."""
        deadline = time.monotonic() + timeout
        while text not in self.console_text():
            if time.monotonic() > deadline or self.qemu.poll() is not None:
                raise TimeoutError('the guest never said %r; console:\n%s' % (text, self.console_text()))
            time.sleep(0.01)

    def close(self):
        self.chan.close()
        self.qmp.close()
        self.listener.close()
        if self.qemu.poll() is None:
            self.qemu.kill()
        self.qemu.wait()
        self.console.close()
        self.dir.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
