#!/usr/bin/env python3
"""Runs all shows of the disk tier, one after the other, and tells at the end which promises were kept.

With --ci in a short form, which takes a minute; with --full at the size of the published figures, which takes an
hour and 60 GiB in the temporary folder; else at a size for in between.

    python3 tests/disk/run.py --binaries target/release --ci
    python3 tests/disk/run.py --only kill-redb --only full-redb
"""

import argparse
import os
import signal
import subprocess
import sys
import time

# The script of each show and its own options, then what makes it short, and what makes it full.
SHOWS = {
    "kill-redb": ("kill", [], ["--rounds", "2", "--load", "3", "--objects", "400"], ["--rounds", "100"]),
    "kill-sled": ("kill", ["--index", "sled"], ["--rounds", "1", "--load", "3.5", "--objects", "300"],
                  ["--rounds", "100"]),
    "million-redb": ("million", [], ["--objects", "4000", "--sample", "300"],
                     ["--objects", "1000000", "--burst", "300000"]),
    "million-sled": ("million", ["--index", "sled"], None, ["--objects", "1000000", "--burst", "300000"]),
    "large": ("large", [], ["--size", "96", "--no-rate"], ["--size", "10240"]),
    "full-redb": ("full", [], ["--seconds", "3", "--tmpfs", "32"], ["--seconds", "60"]),
    "full-sled": ("full", ["--index", "sled"], None, ["--seconds", "60"]),
    "damage-redb": ("damage", [], ["--rounds", "1", "--objects", "100"], ["--rounds", "25"]),
    "damage-sled": ("damage", ["--index", "sled"], ["--rounds", "1", "--objects", "100"], ["--rounds", "25"]),
}


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", default="target/release", help="folder with the binaries of the tiers")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--ci", action="store_true", help="each in a short form; one that has none is left out")
    size.add_argument("--full", action="store_true", help="each at the size of the published figures")
    parser.add_argument("--only", choices=SHOWS, action="append", help="this one alone; may be repeated")
    parser.add_argument("--skip", choices=SHOWS, action="append", default=[], help="not this one; may be repeated")
    parser.add_argument("--seed", type=int, default=1, help="of what is left to chance (default %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="nothing but the verdicts")
    parser.add_argument("--json", action="store_true", help="each verdict as a line of JSON")
    return parser.parse_args()


def run_one(name, arguments):
    """Runs one show; whether it kept what it promises. Its own --limit bounds its time."""
    script, own, short, whole = SHOWS[name]
    command = [sys.executable, f"{os.path.dirname(os.path.abspath(__file__))}/{script}.py",
               "--binaries", arguments.binaries, "--seed", str(arguments.seed), *own]
    command += [flag for flag, wanted in (("--quiet", arguments.quiet), ("--json", arguments.json)) if wanted]
    command += short if arguments.ci else whole if arguments.full else []
    shown = subprocess.Popen(command)
    try:
        return shown.wait() == 0
    except KeyboardInterrupt:
        # It got the signal as well, and puts its processes away before it ends.
        shown.wait()
        raise


def main():
    arguments = options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began, broken = time.monotonic(), []
    names = [name for name in arguments.only or SHOWS if name not in arguments.skip]
    if arguments.ci:
        names = [name for name in names if SHOWS[name][2] is not None]
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
