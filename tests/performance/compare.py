#!/usr/bin/env python3
"""What does a request cost beside nginx? CPU time per request of an edge and of nginx, in turns.

Both run one worker on the first CPU and ask the same origin, the driver (`weir bench load`) runs on the second one. Each round measures
both, one after the other and then in the other order, so that a ratio compares runs of the same minute; medians are told.
Requests per second are not: they say how busy the machine is with other things.

    cargo build --release --workspace
    python3 tests/performance/compare.py --binaries target/release

Needs nginx (Debian: apt-get install nginx), two CPUs and Linux. Everything lies in a temporary folder and on loopback.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

EDGE, ADMIN, ORIGIN, NGINX = 28080, 28081, 28082, 28083

EDGE_TOML = """
[node]
name = "edge"
listen = "127.0.0.1:{edge}"
admin = "127.0.0.1:{admin}"
data_dir = "{folder}/data"
workers = 1
[store]
memory = "1GiB"
disk = "4GiB"
memory_object_max = "128KiB"
[[site]]
name = "www"
hosts = ["*"]
origins = ["http://127.0.0.1:{origin}"]
"""

NGINX_CONF = """
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_timeout 300s; keepalive_requests 1000000000;
  client_body_temp_path {folder}/cb; proxy_temp_path {folder}/pt; fastcgi_temp_path {folder}/ft;
  uwsgi_temp_path {folder}/ut; scgi_temp_path {folder}/st;
  open_file_cache max=10000 inactive=1h; open_file_cache_valid 1h;
  proxy_cache_path {folder}/cache levels=1:2 keys_zone=c:64m max_size=4g inactive=1d use_temp_path=off;
  upstream o {{ server 127.0.0.1:{origin}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{nginx} backlog=4096;
    location / {{
      proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_cache c; proxy_cache_key $request_uri; proxy_cache_lock on;
      proxy_buffer_size 4k; proxy_buffers 64 16k; proxy_busy_buffers_size 64k;
      add_header X-Cache $upstream_cache_status;
    }}
  }}
}}
"""

# name, path, further arguments of the driver
KINDS = {
    "hit-1k": ("/a?size=1024&header=cache-control:max-age=9999", []),
    "hit-1k-1000": ("/k{n}?size=1024&header=cache-control:max-age=9999", ["--keys", "1000"]),
    "hit-1k-alone": ("/a?size=1024&header=cache-control:max-age=9999", ["--connections", "1"]),
    "hit-16k": ("/b?size=16384&header=cache-control:max-age=9999", []),
    "hit-256k": ("/c?size=262144&header=cache-control:max-age=9999", []),
    "hit-4m": ("/d?size=4194304&header=cache-control:max-age=9999", []),
    "range-of-4m": ("/d?size=4194304&header=cache-control:max-age=9999", ["--range", "1000-1999"]),
    "miss-1k": ("/m/{miss}?size=1024&header=cache-control:max-age=9999", ["--miss", "100%"]),
}


def wait_for(port, what):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ready?size=1", timeout=2).read()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{what} does not answer on port {port}")


def children(pid):
    found = [pid]
    for entry in pathlib.Path(f"/proc/{pid}/task").iterdir():
        text = (entry / "children").read_text().split()
        for child in text:
            found += children(int(child))
    return found


class Servers:
    """Origin, edge and nginx, until the `with` ends."""

    def __init__(self, binaries, folder):
        self.binaries, self.folder, self.running = binaries, folder, []

    def start(self, cpu, *command, **environment):
        out = open(self.folder / f"{pathlib.Path(command[0]).name}.out", "wb")
        process = subprocess.Popen(
            ["taskset", "-c", str(cpu), *map(str, command)],
            stdout=out, stderr=out, env={**os.environ, **environment})
        self.running.append(process)
        return process.pid

    def __enter__(self):
        try:
            return self.start_all()
        except BaseException:
            self.stop()
            raise

    def start_all(self):
        names = dict(edge=EDGE, admin=ADMIN, origin=ORIGIN, nginx=NGINX, folder=self.folder,
                     # As root its worker would be somebody who may not enter the folder.
                     user="user root;" if os.geteuid() == 0 else "")
        (self.folder / "edge.toml").write_text(EDGE_TOML.format(**names))
        (self.folder / "nginx.conf").write_text(NGINX_CONF.format(**names))
        self.start(1, self.binaries / "weir-origin-mock", "--listen", f"127.0.0.1:{ORIGIN}")
        wait_for(ORIGIN, "the origin")
        edge = self.start(0, self.binaries / "weir-edge", "--config", self.folder / "edge.toml",
                          WEIR_ADMIN_TOKEN="a-token-for-measuring-only-0123456789")
        nginx = self.start(0, shutil.which("nginx") or "/usr/sbin/nginx", "-c",
                           self.folder / "nginx.conf", "-p", self.folder, "-e", self.folder / "nginx.log")
        wait_for(EDGE, "the edge")
        wait_for(NGINX, "nginx")
        # One that could not have its port would leave another one to answer.
        gone = [process.args[3] for process in self.running if process.poll() is not None]
        if gone:
            sys.exit(f"{', '.join(gone)} ended at once; is something else on ports {EDGE} to {NGINX}?")
        self.servers = {"weir": (EDGE, edge), "nginx": (NGINX, nginx)}
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        for process in self.running:
            process.terminate()
        for process in self.running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()

    def measure(self, server, kind, seconds):
        """CPU microseconds per request: all, and in user mode."""
        (port, pid), (path, more) = self.servers[server], KINDS[kind]
        if kind == "hit-1k-1000":
            for number in range(1000):
                urllib.request.urlopen(f"http://127.0.0.1:{port}" + path.replace("{n}", str(number))).read()
        pids = [word for child in children(pid) for word in ("--pid", str(child))]
        connections = [] if "--connections" in more else ["--connections", "64"]
        command = ["taskset", "-c", "1", str(self.binaries / "weir"), "bench", "load",
                   f"http://127.0.0.1:{port}{path}", "--warmup", "1s", "--duration", f"{seconds}s", "--json",
                   *connections, *more, *pids]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{server}, {kind}: {done.stderr.strip()}")
        told = json.loads(done.stdout)
        return told


def cost(told):
    server = told["server"]
    return server["cpu_us_per_request"], server["user_us_per_request"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", required=True, type=pathlib.Path, help="folder with weir, weir-edge and weir-origin-mock")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--only", action="append", choices=list(KINDS), help="a kind of request; may be repeated")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    binaries = options.binaries.resolve()
    if (os.cpu_count() or 1) < 2:
        sys.exit("two CPUs are needed: one for the servers, one for the driver")
    kinds, results = options.only or list(KINDS), {}
    with tempfile.TemporaryDirectory(prefix="weir-compare-") as folder, Servers(binaries, pathlib.Path(folder)) as servers:
        for kind in kinds:
            rounds = []
            for number in range(options.rounds):
                order = ["weir", "nginx"] if number % 2 == 0 else ["nginx", "weir"]
                rounds.append({server: cost(servers.measure(server, kind, options.seconds)) for server in order})
                print(f"{kind}: round {number + 1} of {options.rounds}", file=sys.stderr)
            median = lambda server, at: statistics.median(one[server][at] for one in rounds)
            ratios = [one["nginx"][0] / one["weir"][0] for one in rounds]
            results[kind] = dict(
                weir_us=median("weir", 0), weir_user_us=median("weir", 1), nginx_us=median("nginx", 0),
                nginx_user_us=median("nginx", 1), ratio=statistics.median(ratios), ratio_min=min(ratios), ratio_max=max(ratios))
    if options.json:
        print(json.dumps(results))
        return
    print(f"{'':14} {'weir us':>9} {'(user)':>8} {'nginx us':>9} {'(user)':>8}   nginx/weir [least-most]")
    for kind, told in results.items():
        print(f"{kind:14} {told['weir_us']:9.1f} {told['weir_user_us']:8.1f} {told['nginx_us']:9.1f} {told['nginx_user_us']:8.1f}"
              f"   {told['ratio']:.2f} [{told['ratio_min']:.2f}-{told['ratio_max']:.2f}]")


if __name__ == "__main__":
    main()
