#!/usr/bin/env python3
"""Looks at responses of Weir with httplint, the engine of REDbot: nothing in them may be bad HTTP."""

import argparse
import signal
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from httplint.message import HttpRequestLinter, HttpResponseLinter
from httplint.note import levels

import stack
import suite
import verdict

HERE = Path(__file__).resolve().parent

EPILOG = """\
Needs Python 3.11 and the package in requirements.txt:
  python3 -m venv target/lint && target/lint/bin/pip install -r tests/conformance/requirements.txt

Starts Weir in front of weir-origin-mock, asks for each kind of response, and prints every note of level
BAD. Exit codes: 0 none but those excused below, 1 some, 2 something could not be run.

Example:
  cargo build -p weir-cli -p weir-edge -p weir-origin-mock
  target/lint/bin/python tests/conformance/lint.py --tiers 3
"""

HOST = "www.test"
SECONDS_MAX = 20

# Notes of level BAD that are no fault of Weir, by case and class name, each with its reason. One that is not
# found any more fails the run as well.
EXCUSED = {
    ("206, multipart", "PARTIAL_WITHOUT_RANGE"): "RFC 9110 §15.3.7.2: the field must not be in the head "
    "of several parts, each of which has its own",
    ("414", "STATUS_URI_TOO_LONG"): "says what the status means, and it is the one that is meant",
}


@dataclass(frozen=True)
class Case:
    """One request and the response that it is to get."""

    name: str
    status: int
    path: str
    fields: tuple = ()
    method: str = "GET"
    # A word that must be in Cache-Status, so that the response is of the kind meant.
    said: str = ""


PAGE = "/page?size=3000"
FILM = "/film?size=100000"
STALE = "/stale?size=300&header=Cache-Control:max-age%3D1"
SWR = "/swr?size=300&header=Cache-Control:max-age%3D1,stale-while-revalidate%3D60"
TRAILER = "/trailer?trailer=X-Sum:1&header=Cache-Control:private"

ALIVE = (
    Case("miss", 200, PAGE, said="fwd=uri-miss; stored"),
    Case("hit", 200, PAGE, said="hit"),
    Case("HEAD, hit", 200, PAGE, method="HEAD", said="hit"),
    Case("304", 304, PAGE, (("If-None-Match", "*"),), said="hit"),
    Case("206", 206, PAGE, (("Range", "bytes=10-19"),), said="hit"),
    Case("206, multipart", 206, PAGE, (("Range", "bytes=10-19,2000-2009"),), said="hit"),
    Case("416", 416, PAGE, (("Range", "bytes=3000-"),), said="hit"),
    Case("206, fetched", 206, FILM, (("Range", "bytes=10-999"),), said="fwd=uri-miss"),
    Case("206, of a part", 206, FILM, (("Range", "bytes=20-29"),), said="hit"),
    Case("200, completed", 200, FILM, said="fwd=partial"),
    Case("HEAD, miss", 200, "/head?size=30", method="HEAD", said="fwd=uri-miss"),
    Case("404", 404, "/none?status=404", said="fwd=uri-miss"),
    Case("503 of the origin", 503, "/down?status=503&header=Retry-After:5", said="fwd=uri-miss"),
    Case("301", 301, "/moved?status=301&header=Location:/a", said="fwd=uri-miss"),
    Case("204 to DELETE", 204, "/gone?status=204", method="DELETE", said="fwd=method"),
    Case("chunked", 200, "/chunks?size=3000&chunked=1", said="fwd=uri-miss"),
    Case("chunked, hit", 200, "/chunks?size=3000&chunked=1", said="hit"),
    Case("private", 200, "/mine?header=Cache-Control:private", said="detail=private"),
    Case("trailers", 200, TRAILER, (("TE", "trailers"),), said="detail=private"),
    Case("to be stale", 200, STALE, said="stored"),
    Case("to be refreshed", 200, SWR, said="stored"),
    Case("400", 400, "/a", (("Host", "a"), ("Host", "b"))),
    Case("405", 405, "/a", method="TRACE"),
    Case("414", 414, "/" + "a" * 20_000),
)
# Asked after a pause longer than the lifetime of what is to be stale, and before the origin ends.
REFRESHED = (Case("stale-while-revalidate", 200, SWR, said="hit; ttl=-"),)
DEAD = (
    Case("stale, origin dead", 200, STALE, said="fwd=stale"),
    Case("502", 502, "/unknown", said="fwd=uri-miss"),
    Case("HEAD, 502", 502, "/unknown", method="HEAD", said="fwd=uri-miss"),
)
# Clients are listened to in this profile only.
ONLY_RFC = (Case("504", 504, "/unknown", (("Cache-Control", "only-if-cached"),)),)


