"""What is a picture, and what is the file its row promises."""

import hashlib

import numpy as np
import pytest

from icg_tasks.covers.checks import blob_fault, encode_webp, pixel_fault
from tests.covers.conftest import picture


def sound(side: int = 32) -> np.ndarray:
    return picture(3, side).astype(np.float32) / 255.0


def test_a_picture_passes_and_faults_are_named() -> None:
    assert pixel_fault(sound()) is None
    dot = np.full((32, 32, 3), 0.2, dtype=np.float32)
    assert pixel_fault(dot) == "blank"
    dot[10:13, 10:13] = 1.0
    assert pixel_fault(dot) == "near_uniform"
    dot[10:24, 10:24] = 1.0
    assert pixel_fault(dot) is None
    broken = sound()
    broken[0, 0, 0] = np.nan
    assert pixel_fault(broken) == "not_finite"


def test_two_colours_of_one_brightness_are_a_picture() -> None:
    image = np.zeros((32, 32, 3), dtype=np.float32)
    image[:16, :, 0] = 0.6
    image[16:, :, 1] = 0.6
    assert pixel_fault(image) is None


def test_webp_bytes_repeat() -> None:
    assert encode_webp(picture(1), 90) == encode_webp(picture(1), 90)
    assert encode_webp(picture(1), 90) != encode_webp(picture(2), 90)


@pytest.mark.parametrize("change", ["name", "bytes", "size", "format"])
def test_a_blob_must_be_what_its_row_says(change: str) -> None:
    data = encode_webp(picture(1), 90)
    row = {"cover_id": hashlib.sha256(data).hexdigest(), "width": 32, "height": 32}
    assert blob_fault(data, row) is None
    if change == "name":
        row["cover_id"] = "0" * 64
    if change == "size":
        row["height"] = 31
    if change == "bytes":
        data = data[:-40]
        row["cover_id"] = hashlib.sha256(data).hexdigest()
    if change == "format":
        data = b"GIF89a" + data
        row["cover_id"] = hashlib.sha256(data).hexdigest()
    assert blob_fault(data, row) is not None
