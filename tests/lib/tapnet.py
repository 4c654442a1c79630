# SPDX-License-Identifier: Apache-2.0
"""Two network namespaces with a user-space network between them: the guest's, behind a TAP device, and the servers'.

The guest is this host's kernel, so what is looked at is the network, not a virtual machine.

Environment: MSB_TEST_BUILD, as for the tests.
"""

import contextlib
import fcntl
import os
import socket
import struct
import subprocess
import tempfile
import time

from netbed import CLONE_NEWNET, CLONE_NEWNS, LIBC, inside

BUILD = os.environ.get("MSB_TEST_BUILD", os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../build"))
SERVER = "198.51.100.1"
MTU = 65520
PATIENCE_S = 60
TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454CA, 2, 0x1000, 0x4000


def impossible():
    """Why it cannot be done here, or None."""
    return None if os.geteuid() == 0 and os.path.exists("/dev/net/tun") else "needs root and TAP devices"


class Namespace:
    """A network namespace; only this process and its children see its path, and nothing is left of it when they end."""

    def __init__(self, directory, name):
        self.fd = inside(None, lambda: os.open("/proc/thread-self/ns/net", os.O_RDONLY))
        self.path = os.path.join(directory, name)
        with open(self.path, "w", encoding="ascii"):
            pass
        subprocess.run(["mount", "--bind", f"/proc/self/fd/{self.fd}", self.path], check=True, pass_fds=[self.fd])

    def remove(self):
        subprocess.run(["umount", self.path], check=True)
        os.close(self.fd)

    def run(self, function):
        """What @function returns, called in here."""
        return inside(self.fd, function)

    def popen(self, *argv, **kwargs):
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, preexec_fn=lambda: LIBC.setns(self.fd, CLONE_NEWNET), **kwargs)

    def call(self, *argv):
        with self.popen(*argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as p:
            out = p.communicate(timeout=PATIENCE_S * 5)[0]
        if p.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)}: exit code {p.returncode}: {out[-300:]}")
        return out

    def ports(self):
        """Many connections leave many ports behind for a minute."""
        self.call("sh", "-c", "echo 1024 65535 >/proc/sys/net/ipv4/ip_local_port_range; echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse")


@contextlib.contextmanager
def place():
    """A directory whose mounts are seen by nobody else."""
    with tempfile.TemporaryDirectory() as directory:
        if LIBC.unshare(CLONE_NEWNS) != 0:
            raise OSError("no right to make a mount namespace")
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "net", directory], check=True)
        try:
            yield directory
        finally:
            subprocess.run(["umount", "-R", "-l", directory], check=True)


def wait_for(what, ready):
    end = time.monotonic() + PATIENCE_S
    while not ready():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} does not come up")
        time.sleep(0.02)


@contextlib.contextmanager
def running(ns, *argv, **kwargs):
    p = ns.popen(*argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kwargs)
    try:
        yield p
    finally:
        p.terminate()
        p.wait()


@contextlib.contextmanager
def msb(outside, guest, *argv, mtu=MTU):
    """The flows of msb-net between both; the process (net-tap)."""
    def make():
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"eth0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        return fd

    tap = guest.run(make)
    guest.call("ip", "link", "set", "eth0", "address", "02:6d:73:00:00:02", "mtu", str(mtu), "txqueuelen", "10000", "up")
    guest.call("ip", "address", "add", "172.16.0.2/30", "dev", "eth0")
    guest.call("ip", "route", "add", "default", "via", "172.16.0.1")
    program = os.path.join(BUILD, "src", "net", "flow", "net-tap")
    with running(outside, "sh", "-c", f'exec "$0" "$@" 3<&{tap} {tap}<&-', program, *argv, pass_fds=[tap]) as p:
        os.close(tap)
        yield p


def make_outside(directory):
    """The servers' side: their address, and an interface for those who look for one."""
    ns = Namespace(directory, "outside")
    ns.call("ip", "link", "set", "lo", "up")
    ns.call("ip", "address", "add", f"{SERVER}/32", "dev", "lo")
    ns.call("ip", "tuntap", "add", "up0", "mode", "tap")
    ns.call("ip", "address", "add", "192.0.2.2/24", "dev", "up0")
    ns.call("ip", "link", "set", "up0", "up")
    ns.call("ip", "route", "add", "default", "via", "192.0.2.1", "dev", "up0")
    ns.ports()
    return ns


def make_guest(directory):
    ns = Namespace(directory, "guest")
    ns.call("ip", "link", "set", "lo", "up")
    ns.ports()
    return ns


def listen(ns, port):
    def make():
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((SERVER, port))
        s.listen(4096)
        return s

    return ns.run(make)
