#!/usr/bin/env python3
"""Runs all shows of fetching, one after the other, and tells at the end which promises were kept.

With --ci in a short form, which takes two minutes; else each at full length, which takes about ten.

    python3 tests/upstream/run.py --binaries target/release --ci
    python3 tests/upstream/run.py --only resume --only flaky
"""

import os

import all_shows

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


def main():
    parser = all_shows.options(__doc__, SHOWS)
    parser.add_argument("--ci", action="store_true", help="each in a short form")
    arguments = parser.parse_args()
    folder = os.path.dirname(os.path.abspath(__file__))
    names = [name for name in arguments.only or SHOWS if name not in arguments.skip]
    all_shows.run({name: all_shows.command(f"{folder}/{name}.py", arguments, SHOWS[name] if arguments.ci else [])
                   for name in names})


if __name__ == "__main__":
    main()
