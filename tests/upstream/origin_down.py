#!/usr/bin/env python3
"""What do clients see of an origin that is gone, and how often is it asked meanwhile?

Three hundred responses with stale-if-error are stored, and their lifetimes end. The origin dies. Under load, every
one is asked for again and again. Then somebody listens in its place who accepts, counts and closes; then the
origin is back, with a new version of everything.

Kept: no error, ever: the stored response stands in. Who listens without answering sees at most --per-second
connections a second and --slack on top. When the origin is back, the new version is there within --back seconds.

    python3 tests/upstream/origin_down.py --binaries target/release --seconds 20
"""

import asyncio
import time

import show
from http1 import Client, Origin


class Load:
    """Asks for random keys on all edges, as fast as `rate` says."""

    def __init__(self, now, ports):
        self.now, self.ports = now, ports
        self.asked, self.errors, self.versions = 0, [], {}

    async def run(self, seconds):
        """Asks for so long; what was seen before is forgotten."""
        self.asked, self.errors, self.versions = 0, [], {}
        ends = time.monotonic() + seconds
        await asyncio.gather(*(self.ask_some(self.ports[number % len(self.ports)], ends)
                               for number in range(self.now.arguments.clients)))

    async def ask_some(self, port, ends):
        client = Client(port)
        while time.monotonic() < ends:
            key = self.now.rng.randrange(self.now.arguments.keys)
            self.note(key, await client.ask(f"/key/{key}", within=15))
            await asyncio.sleep(self.now.arguments.clients / self.now.arguments.rate)
        client.close()

    def note(self, key, answer):
        self.asked += 1
        if answer is None or answer[0] != 200 or not answer[2].startswith(f"{key}|".encode()):
            self.errors.append(answer and answer[0])
        else:
            version = answer[2].split(b"|")[1].decode()
            self.versions[version] = self.versions.get(version, 0) + 1


async def origin_down(now):
    arguments, state = now.arguments, {"version": 1, "answers": True}

    async def answer(_origin, _reader, writer, path, _fields):
        if not state["answers"]:
            writer.close()
            return
        body = f"{path.rsplit('/', 1)[1]}|{state['version']}".encode()
        writer.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=2, stale-if-error=3600\r\nContent-Length: %d\r\n\r\n"
                     % len(body) + body)

    origin = Origin(answer)
    stack = now.stack(origins=[await origin.open()])
    await stack.start()
    client = [Client(edge.port) for edge in stack.edges]
    for key in range(arguments.keys):
        for one in client:
            await one.ask(f"/key/{key}")
    await asyncio.sleep(2.5)
    load = Load(now, [edge.port for edge in stack.edges])
    await origin.close()
    now.say("the origin is gone")
    await load.run(arguments.seconds)
    told(now, load, "gone")
    state["answers"] = False
    await counted(now, origin, load)
    state.update(version=2, answers=True)
    now.say("the origin is back")
    await back(now, load)
    stack.close()


def told(now, load, name):
    now.note(name, f"{len(load.errors)} errors of {load.asked}")
    now.must(load.asked > now.arguments.keys / 4, f"{name}: there is load")
    now.must(not load.errors, f"{name}: no client gets an error, but {len(load.errors)} did: {load.errors[:5]}")
    now.must(set(load.versions) <= {"1"}, f"{name}: what is served was stored")


async def counted(now, origin, load):
    """Somebody listens there who only counts: accepts, and closes at once."""
    arguments, connections = now.arguments, 0

    async def close_at_once(_reader, writer):
        nonlocal connections
        connections += 1
        writer.close()

    server = await asyncio.start_server(close_at_once, "127.0.0.1", origin.port, reuse_address=True)
    now.say("somebody listens and closes")
    await load.run(arguments.seconds)
    server.close()
    told(now, load, "closing")
    allowed = arguments.per_second * arguments.seconds + arguments.slack
    now.note("connections meanwhile", f"{connections} of {allowed:.0f} allowed")
    now.must(connections <= allowed, f"a dead origin is asked {allowed:.0f} times at most, not {connections}")
    await origin.open()


async def back(now, load):
    """Loads until nothing but the new version is served."""
    began = time.monotonic()
    while time.monotonic() - began < now.arguments.back:
        await load.run(0.5)
        if load.versions and set(load.versions) == {"2"}:
            break
    took = time.monotonic() - began
    now.note("fresh again after s", took)
    now.must(set(load.versions) == {"2"}, f"the new version is there within {now.arguments.back:.0f} s: {load.versions}")


def options(parser):
    parser.add_argument("--keys", type=int, default=300, help="responses stored (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each of the two outages (default %(default)s)")
    parser.add_argument("--rate", type=float, default=150, help="requests a second (default %(default)s)")
    parser.add_argument("--clients", type=int, default=20, help="connections of clients (default %(default)s)")
    parser.add_argument("--per-second", type=float, default=1.0, help="connections allowed a second (default %(default)s)")
    parser.add_argument("--slack", type=float, default=10, help="connections allowed besides (default %(default)s)")
    parser.add_argument("--back", type=float, default=8.0, help="seconds until all is fresh again (default %(default)s)")


if __name__ == "__main__":
    show.run("origin-down", __doc__, origin_down, options, limit=120)
