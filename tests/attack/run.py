#!/usr/bin/env python3
"""What do others feel while somebody attacks an edge, and what does it cost the node?

Attacks, one after the other, each for --seconds, from processes of their own on the same machine: slow heads, bodies and
readers (`slowhttptest`, left out where it is not installed), idle connections, connections opened and
dropped, and floods of HTTP/2 frames. All the while two clients ask for something that is stored, 100 times a second each.

Kept: every one of those requests is answered rightly, none takes longer than --worst; the node lives, none of its requests
panics, its memory grows by less than --memory MiB, and after the attack its connections end. Of requests that
were canceled at once fewer reach the origin than two for each stream that a connection may have.

    apt-get install slowhttptest
    python3 tests/attack/run.py --binaries target/release
    python3 tests/attack/run.py --only idle --connections 12000
"""

import asyncio
import multiprocessing
import os
import shutil
import socket
import struct
import subprocess
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "upstream"))

import show  # noqa: E402
from http1 import HOST, Client  # noqa: E402

MIB = 1 << 20
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION, DATA = 1, 3, 4, 6, 9, 0
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, payload=b""):
    """The bytes of an HTTP/2 frame (RFC 9113 section 4.1)."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def fields(path):
    """The fields of a GET as literals without an index (RFC 7541 section 6.2.2)."""
    lines = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", HOST.encode()), (b":path", path)]
    return b"".join(b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in lines)


def resets(number):
    """Requests for things that are not stored, each canceled at once; the bytes of 50."""
    streams = range(number * 100 + 1, number * 100 + 101, 2)
    return b"".join(
        frame(HEADERS, END_STREAM | END_HEADERS, stream, fields(b"/miss/%d/%d" % (os.getpid(), stream)))
        + frame(RST_STREAM, 0, stream, struct.pack(">I", 8)) for stream in streams)


# What is sent over and over, by number of the round.
FLOODS = {
    "h2-resets": resets,
    "h2-pings": lambda _number: frame(PING, 0, 0, bytes(8)) * 200,
    "h2-settings": lambda _number: frame(SETTINGS, 0, 0) * 200,
    "h2-empty-data": lambda number: (frame(HEADERS, END_HEADERS, 1, fields(b"/open")) if number == 0 else b"")
    + frame(DATA, 0, 1) * 200,
    "h2-continuations": lambda number: (frame(HEADERS, END_STREAM, 1, fields(b"/open")) if number == 0 else b"")
    + frame(CONTINUATION, 0, 1, b"\x40" * 1000) * 50,
}
SLOW = {
    "slow-heads": ["-H", "-i", "5"],
    "slow-bodies": ["-B", "-i", "5", "-s", "8192"],
    "slow-readers": ["-X", "-w", "1", "-y", "8", "-n", "5", "-z", "8", "-k", "3"],
}
OTHERS = ["idle", "storm"]
ATTACKS = [*SLOW, *OTHERS, *FLOODS]


def flood(name, port, seconds, counted):
    """Floods connections one after the other; counts them."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as connection:
                counted.value += 1
                connection.sendall(PREFACE + frame(SETTINGS, 0, 0))
                number = 0
                while time.monotonic() < ends:
                    connection.sendall(FLOODS[name](number))
                    number += 1
        except OSError:
            pass


