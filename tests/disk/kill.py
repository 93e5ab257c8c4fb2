#!/usr/bin/env python3
"""What is left of the disk tier after `kill -9`, and is every byte of it right?

An edge stores bodies of 1 to 64 KiB, and some of several MiB that lie in slices, while others are read and purged.
At a random moment it gets SIGKILL; in one of four rounds again while it starts. It starts, and everything is read
back from an origin that has other bodies under the same URLs by then, so that what was stored tells itself from
what is fetched.

Kept: every body is whole and of one version; what was purged before the kill never comes back; of what was stored
2 s before it, `--kept` is still there, and `--usable` can be used without asking the origin first; the edge is ready
within `--ready` seconds; nothing counts as damaged.

    python3 tests/disk/kill.py --binaries target/release --rounds 100
    python3 tests/disk/kill.py --binaries target/release --index sled
"""

import asyncio
import itertools
import random
import time

import kit
from kit import Client, Ground, show
from known import EPOCH, KnownOrigin, Wrong, path_for, tag_of, version_in, was_there

# Rounds whose bodies are read back; those before are purged.
WINDOW = 3
# How long before a kill something must have been stored to be old.
OLD = 2.0


class Memory:
    """What the show knows: what was asked for, what must be there, and what must not."""

    def __init__(self, origin):
        self.origin = origin
        self.paths = {}
        # When what is stored under a path was stored.
        self.stored = {}
        # The version that no read from now on may be below.
        self.floor, self.purged_at, self.purging = {}, {}, set()
        self.wrong, self.revived = [], []

    def judge(self, path, floor, answer):
        """The version of an answer, None if it was wrong; `floor` is that of when it was asked for."""
        try:
            version = version_in(path, answer)
        except Wrong as why:
            self.wrong.append(str(why))
            return None
        if version > self.origin.version(path):
            self.wrong.append(f"{path} has version {version}, which the origin never said")
            return None
        if version < floor:
            self.revived.append(f"{path} has version {version}, purged up to {floor}")
        return version

    def begin_purge(self, paths):
        for path in paths:
            self.purging.add(path)
            self.stored.pop(path, None)

    def end_purge(self, versions, holds):
        for path, version in versions.items():
            self.purging.discard(path)
            self.stored.pop(path, None)
            self.purged_at[path] = time.monotonic()
            if holds:
                self.floor[path] = max(self.floor.get(path, 0), version)

    def note(self, path, began, fields):
        """Notes that an answer was whole: what was fetched is stored from now on."""
        if path in self.purging or began <= self.purged_at.get(path, 0.0):
            return
        if fields.get("x-cache") != "HIT":
            self.stored[path] = time.monotonic()
        else:
            self.stored.setdefault(path, time.monotonic())


class Load:
    """Readers and a purger, until the edge is killed."""

    def __init__(self, now, memory, edge, number):
        self.now, self.memory, self.edge = now, memory, edge
        self.rng = random.Random(f"{now.arguments.seed} {number}")
        self.numbers = itertools.count()
        self.prefix = f"r{number}"
        self.mine, self.over, self.failed, self.reads = [], False, 0, 0
        memory.paths[number] = self.mine

    def pick(self):
        arguments = self.now.arguments
        if len(self.mine) < arguments.objects and (not self.mine or self.rng.random() < 0.7):
            self.mine.append(path_for(self.rng, self.prefix, next(self.numbers), arguments.large_every))
            return self.mine[-1]
        return self.rng.choice(self.rng.choice([paths for paths in self.memory.paths.values() if paths]))

    async def read(self):
        client = Client(self.edge.port)
        while not self.over:
            path = self.pick()
            floor, began = self.memory.floor.get(path, 0), time.monotonic()
            answer = await client.ask(path, 20)
            if answer is None:
                # What the kill has cut is no failure.
                self.failed += not self.over
                await asyncio.sleep(0.01)
                continue
            self.reads += 1
            if self.memory.judge(path, floor, answer) is not None and not self.over:
                self.memory.note(path, began, answer[1])
            await asyncio.sleep(self.rng.random() * 0.004)
        client.close()

    async def purge(self):
        while not self.over:
            await asyncio.sleep(self.rng.random() * 0.1)
            if not self.mine or self.over:
                continue
            path = self.rng.choice(self.mine)
            if path in self.memory.purging:
                continue
            self.memory.begin_purge([path])
            version = self.memory.origin.change(path)
            holds = await self.edge.purge(**self.wish(path))
            self.memory.end_purge({path: version}, holds)

    def wish(self, path):
        return self.rng.choice([
            {"urls": [f"http://{kit.HOST}{path}"]},
            {"urls": [f"http://{kit.HOST}{path}"], "mode": "invalidate"},
            {"tags": [tag_of(path)]},
            {"prefixes": [kit.HOST + path]},
            {"globs": [f"{kit.HOST}{path.rpartition('/')[0]}/*"]},
        ])


