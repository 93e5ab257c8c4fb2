#!/usr/bin/env python3
"""Do clients notice that an origin closes its connections whenever it likes?

Ten thousand GETs for as many keys go through an edge and a shield over kept connections. The origin closes each of
its connections 0 to 20 ms after an answer, which races with the next request on it. Then another origin resets
a connection that it has answered on at every tenth request, and answers when it is asked again.

Kept: every GET is answered with 200 and its own body.

    python3 tests/upstream/flaky.py --binaries target/release
"""

import asyncio

import show
from http1 import Client, Origin, reset


def answer_to(path):
    body = f"this is {path}".encode()
    return b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: %d\r\n\r\n" % len(body) + body


async def ask_all(now, port, name):
    """Asks for all keys over some connections; returns how many answers were wrong or missing."""
    numbers = iter(range(now.arguments.requests))
    wrong = []

    async def ask_some():
        client = Client(port)
        for number in numbers:
            path = f"/{name}/{number}"
            answer = await client.ask(path)
            if answer is None or answer[0] != 200 or answer[2] != f"this is {path}".encode():
                wrong.append(answer and answer[0])
        client.close()

    await asyncio.gather(*(ask_some() for _ in range(now.arguments.clients)))
    return wrong


async def through(now, name, answer):
    origin = Origin(answer)
    stack = now.stack(origins=[await origin.open()], edges=1, regionals=0)
    await stack.start()
    now.say(f"{now.arguments.requests} requests, {name}")
    wrong = await ask_all(now, stack.edges[0].port, name)
    retries = int(stack.shield.metric("weir_upstream_retries_total"))
    now.note(name, f"{len(wrong)} errors of {now.arguments.requests}, {origin.connections} connections, {retries} asked again")
    now.must(not wrong, f"{name}: no client notices, but {len(wrong)} did: {wrong[:5]}")
    stack.close()
    await origin.close()
    return retries


async def flaky(now):
    loop = asyncio.get_running_loop()

    async def closing(_origin, _reader, writer, path, _fields):
        writer.write(answer_to(path))
        await writer.drain()
        loop.call_later(now.rng.uniform(0, 0.020), writer.close)

    met, used = set(), set()

    async def resetting(_origin, _reader, writer, path, _fields):
        # By key, so that asking again meets no second reset: one retry must be enough. A connection that ends at its
        # first request was ended on purpose, and is not asked again.
        if path.endswith("0") and path not in met and writer in used:
            met.add(path)
            used.discard(writer)
            reset(writer)
            return
        used.add(writer)
        writer.write(answer_to(path))
        await writer.drain()

    await through(now, "closing", closing)
    retries = await through(now, "resetting", resetting)
    now.must(retries > 0, "the resets are met at all")


def options(parser):
    parser.add_argument("--requests", type=int, default=10_000, help="to each of the two origins (default %(default)s)")
    parser.add_argument("--clients", type=int, default=20, help="connections of clients (default %(default)s)")


if __name__ == "__main__":
    show.run("flaky", __doc__, flaky, options, limit=180)
