#!/usr/bin/env python3
"""Do requests notice that the disk is full?

The data folder of an edge lies on a small tmpfs, of which the configuration knows nothing: `store.disk` is larger.
Under load of known and ever new URLs the edge fills it by itself; then somebody else fills it up to the last byte,
and keeps it full; then gives it back.

Kept: no request fails; what is known goes on to be hit; `/v1/stats` says that writing is off, the log says it
once; 10 s after there is room, new bodies are kept, and a start finds them.

Mounting needs root; where it is refused, nothing is tried and nothing is broken.

    python3 tests/disk/full.py --binaries target/release --seconds 60
"""

import asyncio
import itertools
import os
import time

import kit
from kit import HOST, KIB, MIB, Client, Ground, show
from known import KnownOrigin, Wrong, version_in

HOT, HOT_BYTES = 200, 16 * KIB
# What the log says when writing is off.
OFF_LINE = "the disk refuses to be written"


class Load:
    """Half of the requests are for known URLs, half for new ones."""

    def __init__(self, now, edge):
        self.now, self.edge = now, edge
        self.hot = [f"/hot/{number}/{HOT_BYTES}" for number in range(HOT)]
        self.numbers = itertools.count()
        self.over = False
        self.failed, self.requests, self.new_bytes = [], 0, 0
        self.forget()

    def forget(self):
        """Counts hits from now on."""
        self.asked = self.hits = 0

    def share(self):
        return self.hits / max(self.asked, 1)

    async def ask(self, client, path):
        """Whether the answer is right and a hit."""
        answer = await client.ask(path, 20)
        self.requests += 1
        try:
            if answer is None:
                raise Wrong(f"no whole answer for {path}")
            version_in(path, answer)
        except Wrong as why:
            self.failed.append(str(why))
            return False
        return answer[1].get("x-cache") == "HIT"

    async def run(self):
        client = Client(self.edge.port)
        while not self.over:
            is_hit = await self.ask(client, self.now.rng.choice(self.hot))
            self.asked, self.hits = self.asked + 1, self.hits + is_hit
            length = self.now.rng.randrange(KIB, 64 * KIB)
            await self.ask(client, f"/new/{next(self.numbers)}/{length}")
            self.new_bytes += length
            await asyncio.sleep(self.now.arguments.pause / 1000)
        client.close()


class Filling:
    """Takes every byte that a file system has left, again and again."""

    def __init__(self, folder):
        self.path, self.ends, self.bytes = f"{folder}/in-the-way", False, 0

    async def run(self):
        with open(self.path, "ab", buffering=0) as file:
            while not self.ends:
                for piece in (MIB, 4 * KIB, 1):
                    self.take(file, bytes(piece))
                await asyncio.sleep(0.01)
        os.unlink(self.path)

    def take(self, file, piece):
        try:
            while self.bytes < 1 << 40:
                self.bytes += file.write(piece)
        except OSError:
            pass


async def fills_itself(now, edge, load):
    """More than the tmpfs holds comes in."""
    wanted = 2 * now.arguments.tmpfs * MIB
    ends = time.monotonic() + 120
    while load.new_bytes < wanted and time.monotonic() < ends:
        await asyncio.sleep(0.1)
    disk = await edge.disk()
    now.say(f"{load.new_bytes // MIB} MiB came, {disk['bytes'] // MIB} MiB are kept, {disk['evictions']} evicted, "
            f"known ones hit {load.share():.1%}")
    now.note("hits while it fills itself", f"{load.share():.1%}")
    now.note("kept of the tmpfs", f"{disk['bytes'] / now.arguments.tmpfs / MIB:.0%}")
    now.must(load.share() >= 0.9, f"known ones are hit while the tier fills the disk: {load.share():.1%}")
    now.must(disk["bytes"] >= now.arguments.tmpfs * MIB / 4, f"the disk is used: {disk['bytes'] // MIB} MiB of it")


