"""Reference images: every fault has its name, nothing is decoded before its size is known, nothing twice."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from icg_tasks.intake.images import ImageChecker, inspect_image

PIXELS = 1_000_000


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_whole_images_pass_and_cut_ones_are_truncated(form, noise):
    data = noise(form=form, size=(64, 64))
    assert inspect_image(data, PIXELS) == ("", "")
    for share in (0.95, 0.5, 0.2):
        assert inspect_image(data[: int(len(data) * share)], PIXELS)[0] == "image_truncated"


@pytest.mark.parametrize("missing", [1, 4, 12, 20])
def test_even_a_png_without_its_last_bytes_is_truncated(missing, noise):
    assert inspect_image(noise()[:-missing], PIXELS)[0] == "image_truncated"


@pytest.mark.parametrize("data", [b"", b"GIF89a" + b"\0" * 40, b"<svg/>", b"hello", bytes(1000)])
def test_other_bytes_have_no_accepted_format(data, noise):
    assert inspect_image(data, PIXELS)[0] in {"image_format", "image_truncated"}


def test_gif_and_bmp_are_not_accepted(noise):
    assert inspect_image(noise(form="GIF"), PIXELS)[0] == "image_format"
    assert inspect_image(noise(form="BMP"), PIXELS)[0] == "image_format"


def test_damaged_pixels_are_unreadable(noise):
    data = bytearray(noise(size=(64, 64)))
    data[200:260] = bytes(60)
    assert inspect_image(bytes(data), PIXELS)[0] in {"image_unreadable", "image_truncated"}


def test_animation_is_refused(noise):
    frames = [Image.fromarray(np.full((16, 16, 3), value, dtype=np.uint8)) for value in (0, 200)]
    sink = io.BytesIO()
    frames[0].save(sink, format="WEBP", save_all=True, append_images=frames[1:])
    assert inspect_image(sink.getvalue(), PIXELS)[0] == "image_animated"


def _bomb(side: int) -> bytes:
    """A tiny PNG whose header promises side x side pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [20_000, 60_000, 2**31 - 1])
def test_decompression_bomb_is_refused_by_its_header(side, monkeypatch, noise):
    def decoded(*_):
        raise AssertionError("decoded before its size was known")

    monkeypatch.setattr(Image.Image, "load", decoded)
    reason, detail = inspect_image(_bomb(side), 40_000_000)
    assert reason in {"image_too_many_pixels", "image_unreadable"}
    assert detail


def test_checker_bounds_bytes_names_absent_ones_and_decodes_once(store, noise):
    store.put("raw/images/a.png", noise(1))
    store.put("raw/images/b.png", noise(2))
    store.put("raw/images/large.png", noise(3) + bytes(5_000))
    checker = ImageChecker(store=store, max_bytes=4_000, max_pixels=PIXELS)
    keys = [f"raw/images/{name}.png" for name in ("a", "b", "large", "gone")]
    first = checker.check(keys)
    assert [first[key].reason for key in keys] == ["", "", "image_too_large", "image_missing"]
    assert checker.decoded == 2
    assert checker.check(keys) == first
    assert checker.decoded == 2


def test_unchanged_bytes_of_yesterday_are_trusted_and_changed_ones_are_not(store, noise):
    store.put("raw/images/a.png", noise(1))
    sha256 = (
        ImageChecker(store=store, max_bytes=10_000, max_pixels=PIXELS).check(["raw/images/a.png"])["raw/images/a.png"].sha256
    )
    again = ImageChecker(store=store, max_bytes=10_000, max_pixels=PIXELS, trusted={"raw/images/a.png": sha256})
    assert again.check(["raw/images/a.png"])["raw/images/a.png"].sha256 == sha256
    assert again.decoded == 0
    store.put("raw/images/a.png", noise(2)[:-30])
    changed = ImageChecker(store=store, max_bytes=10_000, max_pixels=PIXELS, trusted={"raw/images/a.png": sha256})
    assert changed.check(["raw/images/a.png"])["raw/images/a.png"].reason == "image_truncated"
