#!/usr/bin/env python3
"""How many instructions does a request cost, and a step of a hit, and is that more than it was?

An edge runs under valgrind's callgrind, with one worker and an origin in this script. Requests of each kind are asked over one
connection, each when the node has become idle, N of them and then 2N; the difference divided by N is what one costs. The steps are
loops (store/examples/steps.rs) that run N times and 2N times.

Kept: no kind costs more than baseline.json allows, as a multiple of a yardstick that is counted in the same run.
A kind that has become cheaper is said. With --update the figures of this run become the baseline. Counts mean something beside
counts of the same kind alone: a copy of a body may count as one instruction or as one for each byte.

    apt-get install valgrind
    python3 tests/instructions/run.py --binaries DIR --steps DIR/examples/steps
    python3 tests/instructions/run.py --only hit --only lookup --rounds 5
"""

import asyncio
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile

# After the folder of this script, which has a `run.py` as well.
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "upstream"))

import baseline  # noqa: E402
import callgrind  # noqa: E402
import edge  # noqa: E402
import show  # noqa: E402

YARDSTICK = "yardstick"
# How often each step is repeated: enough for what is done once in a while to show.
STEPS = {"parse": 2000, "key": 1000, "lookup": 2560, "decide": 4000, "head": 2000}
KINDS = [*edge.KINDS, *STEPS]


class Ground:
    """The folder and the nodes of a run; gone when the show ends."""

    def __init__(self, now):
        self.folder, self.keep = tempfile.mkdtemp(prefix="weir-instructions-"), now.arguments.keep
        self.nodes = []
        now.stacks.append(self)

    async def edge(self, now, origin, express):
        node = edge.Edge(os.path.abspath(now.arguments.binaries), self.folder, origin, express=express)
        self.nodes.append(node)
        await node.begin()
        return node

    def close(self):
        for node in self.nodes:
            node.kill()
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def spread(counts):
    """How far apart several counts are, in percent of their median."""
    return (max(counts) - min(counts)) / statistics.median(counts) * 100


def noted(now, name, counts, spreads):
    """The median of what a kind was counted to cost."""
    spreads[name] = spread(counts)
    count = statistics.median(counts)
    apart = f", {spreads[name]:.2f} % apart in {len(counts)} rounds" if len(counts) > 1 else ""
    now.say(f"{name}: {count:.0f} instructions{apart}")
    return count


async def step(now, ground, name, count):
    """The instructions of one repetition of a step."""
    path = now.arguments.steps or f"{now.arguments.binaries}/examples/steps"
    once = await callgrind.program(ground.folder, path, name, str(count))
    twice = await callgrind.program(ground.folder, path, name, str(2 * count))
    return (twice - once) / count


async def steps(now, ground, counts, spreads):
    """Counts the steps, each once: nothing runs beside them."""
    for name in (name for name in STEPS if name in now.wanted):
        counts[name] = noted(now, name, [await step(now, ground, name, STEPS[name])], spreads)


async def requests(now, ground, counts, spreads):
    """Counts requests, on one node after the other."""
    origin = await asyncio.start_server(edge.serve, "127.0.0.1", 0)
    port = origin.sockets[0].getsockname()[1]
    for express in (True, False):
        kinds = {name: kind for name, kind in edge.KINDS.items() if name in now.wanted and kind.express == express}
        if not kinds:
            continue
        node = await ground.edge(now, port, express)
        now.say(f"an edge is ready, express = {str(express).lower()}")
        for kind in kinds.values():
            await node.warm(kind)
        await node.counter.begin()
        for name, kind in kinds.items():
            rounds = [await node.count(kind) for _ in range(now.arguments.rounds)]
            counts[name] = noted(now, name, rounds, spreads)
        await node.counter.end()
        now.must(node.is_running(), "the node lives")
        node.kill()


def made_with():
    """What counts depend on beside the source."""
    def said(*words):
        try:
            return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
        except OSError:
            return "unknown"
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        flags = next((line.split() for line in file if line.startswith(("flags", "Features"))), [])
    return {"machine": platform.machine(), "rustc": said("rustc", "-V"), "valgrind": said("valgrind", "--version"),
            "vectors": next((name for name in ("avx2", "sse4_2", "asimd") if name in flags), "none")}


def compare(now, base, counts, yardstick):
    """Says of each kind what has become of it."""
    dearer = False
    for name, count in counts.items():
        compared = baseline.Compared(name, count, yardstick, base, now.arguments.tolerance)
        now.note(name, str(compared))
        now.must(not compared.complaint(), compared.complaint())
        dearer |= compared.verdict == baseline.DEARER
        if compared.verdict == baseline.CHEAPER:
            now.note(f"{name} is better", f"{compared.change:+.1f} %: run with --update, so that it stays so")
    for name in base["kinds"]:
        now.must(name in KINDS, f"{name} has a baseline, and nobody counts it: remove it from baseline.json")
    made = made_with()
    others = [f"{key}: {made.get(key)} instead of {was}" for key, was in base["made_with"].items() if made.get(key) != was]
    if dearer and others:
        now.note("not as the baseline", ", ".join(others))


async def instructions(now):
    if callgrind.missing():
        return now.must(False, f"what counts is installed, and not missing: {', '.join(callgrind.missing())} "
                               "(apt-get install valgrind)")
    now.wanted = now.arguments.only or KINDS
    ground, counts, spreads = Ground(now), {}, {}
    try:
        yardstick = await step(now, ground, YARDSTICK, 2000)
        await steps(now, ground, counts, spreads)
        await requests(now, ground, counts, spreads)
    except (callgrind.CannotCount, OSError, RuntimeError, asyncio.IncompleteReadError) as error:
        return now.must(False, f"everything can be counted: {error}")
    base = baseline.load()
    if now.arguments.update:
        base = baseline.updated(base, counts, yardstick, made_with())
        baseline.write(base)
    compare(now, base, counts, yardstick)
    now.note(YARDSTICK, f"{yardstick:.0f}")
    name, widest = max(spreads.items(), key=lambda one: one[1])
    if widest > 0:
        now.note("widest spread", f"{name} {widest:.2f} %")


def percent(text):
    """A number, with or without its sign."""
    return float(text.removesuffix("%"))


def options(parser):
    parser.add_argument("--steps", help="the example `steps` of weir-store (default: examples/steps in the folder of the binaries)")
    parser.add_argument("--update", action="store_true", help="make what is counted the baseline; say why in the commit message")
    parser.add_argument("--tolerance", type=percent, default=5.0,
                        help="percent that a kind without a tolerance of its own may be dearer (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of counting each kind; the median counts (default %(default)s)")
    parser.add_argument("--only", choices=KINDS, action="append", help="this one alone; may be repeated")


if __name__ == "__main__":
    show.run("instructions", __doc__, instructions, options, limit=300.0)
