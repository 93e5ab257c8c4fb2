#!/usr/bin/env python3
"""Runs all shows of fetching, one after the other, and tells at the end which promises were kept.

With --ci in a short form, which takes two minutes; else each at full length, which takes about ten.

    python3 tests/upstream/run.py --binaries target/release --ci
    python3 tests/upstream/run.py --only resume --only flaky
"""

import argparse
import os
import signal
import subprocess
import sys
import time

# What each show is called, and what makes it short.
SHOWS = {
    "collapse": [],
    "slow_origin": ["--delay", "3"],
    "resume": ["--rounds", "2", "--size", "96", "--drip", "2.5"],
    "stuck_reader": ["--size", "64", "--rounds", "1"],
    "frozen_parent": ["--frozen", "8"],
    "origin_down": ["--seconds", "6"],
    "tunnels": ["--seconds", "8", "--tunnels", "400", "--grace", "4"],
    "flaky": ["--requests", "2000"],
}


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", default="target/release", help="folder with weir and the binaries of the tiers")
    parser.add_argument("--ci", action="store_true", help="each in a short form")
    parser.add_argument("--only", choices=SHOWS, action="append", help="this one alone; may be repeated")
    parser.add_argument("--skip", choices=SHOWS, action="append", default=[], help="not this one; may be repeated")
    parser.add_argument("--seed", type=int, default=1, help="of what is left to chance (default %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="nothing but the verdicts")
    parser.add_argument("--json", action="store_true", help="each verdict as a line of JSON")
    return parser.parse_args()


def run_one(name, arguments):
    """Runs one show; whether it kept what it promises. Its own --limit bounds its time."""
    command = [sys.executable, f"{os.path.dirname(os.path.abspath(__file__))}/{name}.py",
               "--binaries", arguments.binaries, "--seed", str(arguments.seed)]
    command += [flag for flag, wanted in (("--quiet", arguments.quiet), ("--json", arguments.json)) if wanted]
    command += SHOWS[name] if arguments.ci else []
    show = subprocess.Popen(command)
    try:
        return show.wait() == 0
    except KeyboardInterrupt:
        # It got the signal as well, and puts its processes away before it ends.
        show.wait()
        raise


def main():
    arguments = options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began, broken = time.monotonic(), []
    names = [name for name in arguments.only or SHOWS if name not in arguments.skip]
    try:
        broken = [name for name in names if not run_one(name, arguments)]
    except KeyboardInterrupt:
        sys.exit("stopped")
    took = time.monotonic() - began
    if broken:
        sys.exit(f"{len(broken)} of {len(names)} shows found a broken promise in {took:.0f} s: {', '.join(broken)}")
    print(f"all {len(names)} shows kept their promises in {took:.0f} s")


if __name__ == "__main__":
    main()
