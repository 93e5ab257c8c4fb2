"""Which bytes are right for a URL, and was an answer that?

The body of a URL follows from its path and a version, which the origin says as its ETag. So an answer proves
itself: whole, of one version, and of which; an old version was stored, the newest may have been fetched.
The last part of a path is the length of the body.
"""

import hashlib

from kit import KIB, MIB, Origin

# Versions of all bodies change by so much at once, so that what was stored before tells itself from what is fetched.
EPOCH = 1_000_000


def length_of(path):
    """Bytes of the body at `path`."""
    return int(path.rpartition("/")[2])


def body_of(path, version):
    """The body; no part of it occurs in another one or elsewhere in it."""
    return hashlib.shake_128(f"{path} {version}".encode()).digest(length_of(path))


def path_for(rng, prefix, number, large_every=0):
    """A path of its own: 1 to 64 KiB, and each `large_every`th of several MiB."""
    is_large = large_every and number % large_every == large_every - 1
    length = rng.randrange(3 * MIB // 2, 8 * MIB) if is_large else int(KIB * 64 ** rng.random())
    return f"/{prefix}/{number}/{length}"


class KnownOrigin(Origin):
    """Answers every path with its body of today; knows ranges and conditions."""

    def __init__(self):
        super().__init__(KnownOrigin.say)
        self.epoch, self.changes = 1, {}
        self.sent_bytes = 0
        self.refuses = False

    def version(self, path):
        """The version at this moment."""
        return self.epoch * EPOCH + self.changes.get(path, 0)

    def change(self, path):
        """Gives one path another body."""
        self.changes[path] = self.changes.get(path, 0) + 1
        return self.version(path)

    async def say(self, _reader, writer, path, fields):
        version = self.version(path)
        head = [f'ETag: "{version}"', "Cache-Control: max-age=86400", "Accept-Ranges: bytes",
                f"Cache-Tag: {tag_of(path)}"]
        if fields.get("if-none-match") == f'"{version}"':
            writer.write("\r\n".join(["HTTP/1.1 304 Not Modified", *head, "", ""]).encode())
            return
        body, status = body_of(path, version), "200 OK"
        part = range_in(fields, version, len(body))
        if part is not None:
            first, last = part
            head.append(f"Content-Range: bytes {first}-{last}/{len(body)}")
            body, status = body[first:last + 1], "206 Partial Content"
        head.append(f"Content-Length: {len(body)}")
        writer.write("\r\n".join([f"HTTP/1.1 {status}", *head, "", ""]).encode())
        writer.write(body)
        self.sent_bytes += len(body)
        await writer.drain()


def tag_of(path):
    """The tag that this path alone carries."""
    return "t" + path.rpartition("/")[0].replace("/", "-")


def range_in(fields, version, length):
    """First and last byte of the one range that a request names, if it is to be obeyed."""
    wanted = fields.get("range", "")
    if not wanted.startswith("bytes=") or "," in wanted or fields.get("if-range", f'"{version}"') != f'"{version}"':
        return None
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    if not first:
        return max(0, length - int(last)), length - 1
    return int(first), min(int(last) if last else length - 1, length - 1)


class Wrong(Exception):
    """Bytes that must not have been sent."""


def version_in(path, answer):
    """The version of a whole answer to `path`; raises `Wrong` where it is not what its ETag says."""
    status, fields, body = answer
    if status != 200:
        raise Wrong(f"status {status} for {path}")
    try:
        version = int(fields.get("etag", "").strip('"'))
    except ValueError:
        raise Wrong(f"no ETag of ours for {path}: {fields.get('etag')}") from None
    if len(body) != length_of(path):
        raise Wrong(f"{len(body)} bytes for {path}")
    if body != body_of(path, version):
        raise Wrong(f"bytes for {path} are not those of version {version}: {where(body, body_of(path, version))}")
    return version


def was_there(answer, before):
    """Whether something was stored: it was used, so that its version is below `before`, or had to be validated."""
    _, fields, _ = answer
    return int(fields["etag"].strip('"')) < before or "fwd=stale" in fields.get("cache-status", "")


def where(body, right):
    """Where two bodies of one length differ."""
    differing = [at for at in range(0, len(body), 512) if body[at:at + 512] != right[at:at + 512]]
    return f"{len(differing)} blocks of 512 bytes differ, the first at {differing[0]}"
