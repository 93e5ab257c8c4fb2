"""The public suite: how it is installed, what it tests, and how its two programs are run.

The suite is the npm package pinned in package.json and package-lock.json. It is installed outside
the repository, without running any script of any package. Its programs are started as npm would
start them, but without npm in between, so that they can be ended.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
PINS = ("package.json", "package-lock.json")
PACKAGE = "http-cache-tests"

INSTALL_SECONDS_MAX = 300
LIST_SECONDS_MAX = 30
START_SECONDS_MAX = 15
# A full run takes half a minute, most of it pauses of three seconds.
RUN_SECONDS_MAX = 240

# Tests for browsers only are left out by the suite's own client as well.
LIST_TESTS = """
import tests from './tests/index.mjs'
import surrogate from './tests/surrogate-control.mjs'
const all = [...tests, surrogate].flatMap(suite => suite.tests)
const kept = all.filter(test => test.browser_only !== true)
console.log(JSON.stringify(kept.map(({ id, kind, depends_on }) => ({ id, kind, depends_on }))))
"""


class SuiteError(Exception):
    """The suite cannot be run; says nothing about the cache."""


def cache_folder():
    """Where installed suites are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "weir" / "conformance"


def install(folder):
    """Installs the pinned package below `folder` unless it is there; returns the package's folder."""
    pins = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in PINS)).hexdigest()
    home = folder / pins[:16]
    if not home.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as making:
            # Moved into place only when whole, so that no run finds a part of it.
            _install_in(Path(making) / "whole")
            _move_unless_there(Path(making) / "whole", home)
    return home / "node_modules" / PACKAGE


def _install_in(folder):
    folder.mkdir()
    for name in PINS:
        shutil.copyfile(HERE / name, folder / name)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    _output(command, folder, INSTALL_SECONDS_MAX)


def _move_unless_there(source, target):
    try:
        source.rename(target)
    except OSError:
        # Another run was faster.
        if not target.is_dir():
            raise


def version(package):
    """The version that is installed."""
    return json.loads((package / "package.json").read_text())["version"]


def list_tests(package):
    """The suite's tests by id, those for browsers only left out."""
    command = ["node", "--no-warnings", "--input-type=module", "--eval", LIST_TESTS]
    tests = json.loads(_output(command, package, LIST_SECONDS_MAX))
    return {test["id"]: test for test in tests}


def start_origin(package, port, processes, folder):
    """Starts the suite's origin on `port` and waits until it answers."""
    environment = os.environ | {
        "npm_config_protocol": "http",
        "npm_config_port": str(port),
        "npm_config_pidfile": str(folder / "origin.pid"),
    }
    command = ["node", "server/server.mjs"]
    process = processes.start("origin", command, cwd=package, env=environment)
    await_answer(f"http://127.0.0.1:{port}/", process, START_SECONDS_MAX)


def run_client(package, base, log):
    """Runs every test against `base`; returns the client's results by test id."""
    environment = os.environ | {
        "npm_config_base": base,
        # The client runs a single test unless this is empty.
        "npm_package_config_id": "",
    }
    environment.pop("npm_config_id", None)
    with open(log, "wb") as errors:
        command = ["node", "--no-warnings", "cli.mjs"]
        text = _output(command, package, RUN_SECONDS_MAX, env=environment, stderr=errors)
    results = json.loads(text) if text.strip() else {}
    if not results:
        raise SuiteError(f"the client gave no results; see {log}")
    return results


def await_answer(url, process, seconds_max):
    """Waits until anything answers at `url`, whatever the status."""
    # The suite is local: a proxy of the environment must not get between.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            opener.open(url, timeout=1).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    raise SuiteError(f"nothing answers at {url}")


def _output(command, cwd, seconds_max, env=None, stderr=subprocess.PIPE):
    """What a command prints, if it ends well and in time."""
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    except OSError as error:
        raise SuiteError(f"{command[0]} cannot be run: {error}") from None
    try:
        printed, complained = process.communicate(timeout=seconds_max)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise SuiteError(f"{command[0]} took more than {seconds_max} s") from None
        raise
    if process.returncode != 0:
        said = (complained or b"").decode(errors="replace")[-2000:]
        raise SuiteError(f"{command[0]} ended with {process.returncode}: {said}")
    return printed.decode()
