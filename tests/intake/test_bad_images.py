"""Every bad image that was thought of, in one catalogue: what becomes of each, and that nothing else is touched by it.

The table is the documentation: name, file, the reason it is quarantined for; None: it is usable, and looks right to the models.
"""

import io
import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from icg_tasks.backbones.images import decode_image, pil_to_pixels
from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.intake import validate_items
from icg_tasks.lake.partitions import read_partition

GREY = np.tile(np.linspace(0, 255, 32, dtype=np.uint8), (32, 1))
COLOUR = np.stack([GREY, GREY.T, 255 - GREY], axis=-1)


def saved(image: Image.Image, form: str, **options) -> bytes:
    sink = io.BytesIO()
    image.save(sink, format=form, **options)
    return sink.getvalue()


def png_of(side: int, *, body: bytes = bytes(1000), depth: int = 8, colour: int = 2) -> bytes:
    """A PNG by hand, whose header promises what it likes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def animated(form: str) -> bytes:
    frames = [Image.fromarray(np.roll(COLOUR, 4 * number, axis=0)) for number in range(3)]
    return saved(frames[0], form, save_all=True, append_images=frames[1:])


RGB = Image.fromarray(COLOUR)
SIXTEEN_RGB = b"".join(b"\0" + row.astype(">u2").tobytes() for row in COLOUR.astype(np.uint32) * 257)
BAD = {
    "empty": (b"", "image_truncated"),
    "truncated jpeg": (saved(RGB, "JPEG")[:400], "image_truncated"),
    "truncated png": (saved(RGB, "PNG")[:-30], "image_truncated"),
    "truncated webp": (saved(RGB, "WEBP")[:-30], "image_truncated"),
    "50,000 x 50,000 pixels": (png_of(50_000), "image_too_many_pixels"),
    "2^31 - 1 pixels a side": (png_of(2**31 - 1), "image_too_many_pixels"),
    "bomb: 60 MB of zeros in 60 kB": (png_of(20_000, body=bytes(60_000_000)), "image_too_many_pixels"),
    "bomb: more data than the header promises": (png_of(32, body=bytes(60_000_000)), None),
    "animated webp": (animated("WEBP"), "image_animated"),
    "animated png": (animated("PNG"), "image_animated"),
    "animated gif": (animated("GIF"), "image_format"),
    "16-bit grey": (saved(Image.fromarray(GREY.astype(np.uint16) * 257), "PNG"), "image_depth"),
    "16-bit colour": (png_of(32, body=SIXTEEN_RGB, depth=16), None),
    "cmyk jpeg": (saved(RGB.convert("CMYK"), "JPEG", quality=95), None),
    "palette png": (saved(RGB.quantize(64), "PNG"), None),
    "transparent": (saved(Image.merge("RGBA", (*RGB.split(), Image.new("L", RGB.size, 255))), "WEBP", lossless=True), None),
    "png that is called .jpg": (saved(RGB, "PNG"), None),
    "tiff": (saved(RGB, "TIFF"), "image_format"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "image_format"),
    "html": (b"<html><body>404</body></html>", "image_format"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9999 9999\n", "image_format"),
    "zeros": (bytes(5_000), "image_format"),
}
TRICKS = {
    "../../../etc/passwd": "item_id_pattern",
    "/etc/passwd": "item_id_pattern",
    "..": "item_id_pattern",
    "a/b": "item_id_pattern",
    "a\\b": "item_id_pattern",
    "a\0b": "item_id_pattern",
    "a\nb": "item_id_pattern",
    ".hidden": "item_id_pattern",
    "x" * 129: "item_id_pattern",
    "%2e%2e%2f": "item_id_pattern",
    "$(reboot)": "item_id_pattern",
    "item-\u202e000": "item_id_pattern",
}
DANGEROUS = {"image_truncated", "image_too_many_pixels"}
UNSAFE_KEYS = ["../../secret.png", "/etc/passwd", "covers//x.png", "covers/./x.png", "https://x/y.png", "a\0.png"]
KEYS = {name: f"covers/bad-{number:02d}.{'jpg' if 'jpg' in name else 'png'}" for number, name in enumerate(BAD)}
LIMIT = "intake.max_quarantined_share=0.9"


def test_each_bad_image_costs_its_item_alone_and_is_named(context, platform, store) -> None:
    platform.put_images()
    frame = platform.item_frame()
    names = dict(zip(frame["item_id"], BAD, strict=False))
    for number, (name, (data, _)) in enumerate(BAD.items()):
        store.put(f"raw/images/{KEYS[name]}", data)
        frame.loc[number, "reference_image"] = KEYS[name]
    platform.put_items(frame)
    outcome = validate_items.run(context("validate-items", platform.day, LIMIT))
    rows = read_partition(store, "quarantine/items", platform.day).to_pylist()
    found = {names[json.loads(row["row_json"])["item_id"]]: row["reason"] for row in rows}
    assert found == {name: reason for name, (_, reason) in BAD.items() if reason is not None}
    assert outcome.counts["clean_rows"] == len(frame) - len(found)
    assert all(row["detail"] and row["advice"] for row in rows)


@pytest.mark.parametrize("name", [name for name, (_, reason) in BAD.items() if reason is None])
def test_what_is_let_through_looks_right_to_the_models(name: str) -> None:
    if name.startswith("bomb"):
        decode_image(BAD[name][0], max_bytes=10**8, max_pixels=10**6)  # no more is inflated than its pixels need
        return
    image = decode_image(BAD[name][0], max_bytes=10**7, max_pixels=10**6)
    pixels_HWC = pil_to_pixels(image.convert("RGB"))[0].permute(1, 2, 0).numpy()
    assert np.abs(pixels_HWC - COLOUR / 255.0).mean() < 0.06


@pytest.mark.parametrize(
    "name", [name for name, (_, reason) in BAD.items() if reason in {"image_truncated", "image_too_many_pixels"}]
)
def test_the_generator_s_own_door_refuses_them_too(name: str) -> None:
    with pytest.raises(DataCorrupt):
        decode_image(BAD[name][0], max_bytes=10**8, max_pixels=10**7)


def test_item_ids_that_are_paths_never_reach_a_key(context, platform, store) -> None:
    platform.put_images()
    frame = platform.item_frame()
    frame.loc[: len(TRICKS) - 1, "item_id"] = list(TRICKS)
    platform.put_items(frame)
    before = set(store.list(""))
    validate_items.run(context("validate-items", platform.day, LIMIT))
    rows = read_partition(store, "quarantine/items", platform.day).to_pylist()
    assert {json.loads(row["row_json"])["item_id"]: row["reason"] for row in rows} == TRICKS
    assert not set(read_partition(store, "clean/items", platform.day)["item_id"].to_pylist()) & set(TRICKS)
    assert all(not any(trick in key for trick in TRICKS if len(trick) > 2) for key in set(store.list("")) - before)


@pytest.mark.parametrize(
    "key", ["../../secret.png", "/etc/passwd", "covers//x.png", "covers/./x.png", "https://x/y.png", "a\0.png"]
)
def test_image_keys_that_are_paths_are_never_followed(context, platform, store, key: str) -> None:
    platform.put_images()
    (store.root.parent / "secret.png").write_bytes(saved(RGB, "PNG"))
    frame = platform.item_frame()
    frame.loc[0, "reference_image"] = key
    platform.put_items(frame)
    validate_items.run(context("validate-items", platform.day, LIMIT))
    rows = read_partition(store, "quarantine/items", platform.day).to_pylist()
    assert [row["reason"] for row in rows] == ["reference_image_unsafe"]