async def forget_old(memory, edge, number):
    """Purges the rounds before the window; their bodies must not come back either."""
    old = [at for at in memory.paths if at <= number - WINDOW]
    for at in old:
        paths = memory.paths.pop(at)
        memory.begin_purge(paths)
        memory.origin.epoch += 1
        versions = {path: memory.origin.version(path) for path in paths}
        # Those that were kept for later rounds lie under the prefixes of earlier ones.
        prefixes = sorted({f"{kit.HOST}/{path.split('/')[1]}/" for path in paths})
        holds = await edge.purge(prefixes=prefixes)
        memory.end_purge(versions, holds)
        # A few are read in later rounds, too.
        memory.paths[at + 1][:0] = paths[:5]


async def one_round(now, memory, edge, number):
    """Load, kill, start, read everything back; returns its figures."""
    load = Load(now, memory, edge, number)
    tasks = [asyncio.ensure_future(one) for one in (*(load.read() for _ in range(8)), load.purge(), load.purge())]
    await asyncio.sleep(load.rng.uniform(0.5, now.arguments.load))
    waiting = await edge.waiting()
    load.over, killed = True, time.monotonic()
    edge.kill()
    await asyncio.wait_for(asyncio.gather(*tasks), 30)
    now.must(not load.failed, f"no request fails while the edge runs: {load.failed} did in round {number}")
    stored = dict(memory.stored)
    if load.rng.random() < 0.25:
        edge.start()
        await asyncio.sleep(load.rng.random() * 0.3)
        edge.kill()
    memory.origin.epoch += 1
    began = time.monotonic()
    ready = await edge.begin()
    opened = await edge.until(lambda disk: disk["open"], 30)
    now.must(opened is not None, "the index opens")
    there, hits, first = await read_back(memory, edge)
    old = {path for path, at in stored.items() if killed - at > OLD}
    now.say(f"round {number}: {load.reads} reads, {len(stored)} stored of which {len(there & set(stored))} kept, {len(old)} "
            f"old of which {len(there & old)} and {len(hits & old)} usable; {waiting:.0f} keys waited at the kill; ready "
            f"after {ready * 1000:.0f} ms, open {opened * 1000:.0f} ms later")
    return {"ready": ready, "first": first and first - began, "reads": load.reads, "old": len(old),
            "stored": len(stored), "kept": len(there & set(stored)), "old kept": len(there & old),
            "old usable": len(hits & old), "lost": sorted(old - there)}


async def read_back(memory, edge):
    """Reads every path; returns those that were stored, those of them that were used, and when the first was."""
    todo = sorted({path for paths in memory.paths.values() for path in paths})
    random.Random(1).shuffle(todo)
    there, hits, first = set(), set(), []
    before = memory.origin.epoch * EPOCH

    async def some():
        client = Client(edge.port)
        while todo:
            path = todo.pop()
            floor, began = memory.floor.get(path, 0), time.monotonic()
            answer = await client.ask(path, 30)
            if answer is None:
                memory.wrong.append(f"no whole answer for {path} after the start")
                continue
            version = memory.judge(path, floor, answer)
            if version is None:
                continue
            memory.note(path, began, answer[1])
            if was_there(answer, before):
                there.add(path)
            if version < before:
                hits.add(path)
                first.append(time.monotonic())
        client.close()

    await asyncio.gather(*(some() for _ in range(8)))
    return there, hits, min(first, default=None)


