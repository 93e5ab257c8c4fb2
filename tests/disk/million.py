#!/usr/bin/env python3
"""What does the disk tier cost for each of very many small bodies, and how soon is it back with them?

Bodies of 1 KiB are put through one edge from `weir-origin-mock`, no faster than the disk takes them, with little
memory and much disk. Then the edge is stopped and started, killed with -9 and started; each time a sample must be
there.

Kept: memory stays below what is configured and `--base` MiB; the sample are hits with the right bytes; the edge is
ready within `--ready` seconds; the tier stays open. With `--burst` more of them come as fast as the edge takes
them, which the disk may not keep up with, and which the tier must survive.

    python3 tests/disk/million.py --binaries target/release --objects 1000000
"""

import asyncio
import glob
import time

import kit
from kit import HOST, KIB, MIB, Client, Ground, show

BODY_BYTES = KIB
# Requests that are under way on one connection.
BATCH = 64
CONNECTIONS = 4


def path_of(number):
    return f"/m/{number % 1000}/{number}?size={BODY_BYTES}"


class Filler:
    """Asks for paths on a few connections, many at a time; waits where the disk is behind."""

    def __init__(self, edge, numbers, waiting_max):
        self.edge, self.numbers, self.waiting_max = edge, iter(numbers), waiting_max
        self.may_go = asyncio.Event()
        self.may_go.set()
        self.done = self.wrong = 0
        self.most_waiting = 0

    async def run(self):
        watching = asyncio.ensure_future(self.watch())
        try:
            await asyncio.gather(*(self.fill() for _ in range(CONNECTIONS)))
        finally:
            watching.cancel()

    async def watch(self):
        while True:
            waiting = await self.edge.waiting()
            self.most_waiting = max(self.most_waiting, waiting)
            if self.waiting_max is not None and waiting > self.waiting_max:
                self.may_go.clear()
            else:
                self.may_go.set()
            await asyncio.sleep(0.05)

    async def fill(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.edge.port, limit=MIB)
        while True:
            await self.may_go.wait()
            batch = [number for _, number in zip(range(BATCH), self.numbers)]
            if not batch:
                break
            writer.write("".join(f"GET {path_of(number)} HTTP/1.1\r\nHost: {HOST}\r\n\r\n" for number in batch).encode())
            for _ in batch:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
                self.wrong += not head.startswith(b"HTTP/1.1 200")
                self.done += 1
        writer.close()


async def sample(now, edge, mock, count, total):
    """How many of some random paths are hits with the origin's bytes, and how many have other bytes."""
    numbers = now.rng.sample(range(total), min(count, total))
    through, direct = Client(edge.port), Client(mock.port)
    hits = wrong = 0
    for number in numbers:
        path = path_of(number)
        right, got = await direct.ask(path), await through.ask(path)
        is_right = right and got and got[0] == 200 and got[2] == right[2]
        wrong += not is_right
        hits += bool(is_right and got[1].get("x-cache") == "HIT")
    through.close()
    direct.close()
    return hits, wrong, len(numbers)


async def judge_start(now, name, edge, mock):
    """Starts it and looks for the sample."""
    ready = await edge.begin(120)
    opened = await edge.until(lambda disk: disk["open"], 120)
    now.must(opened is not None, f"the index opens after {name}")
    hits, wrong, asked = await sample(now, edge, mock, now.arguments.sample, now.arguments.objects)
    now.note(f"{name}: ready ms", round(ready * 1000))
    now.note(f"{name}: hits", f"{hits}/{asked}")
    now.must(ready <= now.arguments.ready, f"ready {now.arguments.ready} s after {name}, not {ready:.1f}")
    now.must(not wrong, f"right bytes after {name}: {wrong} of {asked} are not")
    now.must(hits >= asked * now.arguments.kept, f"the sample is there after {name}: {hits} of {asked} are hits")


async def fill(now, edge):
    """Puts all objects in; notes the rate."""
    arguments = now.arguments
    filler = Filler(edge, range(arguments.objects), 2_000)
    filling = asyncio.ensure_future(filler.run())
    began, told = time.monotonic(), 0
    while not filling.done():
        await asyncio.wait([filling], timeout=1)
        if filler.done - told >= arguments.objects // 10:
            told = filler.done
            now.say(f"{told} objects after {time.monotonic() - began:.0f} s, {edge.resident_bytes() // MIB} MiB resident")
    await filling
    settled = await edge.settled(300)
    took = time.monotonic() - began
    now.must(settled, "everything is written in the end")
    now.must(not filler.wrong, f"every answer is a 200: {filler.wrong} are not")
    now.note("objects/s", round(arguments.objects / took))
    now.note("CPU us an object", round(edge.cpu_seconds() * 1e6 / arguments.objects))


