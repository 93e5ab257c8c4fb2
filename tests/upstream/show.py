"""What do all shows have in common: options, figures, promises, and one verdict at the end?

A show is an async function that gets a `Show`, notes figures in it, and says what must hold. Whatever ends
it, also Ctrl-C, its processes and folders are gone afterwards. `run` turns it into a program.
"""

import argparse
import asyncio
import json
import random
import resource
import signal
import sys
import time

from stack import Stack


class Show:
    """What one show has found out."""

    def __init__(self, name, arguments):
        self.name, self.arguments = name, arguments
        self.rng = random.Random(arguments.seed)
        self.figures, self.broken = {}, []
        self.stacks = []
        self.began = time.monotonic()

    def say(self, text):
        """Tells whoever watches how far it is."""
        if not self.arguments.quiet:
            print(f"{time.monotonic() - self.began:7.2f}s {text}", file=sys.stderr, flush=True)

    def note(self, name, value):
        """Keeps a figure for the verdict."""
        self.figures[name] = round(value, 1) if isinstance(value, float) else value

    def must(self, holds, promise):
        """Notes that a promise was broken unless `holds`."""
        if not holds:
            self.broken.append(promise)
            self.say(f"BROKEN: {promise}")

    def stack(self, **shape):
        """A stack of nodes that is stopped when the show ends."""
        made = Stack(self.arguments.binaries, keep=self.arguments.keep, rng=random.Random(), **shape)
        self.stacks.append(made)
        return made

    def close(self):
        for stack in self.stacks:
            stack.close()

    def verdict(self):
        """Prints how it went; returns the exit code."""
        seconds = round(time.monotonic() - self.began, 1)
        if self.arguments.json:
            print(json.dumps({"show": self.name, "kept": not self.broken, "broken": self.broken,
                              "seconds": seconds, **self.figures}))
            return 1 if self.broken else 0
        for promise in self.broken:
            print(f"broken: {promise}")
        figures = ", ".join(f"{name} {value}" for name, value in self.figures.items())
        print(f"{self.name}: {'BROKEN' if self.broken else 'kept'} in {seconds} s; {figures}")
        return 1 if self.broken else 0


def percentile(values, share):
    """The value below which `share` percent of `values` are; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))] if ordered else 0.0


def spread(values):
    """Median, 99th percentile and greatest of seconds, as text in milliseconds."""
    return "/".join(f"{percentile(values, share) * 1000:.0f}" for share in (50, 99, 100))


def raise_descriptors():
    """Lets this process, and those it starts, open as many files as the system allows."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


async def within(seconds, holds, pause=0.05):
    """Waits until `holds()` is true; returns the seconds that took, or None when it took too long."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if holds():
            return time.monotonic() - began
        await asyncio.sleep(pause)
    return None


async def guarded(show, body):
    """Runs `body` until it ends, its time is over, or somebody stops the program."""
    task = asyncio.ensure_future(body(show))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        await asyncio.wait_for(task, show.arguments.limit)
    except asyncio.TimeoutError:
        show.must(False, f"it ends within {show.arguments.limit:.0f} s")
    finally:
        show.close()


def run(name, doc, body, options=lambda parser: None, limit=120.0):
    """The program of one show: reads the options, runs `body`, ends with its verdict.

    `options` adds what this show alone has; `limit` is the seconds after which it is given up.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", default="target/release", help="folder with weir and the binaries of the tiers")
    parser.add_argument("--quiet", action="store_true", help="nothing but the verdict")
    parser.add_argument("--json", action="store_true", help="the verdict as one line of JSON")
    parser.add_argument("--seed", type=int, default=1, help="of what is left to chance (default %(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep configurations and logs of the nodes")
    parser.add_argument("--limit", type=float, default=limit, help="seconds to give up after (default %(default).0f)")
    options(parser)
    raise_descriptors()
    show = Show(name, parser.parse_args())
    try:
        asyncio.run(guarded(show, body))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(f"{name}: stopped")
    sys.exit(show.verdict())
