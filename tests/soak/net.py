#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""net - flows through msb-net's stack for as long as you like: idle ones, slow readers, resets, half closes.

usage: tests/soak/net.py [--seconds N] [--flows N] [--workers N] [--seed N]

Most flows are idle and stay (--flows); the workers open others, each with one of a few ways to behave, and check every
byte that comes back. The network's memory is looked at all the time: what it usually holds (the median) in the last third of
the time may not be more than in the second. In the end everything is closed, and every socket must be gone.

Environment: MSB_TEST_BUILD, as for the tests.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import random
import resource
import socket
import statistics
import struct
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from tapnet import PATIENCE_S, SERVER, impossible, listen, make_guest, make_outside, msb, place  # noqa: E402

PORT = 7007
REFUSED_PORT = 1000  # below those that the network connects from: it would reach itself
GROWTH = 1.2
PIECE = 16384
LINGER_NONE = struct.pack("ii", 1, 0)
BATCH = 200  # idle flows opened at a time


class Broken(AssertionError):
    """What the soak is there to find."""


def pattern(n):
    return (b"0123456789abcdef" * (n // 16 + 1))[:n]


async def serve(reader, writer):
    """`echo`: everything back; `send N`: so many bytes, then the end; `hold`: silence until the end."""
    with contextlib.suppress(ConnectionError):
        words = (await reader.readline()).split()
        if words and words[0] == b"send":
            for n in range(0, int(words[1]), PIECE):
                writer.write(pattern(min(PIECE, int(words[1]) - n)))
                await writer.drain()
        elif words and words[0] == b"echo":
            while data := await reader.read(PIECE):
                writer.write(data)
                await writer.drain()
        else:
            await reader.read()
    writer.close()


def server_process(sock):
    async def main():
        server = await asyncio.start_server(serve, sock=sock, backlog=4096)
        await server.serve_forever()

    asyncio.run(main())


async def connect():
    return await asyncio.wait_for(asyncio.open_connection(SERVER, PORT, limit=PIECE), PATIENCE_S)


async def echo(rng):
    """Bytes there and back, then our end, then theirs."""
    reader, writer = await connect()
    want = pattern(rng.randrange(1, 300000))

    async def send():
        writer.write(b"echo\n")
        for at in range(0, len(want), PIECE):
            writer.write(want[at:at + PIECE])
            await writer.drain()
        writer.write_eof()

    sending = asyncio.create_task(send())
    got = await reader.read(-1)
    await sending
    writer.close()
    if got != want:
        raise Broken(f"echo of {len(want)} bytes: {len(got)} came, {'same beginning' if want.startswith(got) else 'others'}")


async def slow(rng):
    """More than all buffers hold, read in small pieces now and then; half closed from the beginning."""
    reader, writer = await connect()
    n = rng.randrange(200000, 2000000)
    writer.write(b"send %d\n" % n)
    writer.write_eof()
    got = 0
    while data := await reader.read(PIECE):
        got += len(data)
        await asyncio.sleep(rng.random() / 50)
    writer.close()
    if got != n:
        raise Broken(f"{got} of {n} bytes came")


def reset(writer):
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
    writer.transport.abort()


async def torn(rng):
    """A reset in the middle of their bytes."""
    reader, writer = await connect()
    writer.write(b"send 5000000\n")
    await reader.read(rng.randrange(1, 100000))
    reset(writer)


async def torn_echo(rng):
    """A reset with ours under way."""
    _, writer = await connect()
    writer.write(b"echo\n" + bytes(rng.randrange(1, 300000)))
    await asyncio.sleep(rng.random() / 100)
    reset(writer)


async def refused(_rng):
    try:
        await asyncio.wait_for(asyncio.open_connection(SERVER, REFUSED_PORT), PATIENCE_S)
    except ConnectionRefusedError:
        return
    raise Broken("a closed port answered")


WAYS = (echo, slow, torn, torn_echo, refused)


async def worker(number, seed, end, done):
    rng = random.Random(f"{seed}/{number}")
    while time.monotonic() < end:
        way = rng.choice(WAYS)
        await asyncio.wait_for(way(rng), PATIENCE_S * 5)
        done[way.__name__] += 1


async def hold(count):
    """Flows that say one word and wait."""
    held = []
    for start in range(0, count, BATCH):
        some = await asyncio.gather(*(connect() for _ in range(min(BATCH, count - start))))
        for _, writer in some:
            writer.write(b"hold\n")
        held += some
    return held


async def watch(pid, end, samples):
    while time.monotonic() < end:
        samples.append(resident_kib(pid))
        await asyncio.sleep(0.1)


def resident_kib(pid):
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def sockets(pid):
    """One for each flow; it has no other."""
    n = 0
    for f in os.scandir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            n += os.readlink(f.path).startswith("socket:")
    return n


async def guest_side(args, pid):
    held = await hold(args.flows)
    idle = resident_kib(pid)
    print(f"net: {len(held)} idle flows, {sockets(pid)} sockets, {idle} KiB resident", flush=True)
    end = time.monotonic() + args.seconds
    done, samples = Counter(), []
    await asyncio.gather(watch(pid, end, samples), *(worker(n, args.seed, end, done) for n in range(args.workers)))
    third = len(samples) // 3
    second, last = statistics.median(samples[third:2 * third]), statistics.median(samples[2 * third:])
    print(f"net: {sum(done.values())} flows ({', '.join(f'{k} {v}' for k, v in sorted(done.items()))}); {second:.0f} KiB resident in "
          f"the second third, {last:.0f} KiB in the last, {max(samples)} KiB at most", flush=True)
    if last > second * GROWTH:
        raise Broken(f"the memory grows: {second:.0f} KiB, then {last:.0f} KiB")
    for way in WAYS:
        if not done[way.__name__]:
            raise Broken(f"no time for a single '{way.__name__}'")
    for _, writer in held:
        writer.close()
    for waited in itertools.count():
        left = sockets(pid)
        if left == 0:
            break
        if waited > PATIENCE_S * 10:
            raise Broken(f"{left} sockets are left when all flows have ended")
        await asyncio.sleep(0.1)
    print(f"net: all closed, no socket left, {resident_kib(pid)} KiB resident", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--flows", type=int, default=10000, help="idle ones (default 10000)")
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    args = parser.parse_args()
    if impossible():
        print(f"skipped: {impossible()}")
        return
    need = args.flows + args.workers + 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (need + 500, need + 500))
    print(f"net: seed {args.seed}", flush=True)
    with place() as directory:
        outside, guest = make_outside(directory), make_guest(directory)
        sock = listen(outside, PORT)
        server = os.fork()
        if server == 0:
            try:
                server_process(sock)
            finally:
                os._exit(1)  # without the end of the parent's contexts
        sock.close()
        try:
            with msb(outside, guest, str(need)) as net:
                guest.run(lambda: asyncio.run(guest_side(args, net.pid)))
        finally:
            os.kill(server, 9)
            os.waitpid(server, 0)


if __name__ == "__main__":
    main()
