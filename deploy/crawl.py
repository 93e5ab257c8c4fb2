#!/usr/bin/env python3
"""Fetches every file of a folder through a server and compares each body with the file.

usage: crawl.py --root DIR --base URL [--limit N] [--threads N]

Standard output is one line of JSON: how many files, bytes and seconds, how many answers of each
X-Cache value, and what went wrong. The exit code is 1 if anything did. Needs only the standard
library. With --list it prints the paths of the URLs, one a line, and fetches nothing.
"""

import argparse
import collections
import http.client
import json
import os
import queue
import sys
import threading
import time
import urllib.parse

TIMEOUT_SECONDS = 60
FAILURES_SHOWN = 20


def find_files(root, limit):
    """Returns the paths of the regular files below root, relative to it, sorted, at most limit."""
    found = []
    for folder, _, names in os.walk(root):
        paths = (os.path.join(folder, name) for name in names)
        found += [os.path.relpath(path, root) for path in paths if os.path.isfile(path)]
    return sorted(found)[:limit]


def to_target(path):
    """Returns the request target of a relative path, all but unreserved characters escaped."""
    return "/" + urllib.parse.quote(os.fsencode(path), safe="/")


class Tally:
    """What all threads saw together."""

    def __init__(self):
        self.lock = threading.Lock()
        self.outcomes = collections.Counter()
        self.bytes = 0
        self.failures = []

    def add(self, outcome, size, failure):
        with self.lock:
            self.outcomes[outcome] += 1
            self.bytes += size
            if failure:
                self.failures.append(failure)


def fetch(connection, target):
    """Returns status, X-Cache and body; a connection that the server closed is opened again once."""
    for attempt in (1, 2):
        reused = connection.sock is not None
        try:
            connection.request("GET", target)
            response = connection.getresponse()
            return response.status, response.getheader("X-Cache", "none"), response.read()
        except (ConnectionError, http.client.BadStatusLine):
            connection.close()
            if attempt == 2 or not reused:
                raise


def check(connection, root, path):
    """Fetches one file; returns the X-Cache value, the body's size, and None or what is wrong."""
    target = to_target(path)
    try:
        status, outcome, body = fetch(connection, target)
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return "error", 0, f"{target}: {error!r}"
    with open(os.path.join(root, path), "rb") as file:
        expected = file.read()
    if status != 200:
        return outcome, len(body), f"{target}: status {status}"
    if body != expected:
        return outcome, len(body), f"{target}: {len(body)} bytes differ from the file's {len(expected)}"
    return outcome, len(body), None


def work(base, root, paths, tally):
    connection = http.client.HTTPConnection(base.hostname, base.port, timeout=TIMEOUT_SECONDS)
    while True:
        try:
            path = paths.get_nowait()
        except queue.Empty:
            connection.close()
            return
        tally.add(*check(connection, root, path))


def crawl(base, root, files, threads):
    """Fetches all files with some threads, each with a connection that it keeps, and tallies."""
    paths, tally = queue.Queue(), Tally()
    for path in files:
        paths.put(path)
    workers = [threading.Thread(target=work, args=(base, root, paths, tally)) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return tally


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--root", required=True, help="folder that the origin serves")
    parser.add_argument("--base", type=urllib.parse.urlsplit, help="http://host:port to fetch from")
    parser.add_argument("--limit", type=int, help="only the first N files")
    parser.add_argument("--threads", type=int, default=8, help="connections (default: 8)")
    parser.add_argument("--list", action="store_true", help="print the request targets and stop")
    options = parser.parse_args()
    files = find_files(options.root, options.limit)
    if options.list:
        print("\n".join(map(to_target, files)))
        return 0
    if options.base is None:
        parser.error("--base is needed")
    started = time.monotonic()
    tally = crawl(options.base, options.root, files, options.threads)
    for failure in sorted(tally.failures)[:FAILURES_SHOWN]:
        print(f"crawl.py: {failure}", file=sys.stderr)
    fetched = sum(tally.outcomes.values())
    print(json.dumps({
        "files": len(files),
        "fetched": fetched,
        "failures": len(tally.failures),
        "bytes": tally.bytes,
        "seconds": round(time.monotonic() - started, 2),
        "x_cache": dict(tally.outcomes),
    }))
    return int(bool(tally.failures) or fetched != len(files))


if __name__ == "__main__":
    sys.exit(main())
