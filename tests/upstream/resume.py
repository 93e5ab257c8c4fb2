#!/usr/bin/env python3
"""Does a large body go on when the node or the origin that carries it is killed midway?

A body that is too large to store streams for some seconds through an edge, two regionals and a shield. In the
middle the regional that carries it gets kill -9. Then the same with two origins behind the shield, of which the
one that carries it is killed. Last, an origin that breaks off and has another version from then on.

Kept: the client's digest equals that of the origin each time. Where the version changes, the client sees a body
that is too short, all of it of the first version; nothing is stored, and the next request gets the new version whole.

    python3 tests/upstream/resume.py --binaries target/release --rounds 10
"""

import asyncio
import hashlib
import json
import urllib.request

import show
from http1 import Download, Origin, reset
from stack import free_port

MIB = 1 << 20


async def digest_at_origin(port, path):
    """What the whole body is, without any node."""
    whole = await Download().run(port, path)
    if not whole.complete:
        raise RuntimeError("the origin does not send its body")
    return whole.digest()


async def cut_midway(now, port, path, expected, find_carrier):
    """Asks for `path`, kills who carries it in the middle; returns (went well, the longest pause)."""
    download = Download()
    reading = asyncio.ensure_future(download.run(port, path))
    half = now.arguments.size * MIB * now.rng.uniform(0.2, 0.7)
    if await show.within(30, lambda: download.bytes > half or reading.done(), 0.01) is None or reading.done():
        await reading
        now.must(False, f"the body runs long enough to be cut; {download.bytes} bytes came, status {download.status}")
        return False, 0.0, None
    carrier = await asyncio.to_thread(find_carrier, path)
    if carrier is None:
        reading.cancel()
        now.must(False, "somebody carries the body")
        return False, 0.0, None
    carrier.kill()
    at = download.bytes
    pause = await longest_pause(download, reading)
    await reading
    went_well = download.complete and download.digest() == expected
    now.say(f"{carrier.name} killed at {at / MIB:.0f} MiB: "
            f"{'whole' if went_well else f'{download.bytes} bytes, wrong or short'}, longest pause {pause:.2f} s")
    return went_well, pause, carrier


async def longest_pause(download, reading):
    """Watches a download until it ends; the longest time without a byte."""
    longest, seen, since = 0.0, download.bytes, asyncio.get_running_loop().time()
    while not reading.done():
        await asyncio.sleep(0.01)
        at = asyncio.get_running_loop().time()
        if download.bytes != seen:
            longest, seen, since = max(longest, at - since), download.bytes, at
    return longest


async def with_regionals(now, query):
    port = free_port()
    stack = now.stack(origins=[port], edges=1)
    stack.mock(port)
    await stack.start()
    right, pauses = 0, []

    def carrier(_path):
        active = [node for node in stack.regionals if node.metric("weir_fills_active") >= 1]
        return active[0] if len(active) == 1 else None

    for number in range(now.arguments.rounds):
        path = f"/regional/{number}?{query}"
        expected = await digest_at_origin(port, path.replace("drip=", "was="))
        went_well, pause, killed = await cut_midway(now, stack.edges[0].port, path, expected, carrier)
        right += went_well
        pauses.append(pause)
        if killed is not None:
            await stack.start()
    now.note("regionals killed: right", f"{right}/{now.arguments.rounds}")
    now.note("longest pause s", f"{max(pauses):.2f}")
    resumed = stack.edges[0].metric("weir_fills_resumed_total")
    now.note("bodies resumed by the edge", int(resumed))
    now.must(right == now.arguments.rounds, "every body survives the death of its regional")
    stack.close()