def main():
    arguments = read_arguments()
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="weir-lint-") as folder:
        try:
            bad = run(arguments, Path(folder))
        except (suite.SuiteError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    return 1 if bad else 0


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
        help="folder with weir, weir-edge and weir-origin-mock; default: target/debug",
    )
    parser.add_argument("--show", action="store_true", help="print every response")
    return parser.parse_args()


def run(arguments, folder):
    """Asks for everything; returns how many notes are bad."""
    asked, bad, excused = 0, 0, set()
    with stack.Processes(folder) as processes:
        port = stack.free_port()
        origin = stack.start_origin(arguments.weir, port, processes)
        site = (arguments.tiers, arguments.profile, port)
        url = stack.start(arguments.weir, *site, processes, folder)
        address = ("127.0.0.1", int(url.rpartition(":")[2].strip("/")))
        for cases in steps(arguments.profile, processes, origin):
            for case in cases:
                asked += 1
                notes = lint(case, exchange(address, case), arguments.show)
                bad += report(case, notes, excused)
    for name, note in sorted(set(EXCUSED) - excused):
        print(f"[BAD] {name}: {note} is excused and not found; remove it")
        bad += 1
    tiers = "1 tier" if arguments.tiers == 1 else f"{arguments.tiers} tiers"
    print(f"httplint, profile {arguments.profile}, {tiers}: {asked} responses, {bad} bad")
    return bad


def steps(profile, processes, origin):
    """The cases in order, with what must happen between them."""
    yield ALIVE
    # Longer than the lifetime of a second.
    time.sleep(1.5)
    yield REFRESHED
    processes.end(origin)
    yield DEAD
    if profile == "rfc":
        yield ONLY_RFC


def exchange(address, case):
    """The bytes that answer one request on a connection of its own."""
    lines = [f"{case.method} {case.path} HTTP/1.1"]
    if not any(name == "Host" for name, _ in case.fields):
        lines.append(f"Host: {HOST}")
    lines += [f"{name}: {value}" for name, value in case.fields]
    lines += ["Connection: close", "", ""]
    with socket.create_connection(address, SECONDS_MAX) as connection:
        connection.sendall("\r\n".join(lines).encode())
        answer = b""
        while some := connection.recv(65_536):
            answer += some
    return answer


def lint(case, answer, show):
    """The notes on an answer. Raises if it is not of the kind meant."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    fields = [tuple(part.strip() for part in line.split(b":", 1)) for line in lines[1:]]
    version, status, phrase = (lines[0].split(b" ", 2) + [b""])[:3]
    if show:
        print(f"--- {case.name}\n{head.decode('latin-1')}\n")
    said = b", ".join(value for name, value in fields if name.lower() == b"cache-status").decode()
    if int(status) != case.status or case.said not in said:
        found = f"{status.decode()} {said}"
        raise suite.SuiteError(f"{case.name}: expected {case.status} {case.said}, got {found}")
    linter = HttpResponseLinter(start_time=time.time())
    linter.request = as_request(case)
    linter.is_head_response = case.method == "HEAD"
    linter.process_response_topline(version.removeprefix(b"HTTP/"), status, phrase)
    linter.process_headers(fields)
    body, trailers = read_body(dict((name.lower(), value) for name, value in fields), rest)
    linter.feed_content(body)
    linter.finish_content(True, trailers)
    return linter.notes


def as_request(case):
    request = HttpRequestLinter()
    target = f"http://{HOST}{case.path}"
    request.process_request_topline(case.method.encode(), target.encode(), b"1.1")
    fields = case.fields or ((("Host", HOST),))
    request.process_headers([(name.encode(), value.encode()) for name, value in fields])
    request.finish_content(True)
    return request


def read_body(fields, rest):
    """The body without chunk framing, and the trailers behind it."""
    if fields.get(b"transfer-encoding") != b"chunked":
        return rest, []
    body = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        size = int(size, 16)
        if size == 0:
            break
        body, rest = body + rest[:size], rest[size + 2 :]
    lines = [line for line in rest.split(b"\r\n") if line]
    return body, [tuple(part.strip() for part in line.split(b":", 1)) for line in lines]


def report(case, notes, excused):
    """Prints the bad ones of `notes`, those below others too; returns how many there are."""
    bad = 0
    for note in notes:
        bad += report(case, note.subnotes, excused)
        name = type(note).__name__
        if note.level is not levels.BAD:
            continue
        if (case.name, name) in EXCUSED:
            excused.add((case.name, name))
        else:
            print(f"[BAD] {case.name}: {name}: {note.summary}")
            bad += 1
    return bad


if __name__ == "__main__":
    sys.exit(main())
