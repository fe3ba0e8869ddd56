"""The chunks of a WebP file, by RIFF's rules alone: which there are, and the file without its signature.

A cover is named by the hash of its unsigned bytes; a C2PA signature is one more chunk at the end, so taking it off gives the
named bytes back. Standard library alone; decodes nothing.
"""

from collections.abc import Iterator

SIGNATURE = b"C2PA"
XMP = b"XMP "
_HEAD = 12


def is_webp(data: bytes) -> bool:
    """Whether these bytes begin as a WebP file does."""
    return len(data) >= _HEAD and data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end (with padding) of each chunk; ends at the first that does not fit.

    >>> list(chunks(b"RIFF\\x0e\\0\\0\\0WEBPABCD\\x01\\0\\0\\0x\\0"))
    [(b'ABCD', 12, 22)]
    """
    at = _HEAD if is_webp(data) else len(data)
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        end = at + 8 + size + size % 2
        if end > len(data):
            return
        yield data[at : at + 4], at, end
        at = end


def chunk(data: bytes, name: bytes) -> bytes | None:
    """Content of the first chunk of that name, or None."""
    for found, start, _ in chunks(data):
        if found == name:
            size = int.from_bytes(data[start + 4 : start + 8], "little")
            return data[start + 8 : start + 8 + size]
    return None


def without_signature(data: bytes) -> bytes:
    """The same file without C2PA chunks; bytes that have none come back as they are."""
    taken = [(start, end) for name, start, end in chunks(data) if name == SIGNATURE]
    if not taken:
        return data
    rest, at = [], _HEAD
    for start, end in taken:
        rest.append(data[at:start])
        at = end
    body = b"".join([*rest, data[at:]])
    return data[:4] + (len(body) + 4).to_bytes(4, "little") + data[8:12] + body
