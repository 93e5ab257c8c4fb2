#!/usr/bin/env python3
"""Do a thousand upgraded connections pass three tiers, and does an edge that is to stop wait for them?

An origin answers WebSocket handshakes (RFC 6455) and then sends back each byte that comes. A thousand clients on two
edges say something each second. Then both edges get SIGTERM: on the first all tunnels end by themselves within
the grace time, on the second some are held open.

Kept: every handshake is answered with 101 and the right Sec-WebSocket-Accept; every message comes back equal; none
is cut while the edge runs. After SIGTERM tunnels go on working; the first edge ends right after its last tunnel, the
second cuts those left at the end of its grace, not before.

    python3 tests/upstream/tunnels.py --binaries target/release --seconds 60
"""

import asyncio
import base64
import hashlib
import signal
import time

import show
from http1 import HOST, Origin, parse_head

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_of(key):
    """What answers `key` (RFC 6455 §4.2.2)."""
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


async def echo(_origin, reader, writer, _path, fields):
    """Answers a handshake, then sends back what comes until the end."""
    if fields.get("upgrade", "").lower() != "websocket" or "sec-websocket-key" not in fields:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        return
    accept = accept_of(fields["sec-websocket-key"])
    writer.write(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()
    writer.close()


class Tunnel:
    """One client of a tunnel."""

    def __init__(self, number, port, rng):
        self.number, self.port, self.rng = number, port, rng
        self.said = 0
        self.worst = 0.0

    async def open(self):
        """Whether the handshake went well."""
        key = base64.b64encode(self.rng.randbytes(16)).decode()
        try:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
            self.writer.write(
                f"GET /tunnel/{self.number} HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
            head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            return False
        first, fields = parse_head(head)
        return first.split(" ")[1] == "101" and fields.get("sec-websocket-accept") == accept_of(key)

    async def say(self):
        """Whether something new came back as it was said."""
        message = b"%06d %06d " % (self.number, self.said) + self.rng.randbytes(self.rng.randrange(1, 500))
        began = time.monotonic()
        try:
            self.writer.write(message)
            back = await asyncio.wait_for(self.reader.readexactly(len(message)), 10)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            return False
        self.said += 1
        self.worst = max(self.worst, time.monotonic() - began)
        return back == message

    async def talk(self, seconds):
        """Says something each second or so; whether all came back."""
        ends = time.monotonic() + seconds
        await asyncio.sleep(self.rng.random())
        while time.monotonic() < ends:
            if not await self.say():
                return False
            await asyncio.sleep(self.rng.uniform(0.8, 1.2))
        return True

    async def until_cut(self):
        """Talks on until it is cut; when that was."""
        while await self.say():
            await asyncio.sleep(0.2)
        return time.monotonic()

    def close(self):
        self.writer.close()


async def tunnels(now):
    arguments = now.arguments
    origin = Origin(echo)
    stack = now.stack(origins=[await origin.open()],
                      settings={"node.drain_grace": f"{int(arguments.grace)}s", "upstream.connections_max": 4096})
    await stack.start()
    made = [Tunnel(number, stack.edges[number % 2].port, now.rng) for number in range(arguments.tunnels)]
    opened = []
    for begin in range(0, len(made), 50):
        opened += await asyncio.gather(*(one.open() for one in made[begin:begin + 50]))
    now.note("opened", f"{sum(opened)}/{len(made)}")
    now.must(all(opened), "every handshake is answered rightly")
    if not all(opened):
        return
    now.say(f"{len(made)} tunnels are open")
    went_well = await asyncio.gather(*(one.talk(arguments.seconds) for one in made))
    now.note("messages", sum(one.said for one in made))
    now.note("lost tunnels", went_well.count(False))
    now.note("echo p50/p99/max of worst ms", show.spread([one.worst for one in made]))
    now.must(all(went_well), "every message comes back equal")
    await ended_by_clients(now, stack.edges[0], made[0::2])
    await cut_at_the_end(now, stack.edges[1], made[1::2])
    stack.close()


async def ended_by_clients(now, edge, made):
    """SIGTERM while tunnels are open that all end within the grace time."""
    edge.signal(signal.SIGTERM)
    await asyncio.sleep(0.3)
    went_well = await asyncio.gather(*(one.talk(now.arguments.grace * 0.3) for one in made))
    runs = edge.is_running()
    for one in made:
        one.close()
    took = await show.within(now.arguments.grace, lambda: not edge.is_running(), 0.02)
    now.note("edge 0 ended s after its last tunnel", "never" if took is None else f"{took:.2f}")
    now.must(runs and all(went_well), f"tunnels go on within the grace time, but {went_well.count(False)} did not")
    now.must(took is not None and took < 1.0, "the edge ends right after its last tunnel")


async def cut_at_the_end(now, edge, made):
    """SIGTERM while tunnels are open that do not end by themselves."""
    grace, held = now.arguments.grace, made[:20]
    for one in made[20:]:
        one.close()
    began = time.monotonic()
    edge.signal(signal.SIGTERM)
    cut = [at - began for at in await asyncio.wait_for(
        asyncio.gather(*(one.until_cut() for one in held)), grace + 15)]
    await show.within(3, lambda: not edge.is_running(), 0.02)
    now.note("edge 1 cut after s", f"{min(cut):.2f} to {max(cut):.2f} of {grace:.0f}")
    now.must(min(cut) > grace - 0.3, "no tunnel is cut before the end of the grace time")
    now.must(max(cut) < grace + 1.5 and not edge.is_running(), "and all are at its end")


def options(parser):
    parser.add_argument("--tunnels", type=int, default=1000, help="on both edges together (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="for which they talk (default %(default)s)")
    parser.add_argument("--grace", type=float, default=5.0, help="drain_grace in whole seconds (default %(default)s)")


if __name__ == "__main__":
    show.run("tunnels", __doc__, tunnels, options, limit=180)
