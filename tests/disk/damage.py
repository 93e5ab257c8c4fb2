#!/usr/bin/env python3
"""What does the disk tier make of files that are not as it left them?

An edge keeps some hundred bodies, of which some lie in slices, and is stopped. Then bytes are flipped in some
files, some are cut, some are removed; later the same is done to its index; later that is removed; later its whole
folder cannot be written. After each, everything is read from an origin that has other bodies by then.

Kept: every answer is right, whether it was stored or fetched; one that had begun when a slice in its middle was
found spoilt, of a body that the origin has no more, is cut, and whole when it is asked for again; faults are counted; what was purged stays so; little
is set aside in `bad`; an index that is lost is built anew from the files; a second edge in the same folder refuses
to start and says why; with a folder that cannot be written an edge serves, or refuses with a reason.

Making a folder read-only needs root; where that is refused, it is not tried.

    python3 tests/disk/damage.py --binaries target/release --index redb
    python3 tests/disk/damage.py --binaries target/release --index sled --rounds 20
"""

import asyncio
import glob
import os

import kit
from kit import HOST, KIB, MIB, Client, Ground, show
from known import EPOCH, KnownOrigin, Wrong, path_for, version_in, was_there

# Bytes of a slice.
SLICE = MIB
# Files that are hurt in each way.
HURT = 12
# Bodies and indexes that may lie in `bad`.
BAD_MAX = 20


class Store:
    """The edge, what it was asked for, and what an answer may be."""

    def __init__(self, now, ground, origin, port):
        self.now, self.origin = now, origin
        self.paths = [path_for(now.rng, "d", number, 50) for number in range(now.arguments.objects)]
        self.purged = {}
        self.cut = 0
        self.edge = ground.edge(port, memory="32MiB", disk="2GiB", object_max="64MiB", slice=f"{SLICE}B", scrub="0B",
                                index=now.arguments.index, index_memory="16MiB")

    async def read_all(self, after):
        """Reads everything from an origin that has something else; returns what was stored."""
        self.origin.epoch += 1
        there, wrong, client = set(), [], Client(self.edge.port)
        for path in self.paths:
            answer = await client.ask(path, 30)
            tries = 0
            while answer is None and int(path.rsplit("/", 1)[1]) > SLICE and tries < 3:
                # What was sent of it cannot be called back, and there is no more of it anywhere. An index that is
                # being built anew may find some of its slices meanwhile.
                self.cut, tries = self.cut + 1, tries + 1
                answer = await client.ask(path, 30)
            try:
                if answer is None:
                    raise Wrong(f"no whole answer for {path}")
                version = version_in(path, answer)
            except Wrong as why:
                wrong.append(str(why))
                continue
            if version < self.purged.get(path, 0):
                wrong.append(f"{path} was purged and came back")
            if was_there(answer, self.origin.epoch * EPOCH):
                there.add(path)
        client.close()
        self.now.must(not wrong, f"every answer is right {after}: {len(wrong)} are not, {wrong[:3]}")
        return there

    async def fill(self):
        """Has everything stored as it is at the origin now, and some of it purged and not asked for again."""
        await self.read_all("at first")
        self.now.must(await self.edge.settled(), "everything is written")

    async def purge_some(self):
        for path in self.now.rng.sample(self.paths, 10):
            self.purged[path] = self.origin.change(path)
            self.now.must(await self.edge.purge(urls=[f"http://{HOST}{path}"]), "a purge is taken")

    async def restart(self):
        """Starts it and waits until its index is open and, if it was lost, rebuilt."""
        await self.edge.begin()
        opened = await self.edge.until(lambda disk: disk["open"], 30)
        self.now.must(opened is not None, "the index opens")

    async def rebuilt(self):
        """Waits until nothing more is found."""
        before, same = -1, 0
        while same < 10:
            keys = (await self.edge.disk()).get("keys", 0)
            same = same + 1 if keys == before else 0
            before = keys
            await asyncio.sleep(0.1)

    async def stop(self):
        self.now.must(await self.edge.stop() == 0, "it ends cleanly")

    def bad(self):
        """What was set aside."""
        return os.listdir(f"{self.edge.store}/bad")


