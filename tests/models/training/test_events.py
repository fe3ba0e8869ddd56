"""Event files hold what was written, record by record, with the checksums that TensorBoard verifies."""

import io
import struct
from pathlib import Path

from PIL import Image

from icg_tasks.models.training.events import EventFile, crc32c


def records(path: Path) -> list[bytes]:
    """Bodies of all records; every checksum is verified (masked as in tensorflow/core/lib/hash/crc32c.h)."""
    data, found = path.read_bytes(), []

    def masked(part: bytes) -> int:
        value = crc32c(part)
        return ((value >> 15 | (value << 17) & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF

    while data:
        size = struct.unpack("<Q", data[:8])[0]
        assert struct.unpack("<I", data[8:12])[0] == masked(data[:8])
        assert struct.unpack("<I", data[12 + size : 16 + size])[0] == masked(data[12 : 12 + size])
        found.append(data[12 : 12 + size])
        data = data[16 + size :]
    return found


def fields(message: bytes) -> list[tuple[int, object]]:
    """Numbers and values of a protobuf message's fields."""

    def number(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = message[at]
            value |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                return value, at

    found, at = [], 0
    while at < len(message):
        tag, at = number(at)
        if tag & 7 == 0:
            value, at = number(at)
        elif tag & 7 == 2:
            size, at = number(at)
            value, at = message[at : at + size], at + size
        else:
            size = 8 if tag & 7 == 1 else 4
            value, at = struct.unpack("<d" if size == 8 else "<f", message[at : at + size])[0], at + size
        found.append((tag >> 3, value))
    return found


def test_figures_and_images_come_back(tmp_path: Path) -> None:
    file = EventFile(tmp_path / "record", clock=lambda: 1_234.5)
    file.figures(300, {"step/loss": 0.25, "step/none": float("nan")})
    picture = Image.new("RGB", (5, 3), "navy")
    file.image(301, "covers", picture)
    first, figures, image = (dict(fields(record)) for record in records(file.path))
    assert first == {1: 1_234.5, 3: b"brain.Event:2"}
    assert figures[2] == 300
    assert [dict(fields(value)) for _, value in fields(figures[5])] == [{1: b"step/loss", 2: 0.25}]
    shown = dict(fields(dict(fields(image[5]))[1]))
    assert shown[1] == b"covers"
    inner = dict(fields(shown[4]))
    assert (inner[1], inner[2], inner[3]) == (3, 5, 3)
    assert Image.open(io.BytesIO(inner[4])).tobytes() == picture.tobytes()


def test_a_resumed_run_writes_a_file_of_its_own(tmp_path: Path) -> None:
    first, second = (EventFile(tmp_path, clock=lambda: 7.0) for _ in range(2))
    assert first.path != second.path
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([first.path.name, second.path.name])
