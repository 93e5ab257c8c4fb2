"""How are nodes started as processes, hurt, and asked how they are?

A `Stack` is what `weir init` makes, on free ports and in a folder of its own. Its nodes can be killed, frozen
and started again, and everything is gone when it is closed.
"""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

TOKEN = "token-of-the-show"
SECRET = "a tier secret for the shows of fetching"
# Offsets from the port of edge 0: what `weir init` does.
REGIONAL, SHIELD, ADMIN = 100, 200, 1000


def is_free(port):
    """Whether nobody listens on `port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port():
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A program that listens on a port."""

    def __init__(self, name, port, command, folder):
        self.name, self.port, self.command, self.folder = name, port, command, folder
        self.settings = {}
        self.process = None

    def start(self):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WEIR")}
        with open(f"{self.folder}/{self.name}.log", "ab") as log:
            # A session of its own: Ctrl-C is for the show, which then ends its nodes.
            self.process = subprocess.Popen(
                self.command, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True,
                env={**clean, "WEIR_ADMIN_TOKEN": TOKEN, "WEIR_TIER_SECRET": SECRET, **self.settings})

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """Ends it with -9, also when it is frozen."""
        if self.is_running():
            self.process.kill()
        if self.process is not None:
            self.process.wait()

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)


class Node(Process):
    """One node: a process with an admin API."""

    def get_admin(self, path):
        """The text at `path` of the admin API; None if there is none."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port + ADMIN}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:
                return answer.read().decode()
        except (urllib.error.URLError, OSError):
            return None

    def metric(self, name, **labels):
        """The sum of all series called `name` with these labels; 0 if there is none."""
        total = 0.0
        for line in (self.get_admin("/metrics") or "").splitlines():
            found = re.match(r"(\w+)(?:\{(.*)\})? (\S+)$", line)
            if found is None or found[1] != name:
                continue
            if all(f'{label}="{value}"' in (found[2] or "") for label, value in labels.items()):
                total += float(found[3])
        return total

    def peak_bytes(self):
        """The most memory that was resident at once."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            kib = next(line.split()[1] for line in status if line.startswith("VmHWM"))
        return int(kib) * 1024

    def forget_peak(self):
        """Lets the most memory be what is resident now, where the system allows it."""
        try:
            with open(f"/proc/{self.process.pid}/clear_refs", "w", encoding="ascii") as file:
                file.write("5")
        except OSError:
            pass

    async def ready(self, seconds=20.0):
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if await asyncio.to_thread(self.get_admin, "/readyz") is not None:
                return
            if not self.is_running():
                break
            await asyncio.sleep(0.05)
        raise RuntimeError(f"{self.name} did not get ready; its log is: {self.log()}")

    def log(self):
        with open(f"{self.folder}/{self.name}.log", encoding="utf-8", errors="replace") as log:
            return log.read()[-2000:]


class Stack:
    """Edges, regionals and a shield as processes, in front of what the show takes as origins.

    `settings` are keys of the configuration, such as {"upstream.idle_timeout": "2s"}, for all nodes.
    `site` are lines that are added to the site, such as 'stale_if_slow = "1s"'.
    """

    def __init__(self, binaries, *, rng, origins=(), edges=2, regionals=2, settings=None, site=(), keep=False):
        self.binaries, self.keep = binaries, keep
        self.folder = tempfile.mkdtemp(prefix="weir-show-")
        self.processes = []
        base = self.free_base(rng, edges, regionals)
        urls = [f"http://127.0.0.1:{port}" for port in origins]
        made = subprocess.run(
            [f"{binaries}/weir", "init", "--dir", self.folder, "--edges", str(edges), "--regionals",
             str(regionals), "--port", str(base), "--origin", urls[0]],
            capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise RuntimeError(f"weir init: {made.stderr}")
        self.edges = [self.node(f"edge-{number}", base + number) for number in range(edges)]
        self.regionals = [self.node(f"regional-{number}", base + REGIONAL + number) for number in range(regionals)]
        self.shield = self.node("shield", base + SHIELD)
        self.nodes = [self.shield, *self.regionals, *self.edges]
        for node in self.nodes:
            self.write_site(node, urls, site)
            for key, value in (settings or {}).items():
                node.settings["WEIR__" + key.upper().replace(".", "__")] = str(value)

    @staticmethod
    def free_base(rng, edges, regionals):
        for _ in range(200):
            base = rng.randrange(20_000, 28_000)
            data = [base + SHIELD, *(base + number for number in range(edges)),
                    *(base + REGIONAL + number for number in range(regionals))]
            if all(is_free(port) and is_free(port + ADMIN) for port in data):
                return base
        raise RuntimeError("no free ports")

    def node(self, name, port):
        tier = name.split("-")[0]
        made = Node(name, port, [f"{self.binaries}/weir-{tier}", "--config", f"{self.folder}/{name}.toml"], self.folder)
        self.processes.append(made)
        return made

    def write_site(self, node, urls, site):
        path = f"{self.folder}/{node.name}.toml"
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        listed = "origins = [" + ", ".join(f'"{url}"' for url in urls) + "]"
        at = next(number for number, line in enumerate(lines) if line.startswith("origins ="))
        # Above the tables of the site, where its own keys are.
        lines[at:at + 1] = [listed, *site]
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    def mock(self, port, name="origin", *arguments):
        """A `weir-origin-mock` that is ended with the stack. Not started yet."""
        command = [f"{self.binaries}/weir-origin-mock", "--listen", f"127.0.0.1:{port}", *arguments]
        made = Process(name, port, command, self.folder)
        self.processes.append(made)
        return made

    async def start(self):
        """Starts all that is not running and waits until it can be asked."""
        for process in self.processes:
            if not process.is_running():
                process.start()
        for process in self.processes:
            if isinstance(process, Node):
                await process.ready()
            else:
                await listens(process.port)

    def close(self):
        for process in self.processes:
            process.kill()
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)


async def listens(port, seconds=10.0):
    """Waits until somebody listens on `port`."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        except OSError:
            await asyncio.sleep(0.05)
    raise RuntimeError(f"nobody listens on port {port}")