def weigh(now, edge, disk):
    """Notes memory and disk for each object."""
    arguments = now.arguments
    limit = (arguments.memory + arguments.index_memory + arguments.queue + arguments.base) * MIB
    peak = edge.peak_bytes()
    now.note("RSS peak/limit MiB", f"{peak // MIB}/{limit // MIB}")
    now.must(peak <= limit, f"memory stays below {limit // MIB} MiB, not {peak // MIB}")
    length, given = kit.disk_use(f"{edge.store}/bodies")
    _, index_given = kit.disk_use(*glob.glob(f"{edge.store}/index*"))
    count = max(disk["files"], 1)
    now.note("keys", disk["keys"])
    now.note("bytes of a file beyond its body", round(length / count - BODY_BYTES))
    now.note("the same as the file system gives them out", round(given / count - BODY_BYTES))
    now.note("bytes of the index an object", round(index_given / count))
    now.note("charged an object", round(disk["bytes"] / max(disk["keys"], 1)))
    now.must(given + index_given <= disk["bytes_max"], "no more disk is used than configured")
    used = given + index_given
    now.note("used/charged MiB", f"{used // MIB}/{disk['bytes'] // MIB}")
    # A small index is mostly room.
    now.must(used <= disk["bytes"] * 1.1 + 32 * MIB, f"what is charged covers what is used: {disk['bytes']} for {used}")


async def burst(now, edge):
    """More than the disk can take: what does not fit may be lost, the tier not."""
    arguments = now.arguments
    filler = Filler(edge, range(10_000_000, 10_000_000 + arguments.burst), None)
    began = time.monotonic()
    await filler.run()
    now.note("burst objects/s", round(arguments.burst / (time.monotonic() - began)))
    now.note("most keys that waited", round(filler.most_waiting))
    stopped = edge.logged("the disk tier is given up")
    now.must(not filler.wrong, f"every answer of the burst is a 200: {filler.wrong} are not")
    now.must(not stopped, f"a burst does not end the tier: {stopped[:1]}")
    now.must(await edge.settled(300), "the burst is written or let go of in the end")


async def million(now):
    arguments, ground = now.arguments, Ground(now)
    mock = await ground.mock("--cache-control", "public, max-age=864000")
    edge = ground.edge(mock.port, memory=f"{arguments.memory}MiB", disk="100GiB", index=arguments.index,
                       index_memory=f"{arguments.index_memory}MiB", queue_max=f"{arguments.queue}MiB")
    await edge.begin()
    now.note("index", arguments.index)
    await fill(now, edge)
    disk = await edge.disk()
    await asyncio.to_thread(weigh, now, edge, disk)
    now.must(disk["keys"] >= arguments.objects * arguments.kept, f"all are on disk: {disk['keys']} of {arguments.objects}")
    now.must(await edge.stop() == 0, "it ends cleanly")
    await judge_start(now, "a clean stop", edge, mock)
    edge.kill()
    await judge_start(now, "kill -9", edge, mock)
    if arguments.burst:
        await burst(now, edge)


def options(parser):
    parser.add_argument("--objects", type=int, default=50_000, help="how many (default %(default)s; 1000000 for the show)")
    parser.add_argument("--index", choices=("redb", "sled"), default="redb", help="which index (default %(default)s)")
    parser.add_argument("--sample", type=int, default=1000, help="how many are looked for (default %(default)s)")
    parser.add_argument("--memory", type=int, default=64, help="MiB of store.memory (default %(default)s)")
    parser.add_argument("--index-memory", type=int, default=64, help="MiB of store.index_memory (default %(default)s)")
    parser.add_argument("--queue", type=int, default=64, help="MiB of store.queue_max (default %(default)s)")
    parser.add_argument("--base", type=int, default=96, help="MiB for all the rest of the process (default %(default)s)")
    parser.add_argument("--ready", type=float, default=2.0, help="seconds to be ready again (default %(default)s)")
    parser.add_argument("--kept", type=float, default=0.999, help="share that must be there (default %(default)s)")
    parser.add_argument("--burst", type=int, default=0, help="objects in a burst at the end; 300000 for the show (default %(default)s)")


if __name__ == "__main__":
    show.run("million", __doc__, million, options, limit=3600)