def flip(rng, path, low=0):
    """Flips one bit at `low` or later."""
    size = os.path.getsize(path)
    at = rng.randrange(min(low, size - 1), size)
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << rng.randrange(8)]))


def cut(rng, path):
    os.truncate(path, rng.randrange(os.path.getsize(path)))


async def hurt_bodies(now, store):
    """Flips, cuts and removes files of bodies."""
    files = kit.bodies(store.edge.store)
    chosen = now.rng.sample(files, min(4 * HURT, len(files)))
    large = [path for path in files if os.path.getsize(path) > MIB - 64 * KIB][:3]
    for path in {*chosen[:2 * HURT], *large}:
        flip(now.rng, path)
    for path in chosen[2 * HURT:3 * HURT]:
        cut(now.rng, path)
    for path in chosen[3 * HURT:]:
        os.unlink(path)
    await store.restart()
    there = await store.read_all("after bodies were spoilt")
    faults = (await store.edge.disk())["faults"]
    hurt = len({*chosen, *large})
    now.note("bodies hurt, faults counted", f"{hurt}, {faults}")
    now.note("there beside", f"{len(there)}/{len(store.paths)}")
    now.note("set aside", len(store.bad()))
    now.note("cut, and whole when asked again", store.cut)
    # A flip in what a file says of itself behind its body is of no account to whoever reads the body.
    now.must(faults >= hurt * 0.7, f"faults are counted: {faults} for {hurt} files")
    now.must(len(store.bad()) <= BAD_MAX, f"little is set aside: {len(store.bad())}")
    now.must(len(there) >= len(store.paths) - hurt - len(store.purged),
             f"only what was hurt is fetched: {len(there)} of {len(store.paths)} are there, {hurt} files were hurt")
    now.must(await store.edge.settled(), "what was fetched instead is written")
    again = await store.read_all("once more")
    now.must(len(again) >= len(store.paths) - 2, f"what was fetched instead is kept: {len(again)} there")


def index_files(store):
    """Files of the index, largest first."""
    return sorted((path for at in glob.glob(f"{store.edge.store}/index*")
                   for path in ([at] if os.path.isfile(at) else glob.glob(f"{at}/**", recursive=True))
                   if os.path.isfile(path) and os.path.getsize(path)), key=os.path.getsize, reverse=True)


def spoil(rng, path, way):
    """Spoils one file of an index."""
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        for _ in range({"flips": 20, "pages": 5, "head": 1, "zeros": 5}.get(way, 0)):
            at = 0 if way == "head" else rng.randrange(size)
            length = {"flips": 1, "pages": 4096, "head": 512, "zeros": 4096}[way]
            file.seek(at)
            old = file.read(length)
            new = bytes(len(old)) if way == "zeros" else bytes([old[0] ^ 1 << rng.randrange(8)]) \
                if way == "flips" else rng.randbytes(len(old))
            file.seek(at)
            file.write(new)
        if way == "cut":
            file.truncate(rng.randrange(size))


async def hurt_index(now, store, number):
    """Spoils files of the index in one of some ways."""
    way = ("pages", "cut", "flips", "head", "zeros")[number % 5]
    files = index_files(store)
    for path in files[:1] if way != "flips" else files:
        spoil(now.rng, path, way)
    await store.restart()
    await store.rebuilt()
    there = await store.read_all(f"after the index was spoilt ({way})")
    set_aside = len(store.edge.logged("was set aside; it is built anew"))
    now.say(f"index spoilt by {way}: {len(there)} of {len(store.paths)} are there, set aside {set_aside} times so far")
    now.must(await store.edge.settled(), "what was fetched instead is written")
    now.must(len(store.bad()) <= BAD_MAX, f"little is set aside: {len(store.bad())}")
    return len(there)


