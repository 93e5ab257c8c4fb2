#!/usr/bin/env python3
"""Runs all shows of the disk tier, one after the other, and tells at the end which promises were kept.

With --ci in a short form, which takes a minute; with --full at the size of the published figures, which takes an
hour and 60 GiB in the temporary folder; else at a size for in between.

    python3 tests/disk/run.py --binaries target/release --ci
    python3 tests/disk/run.py --only kill-redb --only full-redb
"""

import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(FOLDER, "..", "upstream"))

import all_shows  # noqa: E402

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


def main():
    parser = all_shows.options(__doc__, SHOWS)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--ci", action="store_true", help="each in a short form; one that has none is left out")
    size.add_argument("--full", action="store_true", help="each at the size of the published figures")
    arguments = parser.parse_args()
    commands = {}
    for name in arguments.only or SHOWS:
        script, own, short, whole = SHOWS[name]
        sized = short if arguments.ci else whole if arguments.full else []
        if name not in arguments.skip and sized is not None:
            commands[name] = all_shows.command(f"{FOLDER}/{script}.py", arguments, [*own, *sized])
    all_shows.run(commands)


if __name__ == "__main__":
    main()
