#!/usr/bin/env python3
"""How long does a purge take until it holds on every node of a chain that runs already?

    python3 tests/purge/latency.py --admin http://127.0.0.1:9080 --host www.test --count 1000

The token is in WEIR_ADMIN_TOKEN. Each purge is asked for when the one before it is complete.
"""

import argparse
import http.client
import json
import os
import time
import urllib.parse

WISHES = {
    "url": lambda host, n: {"urls": [f"http://{host}/purge/{n}"]},
    "prefix": lambda host, n: {"prefixes": [f"{host}/purge/{n}/"]},
    "tag": lambda host, n: {"tags": [f"tag-{n}"]},
    "host": lambda host, n: {"hosts": [host]},
    "glob": lambda host, n: {"globs": [f"{host}/purge/{n % 100}/*.js"]},
    "everything": lambda host, n: {"everything": True},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--admin", default="http://127.0.0.1:9080")
    parser.add_argument("--host", default="www.test")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--what", choices=sorted(WISHES), action="append")
    arguments = parser.parse_args()
    where = urllib.parse.urlsplit(arguments.admin)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
    fields = {"Authorization": f"Bearer {os.environ['WEIR_ADMIN_TOKEN']}"}
    for what in arguments.what or ["url"]:
        took, nodes = [], 0
        for number in range(arguments.count):
            body = json.dumps(WISHES[what](arguments.host, number))
            began = time.perf_counter()
            connection.request("POST", "/v1/purges?wait=10s", body, fields)
            answer = connection.getresponse()
            receipt = json.loads(answer.read())
            took.append((time.perf_counter() - began) * 1000)
            if answer.status != 200 or receipt["state"] != "applied":
                raise SystemExit(f"{answer.status}: {json.dumps(receipt)}")
            nodes = len(receipt["nodes"])
        took.sort()
        print(json.dumps({
            "what": what, "nodes": nodes, "purges": len(took),
            "p50_ms": round(took[len(took) // 2], 2),
            "p99_ms": round(took[len(took) * 99 // 100], 2),
            "slowest_ms": round(took[-1], 2),
        }))


if __name__ == "__main__":
    main()
