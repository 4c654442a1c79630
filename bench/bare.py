# SPDX-License-Identifier: Apache-2.0
"""bare.py - the bare `qemu-system-x86_64 -M microvm` that msb is measured against.

It boots the same kernel to a static program that prints one line and powers off: the cost of
starting a virtual machine at all, with the machine options that were measured to boot fastest.
"""
import io
import os
import shutil
import stat
import subprocess

HERE = os.path.dirname(os.path.realpath(__file__))

# Under TCG the timer calibration of the local APIC costs a fifth of a second, and every legacy
# device is a timeout of the kernel when it is absent. Under KVM the guest has kvm-clock and needs
# none of them.
MACHINE = {
    "tcg": "microvm,x-option-roms=off,isa-serial=off,acpi=off,rtc=on,pit=on,pic=on",
    "kvm": "microvm,x-option-roms=off,isa-serial=off,acpi=off,rtc=off,pit=off,pic=off",
}
APPEND = {
    "tcg": "console=hvc0 quiet reboot=t panic=-1 noapictimer",
    "kvm": "console=hvc0 quiet reboot=t panic=-1",
}


def command(accel, kernel, initrd, memory="256"):
    """The command line of the bare machine; its console is QEMU's standard output."""
    return ["qemu-system-x86_64", "-M", MACHINE[accel], "-accel", accel,
            "-cpu", "host" if accel == "kvm" else "max", "-m", memory, "-smp", "1",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", kernel, "-initrd", initrd, "-append", APPEND[accel],
            "-device", "virtio-serial-device", "-chardev", "stdio,id=c0,signal=off",
            "-device", "virtconsole,chardev=c0"]


def _cpio_entry(name, mode, data=b"", rdev=(0, 0)):
    name = name.encode() + b"\0"
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, rdev[0], rdev[1], len(name), 0]
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    out = io.BytesIO()
    out.write(head + b"\0" * (-len(head) % 4))
    out.write(data + b"\0" * (-len(data) % 4))
    return out.getvalue()


def build_initrd(path, source=f"{HERE}/bare-init.c", size=0):
    """Compile source and write the initramfs with it to path, padded to size bytes."""
    compiler = "musl-gcc" if shutil.which("musl-gcc") else "gcc"
    program = path + ".init"
    subprocess.run([compiler, "-Os", "-static", "-s", "-o", program, source],
                   check=True)
    with open(program, "rb") as file:
        init = file.read()
    os.unlink(program)
    with open(path, "wb") as file:
        file.write(_cpio_entry("dev", stat.S_IFDIR | 0o755))
        file.write(_cpio_entry("dev/console", stat.S_IFCHR | 0o600, rdev=(5, 1)))
        file.write(_cpio_entry("init", stat.S_IFREG | 0o755, init))
        if size > file.tell():
            file.write(_cpio_entry("pad", stat.S_IFREG | 0o600, b"x" * (size - file.tell())))
        file.write(_cpio_entry("TRAILER!!!", 0))


def find_kernel():
    """The vmlinux that kernel/build.sh made last, or None."""
    cache = os.path.join(os.environ.get("MSB_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "msb"), "kernel")
    kernels = []
    if os.path.isdir(cache):
        for key in os.listdir(cache):
            kernel = os.path.join(cache, key, "vmlinux")
            if os.path.isfile(kernel):
                kernels.append(kernel)
    return max(kernels, key=os.path.getmtime, default=None)
