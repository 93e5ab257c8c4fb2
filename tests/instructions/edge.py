"""What is asked of an edge that is counted, and how?

An `Edge` runs under callgrind, with one worker and an origin in the script that runs it. A `Kind` is a request of one kind,
with what proves that it was answered in the way that its name says.
"""

import asyncio
import dataclasses
import random

from callgrind import CannotCount, Counter, command
from http1 import HOST, parse_head
from stack import ADMIN, Node, Stack

GUARDED = "guarded.test"
BODY = bytes(1024)

SITES = """
[node]
name = "edge"
listen = "127.0.0.1:{port}"
admin = "127.0.0.1:{admin}"
data_dir = "{folder}/{name}"
workers = 1
express = {express}

[log]
level = "error"

[[site]]
name = "www"
hosts = ["{host}"]
origins = ["http://127.0.0.1:{origin}"]

[[site]]
name = "guarded"
hosts = ["{guarded}"]
origins = ["http://127.0.0.1:{origin}"]

[[site.access.rule]]
action = "deny"
path = "/secret/**"
"""

# What a browser sends beside the line and Host.
FIELDS = [
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.5",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Referer: https://www.test/",
    "Cookie: consent=1; theme=dark",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: same-origin",
    "Priority: u=0, i",
]


@dataclasses.dataclass(frozen=True)
class Kind:
    """Requests of one kind. `path` may have `{number}`, which no two requests share."""

    path: str
    requests: int = 150
    fields: tuple = ()
    host: str = HOST
    status: int = 200
    cache: str = "HIT"
    length: int = len(BODY)
    express: bool = True


KINDS = {
    "hit": Kind("/page"),
    "hit-vary": Kind("/vary"),
    "range": Kind("/page", fields=("Range: bytes=100-199",), status=206, length=100),
    "not-modified": Kind("/page", fields=('If-None-Match: "one"',), status=304, length=0),
    "denied": Kind("/secret/page", host=GUARDED, status=403, cache="", length=-1),
    "miss": Kind("/miss/{number:06}", requests=100, cache="MISS"),
    "hit-long-way": Kind("/page", express=False),
}


async def serve(reader, writer):
    """An origin: everything may be stored, what is asked for as /vary by what the client can decode."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            vary = b"Vary: Accept-Encoding\r\n" if b" /vary " in head.split(b"\r\n")[0] else b""
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
                         b"Cache-Control: max-age=86400\r\nETag: \"one\"\r\nServer: origin\r\n" + vary
                         + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
        pass
    finally:
        writer.close()


class Edge(Node):
    """One edge under callgrind, which asks the origin at the port `origin`."""

    def __init__(self, binaries, folder, origin, *, express):
        name = "express" if express else "long-way"
        port, out = Stack.free_base(random.Random(), 1, 0), f"{folder}/{name}.out"
        run = [*command(out, "--instr-atstart=no"), f"{binaries}/weir-edge", "--config", f"{folder}/{name}.toml"]
        super().__init__(name, port, run, folder)
        self.out, self.counter, self.streams, self.asked = out, None, None, 0
        with open(f"{folder}/{name}.toml", "w", encoding="utf-8") as file:
            file.write(SITES.format(name=name, port=port, admin=port + ADMIN, folder=folder, origin=origin, host=HOST,
                                    guarded=GUARDED, express=str(express).lower()))

    async def begin(self):
        """Starts it, and lets one connection be open."""
        self.start()
        await self.ready(60.0)
        self.counter = Counter(self.process, self.out)
        self.streams = await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, kind):
        """One request, which finds the process idle."""
        self.asked += 1
        lines = [f"GET {kind.path.format(number=self.asked)} HTTP/1.1", f"Host: {kind.host}", *FIELDS, *kind.fields, "", ""]
        reader, writer = self.streams
        await self.counter.idle()
        writer.write("\r\n".join(lines).encode())
        first, fields = parse_head(await reader.readuntil(b"\r\n\r\n"))
        status = int(first.split(" ")[1])
        length = 0 if status == 304 else int(fields["content-length"])
        await reader.readexactly(length)
        return status, fields.get("x-cache", ""), length

    async def warm(self, kind, requests=20):
        """Asks until what is to be stored is, and what is done once is done."""
        for _ in range(requests):
            await self.ask(kind)

    async def requests(self, kind, count):
        """Asks `count` times, and sees that each answer is of the kind."""
        expected = (kind.status, kind.cache, kind.length)
        for _ in range(count):
            status, cache, length = await self.ask(kind)
            if (status, cache, kind.length if kind.length < 0 else length) != expected:
                raise CannotCount(f"{kind.path} was answered {status} {cache} with {length} bytes, not {expected}")

    async def count(self, kind):
        """The instructions of one request: those of twice as many requests less those of as many, for each.

        What begins and ends a count cancels out.
        """
        await self.counter.take()
        await self.requests(kind, kind.requests)
        once = await self.counter.take()
        await self.requests(kind, 2 * kind.requests)
        twice = await self.counter.take()
        return (twice - once) / kind.requests