async def with_origins(now, query):
    ports = [free_port(), free_port()]
    stack = now.stack(origins=ports, edges=1, regionals=0)
    mocks = [stack.mock(port, f"origin-{number}") for number, port in enumerate(ports)]
    await stack.start()
    right, pauses = 0, []

    def carrier(path):
        for mock in mocks:
            with urllib.request.urlopen(f"http://127.0.0.1:{mock.port}/__origin/stats", timeout=5) as answer:
                if path.split("?")[0] in json.load(answer)["paths"]:
                    return mock
        return None

    for number in range(now.arguments.rounds):
        path = f"/origin/{number}?{query}"
        expected = await digest_at_origin(ports[0], path.replace("drip=", "was="))
        for mock in mocks:
            forget = urllib.request.Request(f"http://127.0.0.1:{mock.port}/__origin/stats", method="DELETE")
            await asyncio.to_thread(lambda forget=forget: urllib.request.urlopen(forget, timeout=5).close())
        went_well, pause, killed = await cut_midway(now, stack.edges[0].port, path, expected, carrier)
        right += went_well
        pauses.append(pause)
        if killed is not None:
            await stack.start()
    now.note("origins killed: right", f"{right}/{now.arguments.rounds}")
    now.note("longest pause there s", f"{max(pauses):.2f}")
    now.must(right == now.arguments.rounds, "every body survives the death of its origin")
    stack.close()


def versioned(version, length):
    """A body that says in every line which version it is of."""
    line = f"version {version} of this body\n".encode()
    return (line * (length // len(line) + 1))[:length]


async def with_another_version(now):
    """An origin breaks off in the middle, and has another version from then on."""
    length, state = 12 * MIB, {"version": 1, "breaks": True}

    async def answer(_origin, _reader, writer, _path, fields):
        body, version = versioned(state["version"], length), state["version"]
        begin = 0
        if f'"{version}"' == fields.get("if-range") and "range" in fields:
            begin = int(fields["range"].removeprefix("bytes=").split("-")[0])
        head = f"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {begin}-{length - 1}/{length}" if begin else "HTTP/1.1 200 OK"
        writer.write(f'{head}\r\nCache-Control: max-age=600\r\nETag: "{version}"\r\n'
                     f"Content-Length: {length - begin}\r\n\r\n".encode())
        if state["breaks"]:
            state.update(version=2, breaks=False)
            writer.write(body[begin:length // 2])
            await writer.drain()
            await asyncio.sleep(0.3)
            reset(writer)
            return
        writer.write(body[begin:])
        await writer.drain()

    origin = Origin(answer)
    stack = now.stack(origins=[await origin.open()])
    await stack.start()
    cut = await Download().run(stack.edges[0].port, "/versions")
    is_old = cut.digest() == digest_of(versioned(1, length)[:cut.bytes])
    stored = [node.metric("weir_store_keys") for node in stack.nodes]
    after = await Download().run(stack.edges[0].port, "/versions")
    is_new = after.complete and after.digest() == digest_of(versioned(2, length))
    now.note("changed midway", f"{cut.bytes} of {length} bytes, then {'the new body' if is_new else 'a wrong one'}")
    now.must(not cut.complete, "a client of a body that changed sees that it is not whole")
    now.must(is_old, "no byte of another version is mixed in")
    now.must(not any(stored), f"nothing of it is stored: {stored}")
    now.must(is_new, "the next request gets the new version whole")
    stack.close()


def digest_of(body):
    return hashlib.blake2b(body, digest_size=16).hexdigest()


async def resume(now):
    query = f"size={now.arguments.size * MIB}&drip={int(now.arguments.drip * 1000)}"
    await with_regionals(now, query)
    await with_origins(now, query)
    await with_another_version(now)


def options(parser):
    parser.add_argument("--rounds", type=int, default=10, help="times that a regional, and an origin, is killed (default %(default)s)")
    parser.add_argument("--size", type=int, default=256, help="MiB of the body; above 32 it is not stored (default %(default)s)")
    parser.add_argument("--drip", type=float, default=4.0, help="seconds that the origin takes for it (default %(default)s)")


if __name__ == "__main__":
    show.run("resume", __doc__, resume, options, limit=400)
