"""How do the shows speak HTTP/1.1: as origins that misbehave, and as clients that notice?

No library, because connections must be cut and read at moments that a library hides.
"""

import asyncio
import hashlib
import socket
import struct
import time

HOST = "www.test"
READ_BYTES = 256 * 1024


def parse_head(head):
    """First line and fields, names in lower case."""
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return first, {name.lower(): value.strip() for name, _, value in pairs}


def reset(writer):
    """Ends a connection with a TCP reset instead of an end."""
    raw = writer.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Origin:
    """Calls `answer(origin, reader, writer, path, fields)` for each request; it may close the writer."""

    def __init__(self, answer):
        self.answer = answer
        self.requests = self.connections = 0
        self.server, self.port = None, 0
        self.writers = set()

    async def open(self):
        """Listens; again on the same port after `close`."""
        self.server = await asyncio.start_server(
            self.serve, "127.0.0.1", self.port, reuse_address=True, backlog=4096)
        self.port = self.server.sockets[0].getsockname()[1]
        return self.port

    async def close(self):
        """Ends like a process that is killed: nobody listens, all connections are reset."""
        self.server.close()
        for writer in list(self.writers):
            reset(writer)

    async def serve(self, reader, writer):
        self.connections += 1
        self.writers.add(writer)
        try:
            while not writer.is_closing():
                first, fields = parse_head(await reader.readuntil(b"\r\n\r\n"))
                self.requests += 1
                await self.answer(self, reader, writer, first.split(" ")[1], fields)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()


class Client:
    """One connection that is kept; `ask` never raises for what the network does."""

    def __init__(self, port):
        self.port, self.streams = port, None

    async def ask(self, path, within=30.0, fields=()):
        """Status, fields and body of a GET; None if there was no whole answer."""
        try:
            return await asyncio.wait_for(self.exchange(path, fields), within)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, ValueError, IndexError):
            self.close()
            return None

    async def exchange(self, path, fields):
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port, limit=READ_BYTES)
        reader, writer = self.streams
        writer.write("\r\n".join([f"GET {path} HTTP/1.1", f"Host: {HOST}", *fields, "", ""]).encode())
        first, found = parse_head(await reader.readuntil(b"\r\n\r\n"))
        body = await reader.readexactly(int(found["content-length"]))
        if found.get("connection") == "close":
            self.close()
        return int(first.split(" ")[1]), found, body

    def close(self):
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


class Download:
    """One body as it comes in: counted and digested, not kept."""

    def __init__(self):
        self.status, self.fields = 0, {}
        self.bytes, self.hash = 0, hashlib.blake2b(digest_size=16)
        self.complete = False
        self.first = self.last = None

    def digest(self):
        return self.hash.hexdigest()

    async def run(self, port, path, fields=()):
        """Asks for `path` with a GET on a connection of its own and reads until the end, whichever."""
        self.began = time.monotonic()
        writer = None
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=READ_BYTES)
            lines = [f"GET {path} HTTP/1.1", f"Host: {HOST}", "Connection: close", *fields, "", ""]
            writer.write("\r\n".join(lines).encode())
            first, self.fields = parse_head(await reader.readuntil(b"\r\n\r\n"))
            self.status = int(first.split(" ")[1])
            length = int(self.fields["content-length"])
            while self.bytes < length:
                piece = await reader.read(READ_BYTES)
                if not piece:
                    break
                self.last = time.monotonic()
                self.first = self.first or self.last
                self.bytes += len(piece)
                self.hash.update(piece)
            self.complete = self.bytes == length
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            if writer is not None:
                writer.close()
        return self
