"""What do the shows of the disk tier share: one edge with such a tier, and what the shows of fetching have?

An `Edge` asks an origin itself, so that no other node is needed; it keeps a purge log of its own. A `Ground` is
the folder in which edges work. It is gone with all that runs and is mounted there when the show ends.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

# After the folder of the script that runs, which has a `run.py` as well.
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "upstream"))

import show  # noqa: E402
from http1 import HOST, Client, Origin, parse_head  # noqa: E402,F401
from stack import ADMIN, TOKEN, Node, Process, Stack, free_port, is_free, listens  # noqa: E402,F401

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

SITE = """
[node]
name = "{name}"
listen = "127.0.0.1:{port}"
admin = "127.0.0.1:{admin}"
data_dir = "{data}"

[store]
{store}

[[site]]
name = "www"
hosts = ["{host}"]
origins = ["http://127.0.0.1:{origin}"]
"""


def toml(settings):
    """Keys of one table; numbers stay numbers, the rest are texts."""
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())


class Edge(Node):
    """One edge with a disk tier in `data`."""

    def __init__(self, binaries, folder, origin, *, name, data, store):
        port = Stack.free_base(random.Random(), 1, 0)
        super().__init__(name, port, [f"{binaries}/weir-edge", "--config", f"{folder}/{name}.toml"], folder)
        self.data, self.store = data, f"{data}/store"
        with open(f"{folder}/{name}.toml", "w", encoding="utf-8") as file:
            file.write(SITE.format(name=name, port=port, admin=port + ADMIN, data=data, host=HOST,
                                   origin=origin, store=toml(store)))

    async def begin(self, seconds=30.0):
        """Starts it; returns the seconds from then until `/readyz` says 200."""
        began = time.monotonic()
        self.start()
        while time.monotonic() - began < seconds:
            if await self.is_ready():
                return time.monotonic() - began
            if not self.is_running():
                break
            await asyncio.sleep(0.002)
        raise RuntimeError(f"{self.name} did not get ready; its log is: {self.log()}")

    async def is_ready(self):
        """Asks without a thread, since it is asked every few milliseconds."""
        writer = None
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port + ADMIN)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return b" 200 " in await asyncio.wait_for(reader.readline(), 2)
        except (OSError, asyncio.TimeoutError):
            return False
        finally:
            if writer is not None:
                writer.close()

    async def stop(self, seconds=60.0):
        """Ends it as an operator does; returns its exit code, None when it had to be killed."""
        self.signal(signal.SIGTERM)
        if await show.within(seconds, lambda: not self.is_running(), 0.01) is None:
            self.kill()
            return None
        return self.process.returncode

    async def disk(self):
        """What `/v1/stats` says of the disk tier; empty when nothing is said."""
        text = await asyncio.to_thread(self.get_admin, "/v1/stats")
        return (json.loads(text) if text else {}).get("disk") or {}

    async def until(self, holds, seconds):
        """Waits until `holds` of what `/v1/stats` says; returns the seconds, None if it never did."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            stats = await self.disk()
            if stats and holds(stats):
                return time.monotonic() - began
            await asyncio.sleep(0.05)
        return None

    async def waiting(self):
        """Keys whose change is not on disk yet."""
        return await asyncio.to_thread(self.metric, "weir_disk_waiting_keys")

    async def settled(self, seconds=60.0):
        """Waits until nothing waits to be written; returns whether that came."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            stats = await self.disk()
            if stats.get("open") and not stats["waiting_bytes"] and not await self.waiting():
                return True
            await asyncio.sleep(0.05)
        return False

    async def purge(self, **wish):
        """Whether a purge was answered with the promise that it holds."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port + ADMIN}/v1/purges?wait=8s", json.dumps(wish).encode(),
            {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"})

        def ask():
            try:
                with urllib.request.urlopen(request, timeout=12) as answer:
                    return answer.status == 200
            except (urllib.error.URLError, OSError):
                return False

        return await asyncio.to_thread(ask)

    def logged(self, text):
        """The lines of its log that have `text`."""
        with open(f"{self.folder}/{self.name}.log", encoding="utf-8", errors="replace") as log:
            return [line.rstrip() for line in log if text in line]

    def resident_bytes(self):
        """Memory that is resident at this moment."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(next(line.split()[1] for line in status if line.startswith("VmRSS"))) * KIB

    def cpu_seconds(self):
        """Time on CPUs since it was started."""
        return cpu_seconds(self.process.pid)


def cpu_seconds(pid):
    """User and system time of a process."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Ground:
    """A folder for edges, mounts and origins; `TMPDIR` says where it lies."""

    def __init__(self, now):
        self.binaries, self.keep = os.path.abspath(now.arguments.binaries), now.arguments.keep
        self.folder = tempfile.mkdtemp(prefix="weir-disk-")
        self.processes, self.mounts = [], []
        now.stacks.append(self)

    def edge(self, origin, name="edge", data=None, **store):
        """An edge that is not started yet; `store` are the keys of its table."""
        made = Edge(self.binaries, self.folder, origin, name=name, data=data or f"{self.folder}/data", store=store)
        self.processes.append(made)
        return made

    async def mock(self, *arguments):
        """A `weir-origin-mock` that runs."""
        port = free_port()
        made = Process("origin", port, [f"{self.binaries}/weir-origin-mock", "--listen", f"127.0.0.1:{port}",
                                        *arguments], self.folder)
        self.processes.append(made)
        made.start()
        await listens(port)
        return made

    def mount(self, path, *arguments):
        """Mounts at `path`; returns why that is refused, or nothing."""
        os.makedirs(path, exist_ok=True)
        why = command("mount", *arguments, path)
        if not why:
            self.mounts.append(path)
        return why

    def unmount(self, path):
        """Takes a mount away, at the latest when nobody uses it any more."""
        if command("umount", path):
            command("umount", "-l", path)
        self.mounts.remove(path)

    def close(self):
        for process in self.processes:
            process.kill()
        for path in reversed(list(self.mounts)):
            self.unmount(path)
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def command(*words):
    """Runs a program; returns what it complains about, nothing if it went well."""
    try:
        ran = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return "" if ran.returncode == 0 else (ran.stderr.strip() or f"{words[0]} ended with {ran.returncode}")


def bodies(store):
    """The files of bodies in the folder of a tier."""
    found = []
    for shard in os.scandir(f"{store}/bodies"):
        if shard.is_dir() and shard.name != "tmp":
            found += [entry.path for entry in os.scandir(shard.path)]
    return sorted(found)


def disk_use(*paths):
    """Bytes of files, and bytes that the file system gives them, of all below `paths`."""
    length = given = 0
    for path in paths:
        below = [path] if os.path.isfile(path) else [
            os.path.join(at, name) for at, _, names in os.walk(path) for name in names]
        for name in below:
            try:
                seen = os.stat(name)
            except FileNotFoundError:
                continue
            length, given = length + seen.st_size, given + seen.st_blocks * 512
    return length, given


def milliseconds(values):
    """Median and greatest of seconds, as text in milliseconds."""
    return "/".join(f"{show.percentile(values, share) * 1000:.0f}" for share in (50, 100))
