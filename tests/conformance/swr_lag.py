#!/usr/bin/env python3
"""How old is what a client gets that asks every three seconds, under stale-while-revalidate?

One client, `max-age=1, stale-while-revalidate=60`, through one tier and through three at the same time. Each
body is the time at which the origin made it. A refresh that a tier above answered with its own stale
response would add three seconds a tier.
"""

import argparse
import contextlib
import http.server
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import stack
import suite
import verdict

HERE = Path(__file__).resolve().parent

EPILOG = """\
Needs Python 3.11. Takes about 20 seconds. Exit codes: 0 no body was older than allowed, 1 one was, 2 Weir could
not be run.

Example:
  cargo build -p weir-cli -p weir-edge
  tests/conformance/swr_lag.py
"""

EVERY_SECONDS = 3
ASKED = 7
# The client's own pause, and one second for the request itself.
LAG_SECONDS_MAX = 4


class Origin(http.server.BaseHTTPRequestHandler):
    """Answers everything with the time."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = repr(time.time()).encode()
        self.send_response(200)
        self.send_header("Cache-Control", "max-age=1, stale-while-revalidate=60")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    arguments = read_arguments()
    with contextlib.ExitStack() as stays:
        folder = Path(stays.enter_context(tempfile.TemporaryDirectory(prefix="weir-swr-")))
        try:
            urls = start_all(arguments.weir, folder, stays)
        except (suite.SuiteError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        lags = measure(urls)
    for tiers, seconds in lags.items():
        name = "1 tier " if tiers == 1 else f"{tiers} tiers"
        shown = " ".join(f"{lag:.2f}" for lag in seconds)
        print(f"{name}: median {statistics.median(seconds):.2f} s, most {max(seconds):.2f} s ({shown})")
    return 1 if max(max(seconds) for seconds in lags.values()) > LAG_SECONDS_MAX else 0


def read_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--weir",
        type=Path,
        metavar="PATH",
        default=HERE.parent.parent / "target" / "debug",
        help="folder with the binaries weir and weir-edge; default: target/debug",
    )
    return parser.parse_args()


def start_all(binaries, folder, stays):
    """Starts an origin and a stack of each size; returns what the client asks, by tiers."""
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    stays.callback(origin.shutdown)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    urls = {}
    for tiers in verdict.TIERS:
        home = folder / str(tiers)
        home.mkdir()
        processes = stays.enter_context(stack.Processes(home))
        url = stack.start(binaries, tiers, "default", origin.server_port, processes, home)
        urls[tiers] = f"{url.rstrip('/')}/now"
    return urls


def measure(urls):
    """The age of each body but the first, which is fetched, by tiers."""
    lags = {tiers: [] for tiers in urls}
    began = time.monotonic()
    for count in range(ASKED):
        time.sleep(max(0, began + count * EVERY_SECONDS - time.monotonic()))
        for tiers, url in urls.items():
            with urllib.request.urlopen(url, timeout=10) as response:
                made = float(response.read())
            if count > 0:
                lags[tiers].append(time.time() - made)
    return lags


if __name__ == "__main__":
    sys.exit(main())
