"""TensorBoard's event files, written without TensorBoard: figures and images by step, for ``tensorboard --logdir FOLDER``.

A record is length, checksum, an ``Event`` message, checksum (tensorflow/core/lib/io/record_writer.h and core/util/event.proto);
the four kinds of fields that figures and images need are encoded here. Knows bytes and PIL; no training.
"""

import io
import math
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, reflected
_MASK = 0xA282EAD8


def _table() -> list[int]:
    rows = []
    for byte in range(256):
        row = byte
        for _ in range(8):
            row = (row >> 1) ^ (_POLYNOMIAL if row & 1 else 0)
        rows.append(row)
    return rows


_ROWS = _table()


def crc32c(data: bytes) -> int:
    """Castagnoli's cyclic redundancy check.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    value = 0xFFFFFFFF
    for byte in data:
        value = _ROWS[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


class EventFile:
    """One file of one run of a training; TensorBoard shows all files of a folder as one course."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        number = len(list(folder.glob("events.out.tfevents.*")))
        self.path = folder / f"events.out.tfevents.{int(clock())}.{number:03d}"
        self._write(_text(3, b"brain.Event:2"))

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """One point of each named curve; numbers that are none are left out."""
        summary = b"".join(
            _text(1, _text(1, name.encode()) + _tag(2, 5) + struct.pack("<f", value))
            for name, value in values.items()
            if math.isfinite(value)
        )
        self._write(_tag(2, 0) + _varint(step) + _text(5, summary))

    def image(self, step: int, name: str, image: Image.Image) -> None:
        """One image under a name, as PNG."""
        sink = io.BytesIO()
        image.save(sink, "PNG")
        sizes = _tag(1, 0) + _varint(image.height) + _tag(2, 0) + _varint(image.width) + _tag(3, 0) + _varint(3)
        value = _text(1, name.encode()) + _text(4, sizes + _text(4, sink.getvalue()))
        self._write(_tag(2, 0) + _varint(step) + _text(5, _text(1, value)))

    def _write(self, body: bytes) -> None:
        event = _tag(1, 1) + struct.pack("<d", self._clock()) + body
        length = struct.pack("<Q", len(event))
        with self.path.open("ab") as file:
            file.write(length + _checksum(length) + event + _checksum(event))


def _checksum(data: bytes) -> bytes:
    value = crc32c(data)
    return struct.pack("<I", ((value >> 15 | value << 17) + _MASK) & 0xFFFFFFFF)


def _tag(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _text(number: int, data: bytes) -> bytes:
    """A field of bytes, a string or a message."""
    return _tag(number, 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
