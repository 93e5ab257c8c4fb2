"""Weir under test: one edge in front of the origin, or edge, regional and shield.

Also owns the processes of a run and the choice of their ports.
"""

import json
import os
import random
import select
import signal
import socket
import subprocess
import time

import suite

# The system takes the ports of outgoing connections from 32768 on; thousands are open in a run.
PORTS = range(10_000, 30_000)
PORT_ATTEMPTS_MAX = 100
# How far above the port given to `weir up` its nodes listen; see `weir up --help`.
EDGE, REGIONAL, SHIELD, ADMIN = 0, 100, 200, 1000
READY_SECONDS_MAX = 30
END_SECONDS_MAX = 15

SITE = """\
[[site]]
name = "conformance"
hosts = ["*"]
origins = ["http://127.0.0.1:{origin}"]
profile = "{profile}"
"""

EDGE_NODE = """\
[node]
name = "edge-0"
listen = "127.0.0.1:{port}"
admin = "127.0.0.1:{admin}"
data_dir = "{data}"

"""


class Processes:
    """The processes of one run; all are ended when it is left, however it is left."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            _end(process)

    def check(self):
        """Raises if one of them has ended by itself: what was measured then is not Weir."""
        for process in self.running:
            if process.poll() is not None:
                raise suite.SuiteError(
                    f"{process.args[0]} ended during the run with {process.returncode}"
                )

    def start(self, name, command, stdout=None, **options):
        """Starts a command in a process group of its own; what it prints goes to `name`.log."""
        with open(self.folder / f"{name}.log", "wb") as log:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=stdout or log,
                    stderr=log,
                    start_new_session=True,
                    **options,
                )
            except OSError as error:
                raise suite.SuiteError(f"{command[0]} cannot be run: {error}") from None
        self.running.append(process)
        return process

    def end(self, process):
        """Ends one of them before the run is over."""
        self.running.remove(process)
        _end(process)


def _end(process):
    """Asks a process to end, then insists; takes what it started with it."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, how)
        try:
            process.wait(END_SECONDS_MAX)
            return
        except subprocess.TimeoutExpired:
            continue


def free_port(above=(0,)):
    """A port that is free, and so is each of those `above` it."""
    for _ in range(PORT_ATTEMPTS_MAX):
        port = random.choice(PORTS)
        if all(_is_free(port + distance) for distance in above):
            return port
    raise suite.SuiteError(f"no free port between {PORTS.start} and {PORTS.stop}")


def _is_free(port):
    with socket.socket(socket.AF_INET6) as probe:
        # Both families, as the suite's origin listens on both.
        probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            probe.bind(("::", port))
        except OSError:
            return False
    return True


def start(binaries, tiers, profile, origin, processes, folder):
    """Starts Weir in front of the origin at port `origin`; returns the URL that clients ask."""
    site = SITE.format(origin=origin, profile=profile)
    if tiers == 1:
        command = _one_tier(binaries, site, folder)
    else:
        command = _three_tiers(binaries, site, origin, folder)
    process = processes.start("weir", command, stdout=subprocess.PIPE)
    ready = json.loads(_first_line(process, folder))
    edge = ready if tiers == 1 else ready["edges"][0]
    return edge["data"]


def start_origin(binaries, port, processes):
    """Starts the scriptable origin at `port` and waits until it is ready; returns its process."""
    command = [binaries / "weir-origin-mock", "--listen", f"127.0.0.1:{port}", "--json"]
    process = processes.start("origin", command, stdout=subprocess.PIPE)
    _first_line(process, processes.folder)
    return process


def _one_tier(binaries, site, folder):
    port = free_port((EDGE, ADMIN))
    file = folder / "edge-0.toml"
    node = EDGE_NODE.format(port=port, admin=port + ADMIN, data=folder / "data")
    file.write_text(node + site)
    return [binaries / "weir-edge", "--config", file, "--json"]


def _three_tiers(binaries, site, origin, folder):
    tiers = (EDGE, REGIONAL, SHIELD)
    port = free_port(tiers + tuple(tier + ADMIN for tier in tiers))
    file = folder / "sites.toml"
    file.write_text(site)
    command = [binaries / "weir", "up", "--edges", "1", "--regionals", "1", "--json"]
    command += ["--origin", f"http://127.0.0.1:{origin}", "--sites", file]
    return command + ["--port", str(port), "--data-dir", folder / "data"]


def _first_line(process, folder):
    """The line that says that Weir is ready."""
    deadline, line = time.monotonic() + READY_SECONDS_MAX, b""
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        readable, _, _ = select.select([process.stdout], [], [], max(left, 0))
        some = os.read(process.stdout.fileno(), 65_536) if readable else b""
        if not some:
            raise suite.SuiteError(f"Weir did not get ready; see {folder / 'weir.log'}")
        line += some
    return line