async def is_filled(now, edge, load, mount):
    """Somebody takes all the room and gives it back."""
    lines, filling = len(edge.logged(OFF_LINE)), Filling(mount)
    task = asyncio.ensure_future(filling.run())
    load.forget()
    off = await edge.until(lambda disk: disk["writes_off"], now.arguments.seconds)
    await asyncio.sleep(max(0.0, now.arguments.seconds - (off or now.arguments.seconds)))
    filling.ends = True
    await task
    freed, share = time.monotonic(), load.share()
    said = len(edge.logged(OFF_LINE)) - lines
    on = await edge.until(lambda disk: not disk["writes_off"] and disk["open"], 15)
    disk = await edge.disk()
    now.say(f"full for {now.arguments.seconds} s: known ones hit {share:.1%}, off after {off}, {said} lines; {disk}")
    now.note("hits while it is full", f"{share:.1%}")
    now.note("lines in the log", said)
    now.note("writing again after s", "never" if on is None else f"{on:.1f}")
    now.must(off is not None, "/v1/stats says that writing is off")
    now.must(share >= 0.9, f"known ones are hit while the disk is full: {share:.1%}")
    now.must(said <= 1, f"the log says it once, not {said} times")
    now.must(on is not None and on <= 10, f"it is written again within 10 s: {on}")
    return freed


async def keeps_again(now, edge, load, freed):
    """What comes when writing is on again is found by the next start."""
    load.over = True
    left = max(1.0, freed + 10 - time.monotonic())
    now.must(await edge.until(lambda disk: disk["open"] and not disk["writes_off"], left) is not None, "writing is on")
    client = Client(edge.port)
    paths = [f"/after/{number}/{HOT_BYTES}" for number in range(20)]
    for path in paths:
        await load.ask(client, path)
    client.close()
    now.must(await edge.settled(20), "what waits is written in the end")
    now.must(await edge.stop() == 0, "it ends cleanly")
    await edge.begin()
    await edge.until(lambda disk: disk["open"], 20)
    hits = sum([await load.ask(client, path) for path in paths])
    client.close()
    now.note("new ones kept after it", f"{hits}/{len(paths)}")
    now.must(hits >= 0.9 * len(paths), f"new ones are kept again: {hits} of {len(paths)}")


async def full(now):
    arguments, ground = now.arguments, Ground(now)
    data = f"{ground.folder}/data"
    refused = ground.mount(data, "-t", "tmpfs", "-o", f"size={arguments.tmpfs}m", "weir-full")
    if refused:
        now.note("SKIPPED", f"no tmpfs can be mounted here ({refused})")
        return
    origin = KnownOrigin()
    # Half of what is known fits the memory.
    edge = ground.edge(await origin.open(), data=data, memory="2MiB", disk="1GiB", index=arguments.index,
                       index_memory="8MiB", queue_max="4MiB", sync=arguments.sync)
    await edge.begin()
    now.note("index", arguments.index)
    load = Load(now, edge)
    client = Client(edge.port)
    for _ in range(2):
        for path in load.hot:
            await load.ask(client, path)
    client.close()
    now.must(await edge.settled(30), "the known ones are written")
    running = asyncio.gather(*(load.run() for _ in range(4)))
    await fills_itself(now, edge, load)
    freed = await is_filled(now, edge, load, data)
    purged = await edge.purge(urls=[f"http://{HOST}{load.hot[0]}"])
    now.must(purged, "a purge is taken when there is room again")
    await keeps_again(now, edge, load, freed)
    await running
    now.note("requests", load.requests)
    now.note("failed", len(load.failed))
    now.must(not load.failed, f"no request fails: {load.failed[:3]}")
    stopped = edge.logged("the disk tier is given up")
    now.must(not stopped, f"the tier goes on: {stopped[:1]}")
    await origin.close()


def options(parser):
    parser.add_argument("--seconds", type=float, default=10.0, help="how long it is full (default %(default)s; 60 for the show)")
    parser.add_argument("--tmpfs", type=int, default=64, help="MiB of the tmpfs (default %(default)s)")
    parser.add_argument("--pause", type=float, default=2.0, help="ms between two requests of a client (default %(default)s)")
    parser.add_argument("--index", choices=("redb", "sled"), default="redb", help="which index (default %(default)s)")
    parser.add_argument("--sync", choices=("none", "data"), default="none", help="store.sync (default %(default)s)")


if __name__ == "__main__":
    show.run("full", __doc__, full, options, limit=400)
