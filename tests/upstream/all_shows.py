"""How are several shows run one after the other, with one verdict at the end?

Which there are, and what makes each short, is said by the `run.py` of their folder.
"""

import argparse
import signal
import subprocess
import sys
import time


def options(about, names):
    """The options that all such programs have, as a parser to which more can be added."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", default="target/release", help="folder with weir and the binaries of the tiers")
    parser.add_argument("--only", choices=names, action="append", help="this one alone; may be repeated")
    parser.add_argument("--skip", choices=names, action="append", default=[], help="not this one; may be repeated")
    parser.add_argument("--seed", type=int, default=1, help="of what is left to chance (default %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="nothing but the verdicts")
    parser.add_argument("--json", action="store_true", help="each verdict as a line of JSON")
    return parser


def command(script, arguments, own):
    """The command of one show: the path of its script, the options of all, and its `own`."""
    flags = [flag for flag, wanted in (("--quiet", arguments.quiet), ("--json", arguments.json)) if wanted]
    return [sys.executable, script, "--binaries", arguments.binaries, "--seed", str(arguments.seed), *flags, *own]


def run_one(line):
    """Runs one show; whether it kept what it promises. Its own --limit bounds its time."""
    show = subprocess.Popen(line)
    try:
        return show.wait() == 0
    except KeyboardInterrupt:
        # It got the signal as well, and puts its processes away before it ends.
        show.wait()
        raise


def run(commands):
    """Runs shows, given as commands by name; ends with a status other than 0 if one found a broken promise."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began, broken = time.monotonic(), []
    try:
        broken = [name for name, line in commands.items() if not run_one(line)]
    except KeyboardInterrupt:
        sys.exit("stopped")
    took = time.monotonic() - began
    if broken:
        sys.exit(f"{len(broken)} of {len(commands)} shows found a broken promise in {took:.0f} s: {', '.join(broken)}")
    print(f"all {len(commands)} shows kept their promises in {took:.0f} s")
