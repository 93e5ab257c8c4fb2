"""Serves one large file with ranges, and counts what it sends.

The file is sparse: a stamp a MiB, so that no two slices are the same, and holes. Plain threads and sendfile, so
that the origin costs next to nothing of what is measured.
"""

import hashlib
import os
import socket
import socketserver
import threading

from kit import MIB, parse_head
from known import range_in

STAMP_BYTES = 32
ETAG = "1"


def make(path, size):
    """Makes the file."""
    with open(path, "wb") as file:
        file.truncate(size)
        for at in range(0, size, MIB):
            file.seek(at)
            file.write(hashlib.blake2b(b"%d" % at, digest_size=STAMP_BYTES).digest()[:size - at])


def digest_of(path):
    """What all of it hashes to."""
    with open(path, "rb") as file:
        hashed = hashlib.sha1()
        while piece := file.read(MIB):
            hashed.update(piece)
    return hashed.hexdigest()


class Answering(socketserver.StreamRequestHandler):
    """One connection."""

    def handle(self):
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while self.answer():
                pass
        except OSError:
            pass

    def answer(self):
        lines = []
        while (line := self.rfile.readline(8192)) not in (b"\r\n", b""):
            lines.append(line)
        if not lines:
            return False
        _, fields = parse_head(b"".join(lines))
        origin = self.server.origin
        first, last, status = 0, origin.size - 1, "200 OK"
        part = range_in(fields, ETAG, origin.size)
        extra = ""
        if part is not None:
            first, last = part
            status, extra = "206 Partial Content", f"Content-Range: bytes {first}-{last}/{origin.size}\r\n"
        self.connection.sendall(
            f'HTTP/1.1 {status}\r\nETag: "{ETAG}"\r\nAccept-Ranges: bytes\r\nCache-Control: max-age=86400\r\n'
            f"{extra}Content-Length: {last - first + 1}\r\n\r\n".encode())
        origin.requests.append(fields.get("range", "all"))
        with open(origin.path, "rb") as file:
            while first <= last:
                sent = os.sendfile(self.connection.fileno(), file.fileno(), first, min(last - first + 1, MIB))
                first += sent
                origin.count(sent)
        return True


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, _request, _address):
        """A connection that breaks is the client's affair."""


class SparseOrigin:
    """The file at `path` behind every URL."""

    def __init__(self, path):
        self.path, self.size = path, os.path.getsize(path)
        self.sent_bytes, self.lock, self.requests = 0, threading.Lock(), []
        self.server = Server(("127.0.0.1", 0), Answering)
        self.server.origin = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def count(self, sent):
        with self.lock:
            self.sent_bytes += sent

    def take(self):
        """The bytes sent since this was called last, and what for."""
        with self.lock:
            sent, self.sent_bytes = self.sent_bytes, 0
            asked, self.requests = self.requests, []
        return sent, asked

    def close(self):
        self.server.shutdown()
        self.server.server_close()
