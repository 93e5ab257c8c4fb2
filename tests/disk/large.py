#!/usr/bin/env python3
"""Does a very large body cost the origin its bytes once, and the node neither memory nor time?

A file of 1 GiB lies behind an origin that counts what it sends. First 1 KiB in the middle is asked for, twice; then
all of it, twice, and ranges; the edge is started again, and all of it is asked for again.

Kept: a range that was fetched is not fetched again; a download streams in bounded memory and leaves the body
stored, so that the next ones, before and after the start, cost the origin nothing; every byte is right. The rate
and the CPU time of downloads from disk are put beside those of a plain nginx, where there is one, with the same
client and the file in the page cache for both.

    python3 tests/disk/large.py --binaries target/release --size 10240 --assert-range
"""

import asyncio
import hashlib
import os
import shutil
import socket
import time

import kit
from kit import GIB, HOST, KIB, MIB, Client, Ground, Process, cpu_seconds, free_port, listens, show
from sparse import SparseOrigin, digest_of, make

# Of one slice, as configured below.
SLICE = 4 * MIB
PATH = "/film"


def download(port, size, hashes):
    """Reads all of it on one connection; returns the seconds, the bytes and their digest. Runs in a thread."""
    seen, hashed, buffer = 0, hashlib.sha1(), bytearray(MIB)
    view = memoryview(buffer)
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(4096)
            if not piece:
                return 0.0, 0, ""
            head += piece
        body = head.partition(b"\r\n\r\n")[2]
        hashed.update(body)
        seen = len(body)
        while seen < size:
            got = connection.recv_into(buffer)
            if not got:
                break
            if hashes:
                hashed.update(view[:got])
            seen += got
    return time.monotonic() - began, seen, hashed.hexdigest()


class Film:
    """The file, its origin, and the edge before it."""

    def __init__(self, now, ground):
        self.now, self.ground = now, ground
        self.size = now.arguments.size * MIB
        self.file = f"{ground.folder}/film"
        make(self.file, self.size)
        self.origin = SparseOrigin(self.file)
        self.digest = digest_of(self.file)
        room = self.size * 4 // MIB + 1024
        self.edge = ground.edge(self.origin.port, memory="64MiB", disk=f"{room}MiB", object_max=f"{self.size}B",
                                slice=f"{SLICE}B", index=now.arguments.index, scrub="0B")

    async def whole(self, what):
        """Downloads all and looks at every byte; returns what the origin sent for it."""
        self.origin.take()
        self.edge.forget_peak()
        before = self.edge.resident_bytes()
        took, seen, digest = await asyncio.to_thread(download, self.edge.port, self.size, True)
        sent, asked = self.origin.take()
        grown = self.edge.peak_bytes() - before
        self.now.say(f"{what}: {seen / MIB:.0f} MiB in {took:.1f} s, {sent / MIB:.1f} MiB from the origin in "
                     f"{len(asked)} requests, {grown / MIB:.0f} MiB more memory")
        self.now.must(seen == self.size and digest == self.digest, f"{what} is whole and right: {seen} bytes")
        self.now.must(grown <= self.now.arguments.grow * MIB,
                      f"{what} needs at most {self.now.arguments.grow} MiB: {grown // MIB}")
        return sent, before, before + grown

    async def part(self, first, length):
        """Asks for a range, which must be right."""
        answer = await Client(self.edge.port).ask(PATH, 60, [f"Range: bytes={first}-{first + length - 1}"])
        with open(self.file, "rb") as file:
            file.seek(first)
            right = file.read(length)
        is_right = answer is not None and answer[0] == 206 and answer[2] == right
        self.now.must(is_right, f"the range at {first} is right: {answer and answer[:2]}")

    async def parts(self):
        """Asks for ranges here and there; returns what the origin sent for all of them."""
        self.origin.take()
        for _ in range(20):
            await self.part(self.now.rng.randrange(self.size - 64 * KIB), self.now.rng.randrange(1, 64 * KIB))
        return await self.sent()

    async def sent(self):
        """What the origin sent since it was asked last; what is fetched beyond an answer comes after it."""
        await asyncio.sleep(0.5)
        return self.origin.take()[0]


