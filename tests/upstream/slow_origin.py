#!/usr/bin/env python3
"""Does everyone who waits for a slow origin get its answer, when it comes, from one request?

The origin thinks for six seconds before its first byte. Fifty clients ask two edges for one cold key.

Kept: one origin request; every client gets 200 and the body at about that time, 0.5 s more at most.

    python3 tests/upstream/slow_origin.py --binaries target/release
"""

import asyncio

import show
from http1 import Download, Origin


async def slow_origin(now):
    arguments = now.arguments

    async def think(_origin, _reader, writer, _path, _fields):
        await asyncio.sleep(arguments.delay)
        writer.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nETag: \"1\"\r\nContent-Length: 4\r\n\r\nslow")

    origin = Origin(think)
    stack = now.stack(origins=[await origin.open()])
    await stack.start()
    now.say(f"{arguments.clients} clients ask")
    asked = [Download().run(stack.edges[number % 2].port, "/slow") for number in range(arguments.clients)]
    got = await asyncio.gather(*asked)
    right = [one.last - one.began for one in got if one.status == 200 and one.complete and one.bytes == 4]
    now.note("origin requests", origin.requests)
    now.note("right answers", f"{len(right)}/{arguments.clients}")
    now.note("first and last after s", f"{min(right, default=0):.2f}/{max(right, default=0):.2f}")
    now.must(origin.requests == 1, f"one origin request, not {origin.requests}")
    now.must(len(right) == arguments.clients, "every client gets the answer")
    now.must(all(arguments.delay - 0.1 <= took <= arguments.delay + 0.5 for took in right), "when the origin gives it")


def options(parser):
    parser.add_argument("--clients", type=int, default=50, help="on both edges together (default %(default)s)")
    parser.add_argument("--delay", type=float, default=6.0, help="seconds to the first byte (default %(default)s)")


if __name__ == "__main__":
    show.run("slow-origin", __doc__, slow_origin, options, limit=60)
