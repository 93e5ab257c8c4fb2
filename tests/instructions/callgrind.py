"""How many instructions does something take, by valgrind's callgrind?

A server is counted while it runs, a program from its start to its end. Instructions are those of user space, all
threads together; the kernel's are not seen. A string instruction (`rep movsb`) counts as one for each byte.
"""

import asyncio
import os
import shutil
import subprocess

NEEDED = ("valgrind", "callgrind_control", "vgdb")
# Where the kernel shows that a thread waits: for a request, for an answer, for a timer.
WAITING = "S"


class CannotCount(RuntimeError):
    """Nothing can be counted on this machine, or what was to be counted failed."""


def missing():
    """Which of the programs that it takes are not installed."""
    return [name for name in NEEDED if shutil.which(name) is None]


def command(out, *own):
    """What runs a program under callgrind, which writes to `out`; `own` are further options."""
    return ["valgrind", "--tool=callgrind", *own, f"--callgrind-out-file={out}"]


def total(path):
    """The instructions that a file of callgrind sums up to."""
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("totals:"):
                return int(line.split()[1])
    raise CannotCount(f"{path} has no totals")


async def run(*words):
    """Runs a program to its end; fails with what it says unless that goes well."""
    process = await asyncio.create_subprocess_exec(
        *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode != 0:
        raise CannotCount(f"{' '.join(words)} ended with {process.returncode}: {said.decode(errors='replace')[-1000:]}")


class Counter:
    """Counts what a running `process` under callgrind does; it was started with `--instr-atstart=no`."""

    def __init__(self, process, out):
        self.process, self.out, self.parts = process, out, 0

    async def control(self, *words):
        await run("callgrind_control", *words, str(self.process.pid))

    async def begin(self):
        await self.control("--instr=on")

    async def end(self):
        await self.control("--instr=off")

    async def take(self):
        """The instructions since the last time, or since the beginning."""
        await self.control("--dump")
        self.parts += 1
        path = f"{self.out}.{self.parts}"
        spent = total(path)
        os.remove(path)
        return spent

    def is_idle(self):
        """Whether every thread waits, so that the next request finds the process in the state that the last one found."""
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            try:
                with open(f"/proc/{self.process.pid}/task/{thread}/stat", encoding="utf-8", errors="replace") as stat:
                    if stat.read().rpartition(")")[2].split()[0] != WAITING:
                        return False
            except FileNotFoundError:
                # It has ended meanwhile.
                pass
        return True

    async def idle(self, seconds=10.0):
        """Waits until it is."""
        ends = asyncio.get_running_loop().time() + seconds
        while not self.is_idle():
            if asyncio.get_running_loop().time() > ends:
                raise CannotCount(f"a process is never idle: {self.process.pid}")
            await asyncio.sleep(0.0002)


async def program(folder, *words):
    """The instructions of a program from its start to its end."""
    out = f"{folder}/program.out"
    await run(*command(out), *words)
    spent = total(out)
    os.remove(out)
    return spent
