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
import collections
import concurrent.futures
import hashlib
import multiprocessing
import random
import select
import socket
import time

import show
from http1 import HOST, READ_BYTES, Origin

PIECES, PIECE_BYTES = 10, 16 * 1024


class Reader:
    """One client: notes when it asked and what came when. Judging is left for later: it would cost time now."""

    def __init__(self, port, late):
        self.late, self.asked = late, 0.0
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.pieces, self.left = [], None

    def ask(self, path):
        self.asked = time.monotonic()
        self.socket.send(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())

    def read(self):
        """Takes what has come; returns whether that was the end."""
        piece = self.socket.recv(READ_BYTES)
        self.pieces.append((time.monotonic(), piece))
        if not piece:
            return True
        # The head comes alone, or with the beginning of the body.
        if self.left is None and b"\r\n\r\n" in piece:
            head, _, piece = piece.partition(b"\r\n\r\n")
            self.left = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if self.left is not None:
            self.left -= len(piece)
        return self.left == 0

    def seen(self):
        """Late, status, when asked, when the first and the last byte of the body came, its digest."""
        head, _, body = b"".join(piece for _, piece in self.pieces).partition(b"\r\n\r\n")
        counted, first = 0, None
        for at, piece in self.pieces:
            counted += len(piece)
            if first is None and counted > len(head) + 4:
                first = at
        status = int(head.split(b" ")[1]) if head else 0
        last = self.pieces[-1][0] if self.pieces else None
        digest = hashlib.blake2b(body, digest_size=16).hexdigest()
        return self.late, status, self.asked, first, last, digest, len(body)


def crowd(ports, path, count, drip, seed):
    """Runs in the process of the clients: half ask at once, half while the body drips."""
    rng = random.Random(seed)
    readers = [Reader(ports[number % len(ports)], number >= count // 2) for number in range(count)]
    poll, waiting = select.epoll(), {reader.socket.fileno(): reader for reader in readers}
    for number in waiting:
        poll.register(number, select.EPOLLIN)
    begin = time.monotonic() + 0.2
    due = sorted(((begin + (rng.uniform(0.15, drip - 0.15) if reader.late else 0.0), number)
                  for number, reader in waiting.items()), reverse=True)
    readers = list(waiting.values())
    while waiting and time.monotonic() < begin + drip + 20:
        while due and due[-1][0] <= time.monotonic():
            waiting[due.pop()[1]].ask(path)
        wait = due[-1][0] - time.monotonic() if due else 0.5
        for number, _ in poll.poll(max(wait, 0.0)):
            if waiting[number].read():
                poll.unregister(number)
                del waiting[number]
    return [reader.seen() for reader in readers]


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
            arguments.drip, arguments.seed)
    judge(now, seen, origin.requests, sent, hashlib.blake2b(body, digest_size=16).hexdigest())


def judge(now, seen, requests, sent, digest):
    whole = [one for one in seen if one[1] == 200 and one[5] == digest]
    for (status, bytes_seen), clients in collections.Counter(
            (one[1], one[6]) for one in seen if one not in whole).most_common(5):
        now.say(f"{clients} clients got status {status} and {bytes_seen} bytes")
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