async def kill(now):
    arguments = now.arguments
    ground, origin = Ground(now), KnownOrigin()
    edge = ground.edge(await origin.open(), memory="64MiB", disk="16GiB", object_max="64MiB", slice="1MiB",
                       index=arguments.index, index_memory="16MiB", sync=arguments.sync)
    memory = Memory(origin)
    await edge.begin()
    rounds, faults = [], 0
    for number in range(arguments.rounds):
        rounds.append(await one_round(now, memory, edge, number))
        faults += await edge.until(lambda disk: True, 5) is None or (await edge.disk())["faults"]
        damaged = await asyncio.to_thread(edge.metric, "weir_disk_faults_total", reason="damaged")
        now.must(not damaged, f"a kill damages no file: {damaged:.0f} in round {number}")
        await forget_old(memory, edge, number)
    await asyncio.to_thread(report, now, memory, rounds, faults)
    await origin.close()


def report(now, memory, rounds, faults):
    arguments = now.arguments
    total = {name: sum(one[name] for one in rounds) for name in ("reads", "stored", "kept", "old", "old kept", "old usable")}
    kept, usable = (total[name] / max(total["old"], 1) for name in ("old kept", "old usable"))
    now.note("index", arguments.index)
    now.note("kills", len(rounds))
    now.note("reads under load", total["reads"])
    now.note("wrong answers", len(memory.wrong))
    now.note("purged ones that came back", len(memory.revived))
    now.note("kept of old ones", f"{kept:.2%} of {total['old']}")
    now.note("of them usable unasked", f"{usable:.2%}")
    now.note("kept of all", f"{total['kept'] / max(total['stored'], 1):.2%} of {total['stored']}")
    now.note("ready p50/max ms", kit.milliseconds([one["ready"] for one in rounds]))
    now.note("first hit p50/max ms", kit.milliseconds([one["first"] for one in rounds if one["first"]]))
    now.note("rows and files that did not fit", faults)
    lost = [path for one in rounds for path in one["lost"]]
    now.say(f"old ones that were lost: {lost[:10]}")
    now.must(not memory.wrong, f"every body is right: {memory.wrong[:3]}")
    now.must(not memory.revived, f"nothing that was purged comes back: {memory.revived[:3]}")
    now.must(total["old"] > 0, "something was stored early enough to be old")
    now.must(kept >= arguments.kept, f"{arguments.kept:.0%} of what was stored {OLD:.0f} s before a kill is kept, not {kept:.2%}")
    now.must(usable >= arguments.usable, f"{arguments.usable:.0%} of it can be used unasked, not {usable:.2%}")
    slowest = max(one["ready"] for one in rounds)
    now.must(slowest <= arguments.ready, f"ready within {arguments.ready} s, not {slowest:.1f}")


def options(parser):
    parser.add_argument("--rounds", type=int, default=5, help="times that it is killed (default %(default)s; 100 for the show)")
    parser.add_argument("--index", choices=("redb", "sled"), default="redb", help="which index (default %(default)s)")
    parser.add_argument("--sync", choices=("none", "data"), default="none", help="store.sync (default %(default)s)")
    parser.add_argument("--load", type=float, default=5.0, help="longest load before a kill, in seconds (default %(default)s)")
    parser.add_argument("--objects", type=int, default=1500, help="new URLs in a round at most (default %(default)s)")
    parser.add_argument("--large-every", type=int, default=100, help="each such URL is of several MiB (default %(default)s)")
    parser.add_argument("--kept", type=float, default=0.95, help="share of old ones that must be kept (default %(default)s)")
    parser.add_argument("--usable", type=float, default=0.9, help="share of them that must be used unasked (default %(default)s)")
    parser.add_argument("--ready", type=float, default=5.0, help="seconds to be ready again (default %(default)s)")


if __name__ == "__main__":
    show.run("kill", __doc__, kill, options, limit=3600)
