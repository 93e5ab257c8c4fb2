#!/usr/bin/env python3
"""Runs the public HTTP cache test suite against Weir and compares with what is expected."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import stack
import suite
import verdict

HERE = Path(__file__).resolve().parent

EPILOG = """\
Needs Python 3.11, Node.js 14.8 and npm. The suite is the npm package pinned in package-lock.json; it
is installed below ~/.cache/weir (or XDG_CACHE_HOME). A run takes half a minute.

expectations.toml lists the tests that may fail, each with a reason. The run fails if a required or
optimal test does anything else, twice in a row: a failure that is not listed, or a listed one that passes.

Exit codes: 0 as expected, 1 not as expected, 2 the suite or Weir could not be run.

Example:
  cargo build -p weir-cli -p weir-edge
  tests/conformance/run.py --tiers 3 --profile rfc
"""


def main():
    arguments = read_arguments()
    # Ends the processes of the run as leaving it does.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    folder = Path(tempfile.mkdtemp(prefix="weir-conformance-"))
    kept = arguments.keep
    try:
        return run(arguments, folder)
    except (suite.SuiteError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        # What the processes said is the only trace of what went wrong.
        kept = True
        return 2
    finally:
        if kept:
            print(f"files of this run: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def read_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiers", type=int, choices=verdict.TIERS, default=3, help="default: 3")
    parser.add_argument("--profile", choices=verdict.PROFILES, default="rfc", help="default: rfc")
    parser.add_argument(
        "--weir",
        type=Path,
        metavar="PATH",
        default=HERE.parent.parent / "target" / "debug",
        help="folder with the binaries weir and weir-edge; default: target/debug",
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every verdict to this file")
    parser.add_argument("--keep", action="store_true", help="keep the logs of the run")
    return parser.parse_args()


def run(arguments, folder):
    """One run; returns the exit code."""
    expectations = verdict.load_expectations(HERE / "expectations.toml", arguments.profile)
    package = suite.install(suite.cache_folder())
    tests = suite.list_tests(package)
    def ask(into):
        into.mkdir(exist_ok=True)
        verdicts = verdict.judge(tests, ask_everything(arguments, package, into))
        return verdicts, verdict.surprises(verdicts, expectations, arguments.tiers)

    verdicts, surprises = ask(folder)
    if surprises:
        # The suite's origin breaks several connections off at once on purpose. A group whose servers have
        # failed so often in a row refuses for up to a second, and so may what other tests ask just then.
        print(f"asked again, since not as expected: {'; '.join(surprises)}", file=sys.stderr)
        verdicts, surprises = ask(folder / "again")
    if arguments.json:
        report = as_json(arguments, suite.version(package), verdicts, surprises)
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    show(arguments, suite.version(package), verdicts, surprises)
    return 1 if surprises else 0


def ask_everything(arguments, package, folder):
    """Starts origin and Weir and runs the suite; returns what its client printed."""
    with stack.Processes(folder) as processes:
        origin = stack.free_port()
        suite.start_origin(package, origin, processes, folder)
        base = stack.start(
            arguments.weir.resolve(), arguments.tiers, arguments.profile, origin, processes, folder
        )
        results = suite.run_client(package, base, folder / "client.log")
        processes.check()
    (folder / "results.json").write_text(json.dumps(results, indent=2))
    return results


def show(arguments, version, verdicts, surprises):
    """Prints the score and what was not expected."""
    tiers = "1 tier" if arguments.tiers == 1 else f"{arguments.tiers} tiers"
    print(f"{suite.PACKAGE} {version}, profile {arguments.profile}, {tiers}")
    for kind in (verdict.REQUIRED, verdict.OPTIMAL):
        good, total = verdict.tally(verdicts, kind)
        print(f"  {kind:<9}{good}/{total}")
    good, total = verdict.tally(verdicts, verdict.CHECK)
    print(f"  {verdict.CHECK:<9}{good}/{total} answered yes")
    if not surprises:
        print("as expected")
        return
    print(f"not as expected: {len(surprises)}")
    for line in surprises:
        print(f"  {line}")


def as_json(arguments, version, verdicts, surprises):
    """The whole report."""
    return {
        "suite": {"package": suite.PACKAGE, "version": version},
        "profile": arguments.profile,
        "tiers": arguments.tiers,
        "score": {
            kind: dict(zip(("passed", "total"), verdict.tally(verdicts, kind), strict=True))
            for kind in (verdict.REQUIRED, verdict.OPTIMAL, verdict.CHECK)
        },
        "unexpected": surprises,
        "tests": {test_id: vars(one) for test_id, one in sorted(verdicts.items())},
    }


if __name__ == "__main__":
    sys.exit(main())
