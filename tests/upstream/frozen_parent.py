#!/usr/bin/env python3
"""What does a parent cost that hangs instead of failing?

An edge has two regionals. While clients ask for ever new keys, one regional gets SIGSTOP: its connections stay
open and nothing comes back. Later it gets SIGCONT.

Kept: each request is answered within the first-byte timeout of a parent (the configured one and the two seconds
that an edge waits longer than a shield) and one retry; from the first failure on, requests do not
notice any more (99th percentile below --after); the regional is asked again soon after SIGCONT.

    python3 tests/upstream/frozen_parent.py --binaries target/release
"""

import asyncio
import time

import show
from http1 import Client, Origin

# How much longer than its configured timeout an edge waits for a parent.
PATIENCE = 2.0


class Load:
    """Asks for a key that nobody has asked for, at a steady rate, whatever comes back."""

    def __init__(self, port, rate):
        self.port, self.rate = port, rate
        self.asked, self.idle, self.running = [], [], set()
        self.stopped = False

    async def run(self):
        begin = time.monotonic()
        while not self.stopped:
            task = asyncio.ensure_future(self.ask(len(self.asked) + len(self.running)))
            self.running.add(task)
            task.add_done_callback(self.running.discard)
            begin += 1 / self.rate
            await asyncio.sleep(begin - time.monotonic())
        await asyncio.gather(*self.running)

    async def ask(self, number):
        client = self.idle.pop() if self.idle else Client(self.port)
        began = time.monotonic()
        answer = await client.ask(f"/new/{number}-{began:.6f}", within=20)
        right = answer is not None and answer[0] == 200
        self.asked.append((began, time.monotonic() - began, right))
        if right:
            self.idle.append(client)


async def frozen_parent(now):
    arguments = now.arguments

    async def answer(_origin, _reader, writer, _path, _fields):
        writer.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 2\r\n\r\nok")

    origin = Origin(answer)
    stack = now.stack(origins=[await origin.open()], edges=1,
                      settings={"upstream.first_byte_timeout": f"{int(arguments.timeout * 1000)}ms"})
    await stack.start()
    load = Load(stack.edges[0].port, arguments.rate)
    loading = asyncio.ensure_future(load.run())
    await asyncio.sleep(2)
    victim = stack.regionals[0]
    victim.freeze()
    frozen = time.monotonic()
    now.say(f"{victim.name} is frozen")
    await asyncio.sleep(arguments.frozen)
    victim.thaw()
    thawed = time.monotonic()
    now.say(f"{victim.name} goes on")
    before = victim.metric("weir_requests_total")
    back = await show.within(arguments.back, lambda: victim.metric("weir_requests_total") > before + 5, 0.1)
    load.stopped = True
    await loading
    judge(now, load.asked, frozen, thawed, back)
    stack.close()


def judge(now, asked, frozen, thawed, back):
    arguments = now.arguments
    bound = arguments.timeout + PATIENCE + 0.5
    during = [one for one in asked if frozen <= one[0] < thawed]
    # The first one that had to wait for the timeout tells the edge; those asked by then wait as well.
    ends = [began + took for began, took, _ in asked if took > arguments.timeout * 0.9 and began + took > frozen]
    known = min(ends, default=frozen)
    later = [took for began, took, _ in during if began > known + 0.1]
    now.note("requests", len(asked))
    now.note("failed", sum(not right for _, _, right in asked))
    now.note("known after s", known - frozen)
    now.note("while not known p50/p99/max ms", show.spread([took for began, took, _ in during if began <= known + 0.1]))
    now.note("later p50/p99/max ms", show.spread(later))
    now.note("later ones that waited", sum(took > 0.5 for took in later))
    now.note("asked again after s", "never" if back is None else f"{back:.1f}")
    now.must(all(right for _, _, right in asked), "every request is answered")
    now.must(max(took for _, took, _ in asked) <= bound, f"each within {bound:.1f} s")
    now.must(len(later) > 20, "there are requests after it is known")
    now.must(show.percentile(later, 99) < arguments.after / 1000, f"later ones within {arguments.after:.0f} ms")
    now.must(back is not None, f"the regional is asked again within {arguments.back:.0f} s")


def options(parser):
    parser.add_argument("--rate", type=float, default=60, help="requests a second (default %(default)s)")
    parser.add_argument("--timeout", type=float, default=1.0, help="first-byte timeout in seconds (default %(default)s)")
    parser.add_argument("--frozen", type=float, default=12.0, help="seconds for which it is frozen (default %(default)s)")
    parser.add_argument("--after", type=float, default=100, help="ms for the p99 of later requests (default %(default)s)")
    parser.add_argument("--back", type=float, default=15.0, help="seconds until it is asked again (default %(default)s)")


if __name__ == "__main__":
    show.run("frozen-parent", __doc__, frozen_parent, options, limit=90)
