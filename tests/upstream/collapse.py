#!/usr/bin/env python3
"""Is a cold key fetched once for a thousand clients, and do late ones get at once what is there?

The origin drips one body for two seconds. Half of the clients ask before it has begun, on two edges; the others
at random moments while it drips. They run in a process of their own, so that the origin's clock is not theirs.

Kept: one origin request; all bodies equal; the first byte of each late client, which the edge has already, comes
within 50 ms, and the last byte of all within 100 ms after the origin's last. Both are judged at the 99th
percentile with --margin on top, since clients, origin and five nodes share the cores of one machine.

    python3 tests/upstream/collapse.py --binaries target/release
"""

import asyncio
import concurrent.futures
import hashlib
import multiprocessing
import random
import time

import show
from http1 import HOST, Origin

PIECES, PIECE_BYTES = 10, 16 * 1024


class Reader(asyncio.Protocol):
    """One client: notes when it asked, and when the first and the last byte of the body came."""

    def __init__(self, path, done):
        self.path, self.done = path, done
        self.head, self.asked, self.first, self.last = b"", 0.0, None, None
        self.length, self.bytes = None, 0
        self.hash = hashlib.blake2b(digest_size=16)

    def connection_made(self, transport):
        self.transport = transport

    def ask(self):
        self.asked = time.monotonic()
        self.transport.write(f"GET {self.path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())

    def data_received(self, data):
        if self.length is None:
            self.head += data
            head, end, data = self.head.partition(b"\r\n\r\n")
            if not end:
                return
            self.length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            self.status = int(head.split(b" ")[1])
        if data:
            self.last = time.monotonic()
            self.first = self.first or self.last
            self.bytes += len(data)
            self.hash.update(data)
        if self.bytes >= self.length:
            self.transport.close()

    def connection_lost(self, error):
        if not self.done.done():
            self.done.set_result(None)


def crowd(ports, path, count, begin, drip, seed):
    """Runs in the process of the clients: half ask at `begin`, half while the body drips."""
    async def ask_all():
        loop, rng = asyncio.get_running_loop(), random.Random(seed)
        readers = []
        for number in range(count):
            done = loop.create_future()
            _, reader = await loop.create_connection(
                lambda done=done: Reader(path, done), "127.0.0.1", ports[number % len(ports)])
            readers.append(reader)
        opened = time.monotonic()
        begin_at = max(begin, opened + 0.2)
        for number, reader in enumerate(readers):
            late = number >= count // 2
            wait = rng.uniform(0.15, drip - 0.15) if late else 0.0
            loop.call_at(begin_at + wait, reader.ask)
        await asyncio.wait_for(asyncio.gather(*(reader.done for reader in readers)), drip + 20)
        return [(number >= count // 2, reader.status, reader.asked, reader.first, reader.last,
                 reader.bytes, reader.hash.hexdigest()) for number, reader in enumerate(readers)
                if reader.length is not None]
    return asyncio.run(ask_all())


async def collapse(now):
    arguments = now.arguments
    body = random.Random(arguments.seed).randbytes(PIECES * PIECE_BYTES)
    sent = {}

    async def drip(_origin, _reader, writer, _path, _fields):
        writer.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nETag: \"1\"\r\n"
                     b"Content-Length: %d\r\n\r\n" % len(body))
        sent["first"] = time.monotonic()
        for number in range(PIECES):
            if number:
                await asyncio.sleep(sent["first"] + arguments.drip * number / (PIECES - 1) - time.monotonic())
            writer.write(body[number * PIECE_BYTES:(number + 1) * PIECE_BYTES])
            await writer.drain()
        sent["last"] = time.monotonic()

    origin = Origin(drip)
    stack = now.stack(origins=[await origin.open()])
    await stack.start()
    now.say(f"{arguments.clients} clients ask two edges")
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        seen = await asyncio.get_running_loop().run_in_executor(
            pool, crowd, [edge.port for edge in stack.edges], "/cold", arguments.clients,
            time.monotonic() + 1.0, arguments.drip, arguments.seed)
    judge(now, seen, origin.requests, sent, hashlib.blake2b(body, digest_size=16).hexdigest())


def judge(now, seen, requests, sent, digest):
    whole = [one for one in seen if one[1] == 200 and one[6] == digest]
    # Those that the edge had nothing for yet are not late.
    first = [one[3] - one[2] for one in whole if one[0] and one[2] > sent["first"] + 0.05]
    last = [one[4] - sent["last"] for one in whole]
    now.note("origin requests", requests)
    now.note("whole bodies", f"{len(whole)}/{now.arguments.clients}")
    now.note("late clients", len(first))
    now.note("first byte p50/p99/max ms", show.spread(first))
    now.note("last byte p50/p99/max ms", show.spread(last))
    margin = now.arguments.margin / 1000
    now.must(requests == 1, f"one origin request, not {requests}")
    now.must(len(whole) == now.arguments.clients, "every client gets the whole body")
    now.must(len(first) > now.arguments.clients // 4, "many clients come late")
    now.must(show.percentile(first, 99) <= 0.050 + margin, f"first byte within 50 + {margin * 1000:.0f} ms")
    now.must(show.percentile(last, 99) <= 0.100 + margin, f"last byte within 100 + {margin * 1000:.0f} ms")


def options(parser):
    parser.add_argument("--clients", type=int, default=1000, help="on both edges together (default %(default)s)")
    parser.add_argument("--drip", type=float, default=2.0, help="seconds that the body takes (default %(default)s)")
    parser.add_argument("--margin", type=float, default=100, help="ms on top of both bounds (default %(default)s)")


if __name__ == "__main__":
    show.run("collapse", __doc__, collapse, options, limit=60)
