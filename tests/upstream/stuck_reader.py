#!/usr/bin/env python3
"""What does one client that stops reading cost the others, and the node?

Eight clients read a body that is too large to store, at full speed, from an edge with a shield above. Then the same
with a ninth that asks first, reads a little and stops. Then a stuck one alone with a body that may not be stored.

Kept: the eight are at least --share as fast as without it; all bytes are right; the edge's memory grows by less than
--memory MiB, which is fill.window (4 MiB), and buffers of sockets and connections for nine readers; what is set
aside on disk is counted in weir_fill_spill_bytes and is never more than the body. After limits.write_timeout (3 s
here) the stuck one is cut, and memory, disk and fill are given back.

    python3 tests/upstream/stuck_reader.py --binaries target/release --size 256
"""

import asyncio
import concurrent.futures
import multiprocessing
import socket
import time
import zlib

import show
from http1 import HOST
from stack import free_port

MIB = 1 << 20
WRITE_TIMEOUT = 3


def read_all(port, path):
    """Runs in a process of its own: reads a body at full speed; seconds, bytes and checksum of it."""
    reader = socket.create_connection(("127.0.0.1", port), 60)
    began = time.monotonic()
    reader.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
    buffer, head, count, check = bytearray(512 * 1024), b"", 0, 0
    view = memoryview(buffer)
    while b"\r\n\r\n" not in head:
        piece = reader.recv(4096)
        if not piece:
            return None
        head += piece
    head, _, piece = head.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    count, check = len(piece), zlib.crc32(piece)
    while count < length:
        got = reader.recv_into(buffer)
        if not got:
            break
        count += got
        check = zlib.crc32(view[:got], check)
    return time.monotonic() - began, count, check


class Stuck:
    """A client that takes the head and a little of the body, and then nothing."""

    def __init__(self, port, path):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        self.socket.connect(("127.0.0.1", port))
        self.socket.settimeout(10)
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        self.bytes = len(self.socket.recv(4096))

    def rest(self):
        """Reads what comes after all until the end; how many bytes it got in all."""
        try:
            while piece := self.socket.recv(1 << 16):
                self.bytes += len(piece)
        except OSError:
            pass
        self.socket.close()
        return self.bytes


class Watch:
    """Notes the most that the edge counts as set aside, as long as it runs."""

    def __init__(self, node):
        self.node, self.spilled, self.held, self.stopped = node, 0, 0, False

    async def run(self):
        while not self.stopped:
            self.spilled = max(self.spilled, await asyncio.to_thread(self.node.metric, "weir_fill_spill_bytes"))
            self.held = max(self.held, await asyncio.to_thread(self.node.metric, "weir_fill_memory_bytes"))
            await asyncio.sleep(0.1)


async def read_by_eight(now, pool, port, path):
    """MiB a second of all readers together, and whether all read the same whole body."""
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    read = await asyncio.gather(*(loop.run_in_executor(pool, read_all, port, path) for _ in range(now.arguments.readers)))
    took = time.monotonic() - began
    right = all(one and one[1] == now.arguments.size * MIB for one in read) and len({one and one[2] for one in read}) == 1
    now.must(right, f"all readers of {path.split('?')[0]} get the same whole body")
    return now.arguments.readers * now.arguments.size / took


async def given_back(now, edge, name):
    """Waits until the edge holds nothing of a fill any more."""
    def empty():
        return not any(edge.metric(metric) for metric in
                       ("weir_fills_active", "weir_fill_spill_bytes", "weir_fill_memory_bytes"))
    took = await show.within(WRITE_TIMEOUT + 5, empty, 0.1)
    now.note(f"{name}: given back after s", "never" if took is None else f"{took:.1f}")
    now.must(took is not None, f"{name}: memory, disk and fill are given back after the write timeout")


async def stuck_reader(now):
    arguments, port = now.arguments, free_port()
    stack = now.stack(origins=[port], edges=1, regionals=0,
                      settings={"limits.write_timeout": f"{WRITE_TIMEOUT}s"})
    stack.mock(port)
    await stack.start()
    edge = stack.edges[0]
    query = f"size={arguments.size * MIB}"
    with concurrent.futures.ProcessPoolExecutor(arguments.readers, multiprocessing.get_context("spawn")) as pool:
        # The processes and the node's own buffers are there before anything is timed.
        await read_by_eight(now, pool, edge.port, f"/warm?{query}")
        before, edge_before = edge.peak_bytes(), 0
        edge.forget_peak()
        edge_before = edge.peak_bytes()
        watch = Watch(edge)
        watching = asyncio.ensure_future(watch.run())
        without, beside = [], []
        for number in range(arguments.rounds):
            without.append(await read_by_eight(now, pool, edge.port, f"/without/{number}?{query}"))
            stuck = Stuck(edge.port, f"/beside/{number}?{query}")
            beside.append(await read_by_eight(now, pool, edge.port, f"/beside/{number}?{query}"))
            now.say(f"{without[-1]:.0f} MiB/s without, {beside[-1]:.0f} MiB/s beside a stuck one")
            await given_back(now, edge, "shared")
            got = await asyncio.to_thread(stuck.rest)
            now.must(got < arguments.size * MIB, f"the stuck one is cut, but it got {got} bytes")
        watch.stopped = True
        await watching
    share = show.percentile(beside, 50) / show.percentile(without, 50)
    growth = (edge.peak_bytes() - edge_before) / MIB
    now.note("MiB/s without", f"{show.percentile(without, 50):.0f}")
    now.note("beside", f"{show.percentile(beside, 50):.0f}")
    now.note("share", f"{share:.2f}")
    now.note("edge grew MiB", growth)
    now.note("edge peak MiB", f"{max(before, edge.peak_bytes()) / MIB:.0f}")
    now.note("most on disk MiB", f"{watch.spilled / MIB:.0f}")
    now.must(share >= arguments.share, f"the others keep {arguments.share} of their speed")
    now.must(growth <= arguments.memory, f"the edge grows by {arguments.memory:.0f} MiB at most")
    now.must(0 < watch.spilled <= arguments.size * MIB * 1.01, "what is set aside is counted, and is one body at most")
    await unstorable(now, edge, query)
    stack.close()


async def unstorable(now, edge, query):
    """A stuck reader of a body that is for nobody else: nothing is set aside, the upstream waits."""
    edge.forget_peak()
    before = edge.peak_bytes()
    stuck = Stuck(edge.port, f"/private?{query}&header=Cache-Control:no-store")
    await asyncio.sleep(1)
    spilled = edge.metric("weir_fill_spill_bytes")
    growth = (edge.peak_bytes() - before) / MIB
    await given_back(now, edge, "not stored")
    got = await asyncio.to_thread(stuck.rest)
    now.note("not stored: edge grew MiB", growth)
    now.must(got < now.arguments.size * MIB, "the stuck one is cut here too")
    now.must(growth <= now.arguments.memory, f"the edge grows by {now.arguments.memory:.0f} MiB at most")
    now.must(spilled == 0, "nothing of it is set aside on disk")


def options(parser):
    parser.add_argument("--size", type=int, default=256, help="MiB of the body; above 32 it is not stored (default %(default)s)")
    parser.add_argument("--readers", type=int, default=8, help="clients at full speed (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="times with and without (default %(default)s)")
    parser.add_argument("--share", type=float, default=0.8, help="least speed beside a stuck one (default %(default)s)")
    parser.add_argument("--memory", type=float, default=32, help="MiB that the edge may grow (default %(default)s)")


if __name__ == "__main__":
    show.run("stuck-reader", __doc__, stuck_reader, options, limit=180)