async def lose_index(now, store):
    """Removes the index; the files say themselves what they are."""
    for path in glob.glob(f"{store.edge.store}/index*"):
        kit.command("rm", "-r", path)
    await store.restart()
    await store.rebuilt()
    there = await store.read_all("after the index was lost")
    now.note("there from a lost index", f"{len(there)}/{len(store.paths)}")
    now.must(len(there) >= 0.9 * (len(store.paths) - len(store.purged)),
             f"a lost index is built anew: {len(there)} of {len(store.paths)} are there")


def judge_refusal(now, name, edge, folder):
    """An edge that does not start ends with a code, and says which folder it is about."""
    code = edge.process.poll()
    said = (edge.logged("error: ") or ["nothing"])[-1]
    now.note(name, f"refuses: {said} (exit {code})")
    now.must(code not in (0, None), f"{name} ends with a code: {code}")
    now.must(folder in said and "panic" not in said, f"{name} is told why: {said}")


async def two_edges(now, ground, store, port):
    """A second edge in the folder of one that runs."""
    other = ground.edge(port, name="second", memory="32MiB", disk="2GiB", index=now.arguments.index)
    other.start()
    await show.within(10, lambda: not other.is_running())
    judge_refusal(now, "a second edge", other, store.edge.data)
    other.kill()
    there = await store.read_all("while another edge tried")
    now.must(len(there) >= 0.9 * len(store.paths), f"the first edge is none the worse: {len(there)} there")


async def read_only(now, ground, store, data):
    """A folder that can be read and not written: all data of the edge, or its tier alone."""
    name = f"read-only {os.path.basename(data)}"
    refused = ground.mount(data, "--bind", data) or kit.command("mount", "-o", "remount,ro,bind", data)
    if refused:
        now.note(name, f"SKIPPED, not possible here ({refused})")
        return
    try:
        await store.edge.begin(10)
        there = await store.read_all("from a folder that cannot be written")
        disk = await store.edge.disk()
        now.note(name, f"serves, {len(there)}/{len(store.paths)} there, writes_off {disk.get('writes_off')}")
        await store.edge.stop()
    except RuntimeError:
        judge_refusal(now, name, store.edge, data)
    store.edge.kill()
    ground.unmount(data)
    await store.restart()
    there = await store.read_all("after the folder can be written again")
    now.must(len(there) >= 0.9 * len(store.paths), f"nothing is lost by it: {len(there)} there")
    await store.stop()


async def damage(now):
    ground, origin = Ground(now), KnownOrigin()
    port = await origin.open()
    store = Store(now, ground, origin, port)
    now.note("index", now.arguments.index)
    await store.edge.begin()
    await store.fill()
    await store.purge_some()
    now.must(await store.edge.settled(), "purges are written")
    await store.stop()
    await hurt_bodies(now, store)
    there = []
    for number in range(now.arguments.rounds):
        await store.purge_some()
        now.must(await store.edge.settled(), "purges are written")
        await store.stop()
        there.append(await hurt_index(now, store, number))
    now.note("there after the index was spoilt", "/".join(map(str, there)))
    await store.stop()
    await lose_index(now, store)
    await two_edges(now, ground, store, port)
    now.must(await store.edge.settled(), "everything is written")
    await store.stop()
    for folder in (store.edge.data, store.edge.store):
        await read_only(now, ground, store, folder)
    # What a library makes of a spoilt file is met where it is called.
    panics = [line for line in store.edge.logged("telemetry: panicked") if "/registry/" not in line]
    now.must(not panics, f"nothing of ours panics: {panics[:2]}")
    await origin.close()


def options(parser):
    parser.add_argument("--index", choices=("redb", "sled"), default="redb", help="which index (default %(default)s)")
    parser.add_argument("--objects", type=int, default=300, help="bodies that are kept (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="times that the index is spoilt (default %(default)s)")


if __name__ == "__main__":
    show.run("damage", __doc__, damage, options, limit=600)