def hold(port, seconds, connections, counted):
    """Opens connections, asks once on each, and leaves them idle."""
    held, ends = [], time.monotonic() + seconds
    for _ in range(connections):
        try:
            connection = socket.create_connection(("127.0.0.1", port), 5)
            connection.sendall(f"GET /fine HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            held.append(connection)
            counted.value += 1
        except OSError:
            pass
        if time.monotonic() > ends:
            break
    time.sleep(max(0.0, ends - time.monotonic()))


def storm(port, seconds, counted):
    """Opens connections and drops them, half of them with a reset amid a head."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as connection:
                counted.value += 1
                if counted.value % 2:
                    connection.sendall(b"GET /fine HT")
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass


class Attack:
    """The processes of one attack."""

    def __init__(self, name, port, options):
        self.counted = multiprocessing.Value("q", 0, lock=False)
        self.command = None
        if name in SLOW:
            self.command = subprocess.Popen(
                ["slowhttptest", *SLOW[name], "-c", str(min(options.connections, 1000)), "-r", "300", "-l",
                 str(int(options.seconds)), "-u", f"http://127.0.0.1:{port}/large"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            return
        if name in FLOODS:
            work, count = (flood, (name, port, options.seconds, self.counted)), 2
        elif name == "idle":
            work, count = (hold, (port, options.seconds, options.connections, self.counted)), 1
        else:
            work, count = (storm, (port, options.seconds, self.counted)), 2
        self.processes = [multiprocessing.Process(target=work[0], args=work[1], daemon=True) for _ in range(count)]
        for process in self.processes:
            process.start()

    def end(self):
        if self.command is not None:
            self.command.kill()
            self.command.wait()
            return
        for process in self.processes:
            process.kill()
            process.join()


async def innocent(port, seconds, took, wrong):
    """Asks 100 times a second for something that is stored."""
    client = Client(port)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        began = time.monotonic()
        answer = await client.ask("/fine", 10.0)
        if answer is None or (answer[0], answer[2]) != (200, b"fine"):
            wrong.append(answer and answer[0])
        took.append(time.monotonic() - began)
        await asyncio.sleep(0.01)
    client.close()


async def two_innocents(port, seconds):
    took, wrong = [], []
    await asyncio.gather(*(innocent(port, seconds, took, wrong) for _ in range(2)))
    return took, wrong


async def one(now, stack, origin, name):
    """One attack."""
    options, edge = now.arguments, stack.edges[0]
    edge.forget_peak()
    before, asked = edge.peak_bytes(), origin.asked
    attack = Attack(name, edge.port, options)
    try:
        took, wrong = await two_innocents(edge.port, options.seconds)
        grown = (edge.peak_bytes() - before) / MIB
    finally:
        attack.end()
    now.must(not wrong, f"{name}: all are answered, and not {len(wrong)} of {len(took)} otherwise: {wrong[:3]}")
    now.must(max(took) < options.worst, f"{name}: no request takes {max(took):.1f} s")
    now.must(edge.is_running(), f"{name}: the node lives")
    now.must(grown < options.memory, f"{name}: memory grows by {grown:.0f} MiB")
    reached = origin.asked - asked
    if name == "h2-resets":
        bound = 200 * max(1, attack.counted.value)
        now.must(reached <= bound, f"{name}: {reached} requests reach the origin over {attack.counted.value} connections")
    # slowhttptest leaves its connections to the node's own deadlines.
    ended = await show.within(30.0, lambda: edge.metric("weir_connections") <= 4)
    now.must(ended is not None, f"{name}: its connections end: {edge.metric('weir_connections'):.0f} are left")
    now.note(name, f"{show.spread(took)} ms (p50/p99/max of {len(took)}), +{grown:.0f} MiB, "
                   f"{attack.counted.value or '-'} connections, {reached} at the origin")


class Origin:
    """An origin that counts what it is asked."""

    def __init__(self):
        self.asked = 0
        self.server = None

    async def open(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1]
                self.asked += 1
                body = bytes(512 * 1024) if path == b"/large" else b"fine"
                writer.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Length: %d\r\n\r\n" % len(body))
                writer.write(body)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


async def attacks(now):
    origin = Origin()
    port = await origin.open()
    # Idle connections are to end soon after their owner.
    settings = {"node.h2c": "true", "limits.idle_timeout": "20s", "log.level": "error"}
    stack = now.stack(origins=[port], edges=1, regionals=0, settings=settings)
    await stack.start()
    edge = stack.edges[0]
    for path in ("/fine", "/large"):
        await Client(edge.port).ask(path, 10.0)
    took, wrong = await two_innocents(edge.port, min(5.0, now.arguments.seconds))
    now.must(not wrong, f"without an attack all is well, and not {wrong[:3]}")
    now.note("without", f"{show.spread(took)} ms (p50/p99/max of {len(took)})")
    for name in now.arguments.only or ATTACKS:
        if name in SLOW and shutil.which("slowhttptest") is None:
            now.note(name, "left out: slowhttptest is not installed")
            continue
        now.say(name)
        await one(now, stack, origin, name)
    now.must(edge.metric("weir_panics_total") == 0, "no request panics")
    now.note("cut", int(edge.metric("weir_connections_cut_total")))
    now.note("refused", int(edge.metric("weir_refused_total")))


def options(parser):
    parser.add_argument("--seconds", type=float, default=15.0, help="of each attack (default %(default).0f)")
    parser.add_argument("--connections", type=int, default=10_000, help="idle ones (default %(default)s)")
    parser.add_argument("--worst", type=float, default=2.0, help="seconds that a request may take (default %(default)s)")
    parser.add_argument("--memory", type=float, default=300.0, help="MiB that the node may grow by (default %(default)s)")
    parser.add_argument("--only", choices=ATTACKS, action="append", help="this one alone; may be repeated")


if __name__ == "__main__":
    show.run("attacks", __doc__, attacks, options, limit=900.0)