async def first_ranges(now, film):
    first = film.size // 2 // SLICE * SLICE + SLICE // 2
    await film.part(first, KIB)
    sent = await film.sent()
    await film.part(first, KIB)
    again = await film.sent()
    now.note("origin sent for 1 KiB in the middle", sent)
    now.note("and for the same again", again)
    if now.arguments.assert_range:
        now.must(sent <= SLICE, f"a range costs the origin one slice of {SLICE // MIB} MiB, not {sent / MIB:.1f}")
        now.must(not again, f"the same range costs it nothing: {again} bytes")


async def from_disk(now, film, name):
    """Everything is there, so that the origin has nothing to send."""
    sent, _, _ = await film.whole(f"a download {name}")
    ranges = await film.parts()
    now.note(f"origin sent {name}: whole, ranges", f"{sent}, {ranges}")
    now.must(not sent and not ranges, f"the origin sends nothing {name}: {sent} and {ranges}")


async def rate(now, film):
    """Downloads from disk and from nginx, one after the other, with the same client."""
    ours = await measure(film.edge.port, film.size, film.edge.process.pid)
    now.note("MiB/s from disk", round(ours[0]))
    now.note("CPU s a GiB", f"{ours[1]:.2f}")
    port = free_port()
    nginx = start_nginx(film, port)
    if nginx is None:
        now.note("nginx", "not installed")
        return
    await listens(port)
    theirs = await measure(port, film.size, nginx.process.pid)
    now.note("MiB/s from nginx", round(theirs[0]))
    now.note("its CPU s a GiB", f"{theirs[1]:.2f}")
    now.note("share of nginx's rate", f"{ours[0] / theirs[0]:.2f}")
    nginx.kill()


async def measure(port, size, pid):
    """The best rate of three downloads after one to warm up, in MiB/s, and CPU seconds a GiB of these three."""
    await asyncio.to_thread(download, port, size, False)
    used, rates = cpu_seconds(pid), []
    for _ in range(3):
        took, seen, _ = await asyncio.to_thread(download, port, size, False)
        if seen == size:
            rates.append(seen / MIB / took)
    return max(rates, default=0.0), (cpu_seconds(pid) - used) / (3 * size / GIB)


def start_nginx(film, port):
    """A plain nginx, one process, that serves the file with sendfile."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        return None
    folder = f"{film.ground.folder}/nginx"
    os.makedirs(folder)
    with open(f"{folder}/conf", "w", encoding="ascii") as file:
        file.write(f"""daemon off; master_process off; pid {folder}/pid; error_log {folder}/log;
events {{}}
http {{ access_log off; sendfile on; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;
fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
server {{ listen 127.0.0.1:{port}; root {os.path.dirname(film.file)}; }} }}
""")
    nginx = Process("nginx", port, [program, "-p", folder, "-c", f"{folder}/conf"], film.ground.folder)
    film.ground.processes.append(nginx)
    nginx.start()
    return nginx


async def large(now):
    ground = Ground(now)
    now.say(f"makes a file of {now.arguments.size} MiB")
    film = await asyncio.to_thread(Film, now, ground)
    await film.edge.begin()
    await first_ranges(now, film)
    sent, before, peak = await film.whole("the first download")
    now.note("origin sent for the first download MiB", sent / MIB)
    now.note("memory before and at most MiB", f"{before // MIB}, {peak // MIB}")
    now.must(sent <= film.size * 1.02, f"the first download costs the origin each byte once: {sent / film.size:.2f}")
    now.must(await film.edge.settled(), "it is written in the end")
    disk = await film.edge.disk()
    now.must(disk["bytes"] >= film.size, f"it is stored: {disk['bytes']} bytes are")
    await from_disk(now, film, "from disk")
    now.must(await film.edge.stop() == 0, "it ends cleanly")
    await film.edge.begin()
    await from_disk(now, film, "after a start")
    if not now.arguments.no_rate:
        await rate(now, film)
    disk = await film.edge.disk()
    now.must(not disk["faults"], f"no fault: {disk['faults']}")
    film.origin.close()


def options(parser):
    parser.add_argument("--size", type=int, default=1024, help="MiB of the file (default %(default)s; 10240 for the show)")
    parser.add_argument("--index", choices=("redb", "sled"), default="redb", help="which index (default %(default)s)")
    parser.add_argument("--grow", type=int, default=64, help="MiB that a download may need (default %(default)s)")
    parser.add_argument("--no-rate", action="store_true", help="measure no rates")
    parser.add_argument("--assert-range", action="store_true", help="a range must cost at most one slice, not only be told of")


if __name__ == "__main__":
    show.run("large", __doc__, large, options, limit=1800)
