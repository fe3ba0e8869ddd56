import io

import numpy as np
import pytest
import torch
from PIL import Image

from icg_tasks.backbones.images import Preprocessing, decode_image, pil_to_pixels
from icg_tasks.contracts.errors import DataCorrupt

LIMITS = {"max_bytes": 100_000, "max_pixels": 10_000}
CLIP = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}, "resample": 3, "do_center_crop": True}


def picture(width=40, height=30, mode="RGB"):
    pixels = np.random.default_rng(0).integers(256, size=(height, width, len(mode)), dtype=np.uint8)
    return Image.fromarray(pixels, mode)


def encoded(image, file_format="PNG"):
    sink = io.BytesIO()
    image.save(sink, file_format)
    return sink.getvalue()


def test_resize_and_crop_follow_the_image_processor_of_transformers():
    from transformers import CLIPImageProcessorPil

    config = CLIP | {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3]}
    expected = CLIPImageProcessorPil(**config)(images=picture(), return_tensors="pt")["pixel_values"]
    found = Preprocessing.from_config(config).apply(pil_to_pixels(picture()))
    assert found.shape == expected.shape
    # PIL rounds to whole grey levels between its two passes; nothing else differs.
    assert (found - expected).abs().max() < 3 / 255 / 0.2


def test_exact_sizes_and_old_style_numbers():
    square = Preprocessing.from_config({"size": {"height": 8, "width": 12}, "resample": 2})
    assert square.apply(torch.rand(2, 3, 30, 20)).shape == (2, 3, 8, 12)
    assert Preprocessing.from_config({"size": 16, "crop_size": 12}).apply(torch.rand(1, 3, 50, 20)).shape == (1, 3, 12, 12)


@pytest.mark.parametrize(
    "config",
    [
        CLIP | {"resample": 1},
        CLIP | {"rescale_factor": 1},
        CLIP | {"size": {"shortest_edge": 8}},
        {"size": {"height": 99_999, "width": 1}},
    ],
)
def test_what_cannot_be_reproduced_is_refused(config, tmp_path):
    import json

    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    with pytest.raises(DataCorrupt, match=r"preprocessor_config\.json"):
        Preprocessing.from_folder(tmp_path)


def test_gradients_reach_the_pixels_through_a_resize():
    pixels = torch.rand(1, 3, 40, 40, requires_grad=True)
    Preprocessing.from_config(CLIP).apply(pixels).sum().backward()
    assert (pixels.grad != 0).float().mean() > 0.9


def test_images_are_decoded_or_refused_before_they_cost_anything():
    assert decode_image(encoded(picture()), **LIMITS).size == (40, 30)
    with pytest.raises(DataCorrupt, match="bytes"):
        decode_image(b"x" * 100_001, **LIMITS)
    with pytest.raises(DataCorrupt, match="200 x 200 pixels"):
        decode_image(encoded(picture(200, 200)), max_bytes=10**6, max_pixels=10_000)
    for broken in (b"", b"no image", encoded(picture())[:400], encoded(picture(), "JPEG")[:300], b"<svg/>"):
        with pytest.raises(DataCorrupt, match="cannot be decoded"):
            decode_image(broken, **LIMITS)


def test_a_bomb_is_refused_by_its_header():
    header = bytearray(encoded(picture()))
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    with pytest.raises(DataCorrupt):
        decode_image(bytes(header), **LIMITS)


def test_grey_and_transparent_images_become_colours_on_white():
    assert pil_to_pixels(Image.new("L", (3, 2), 255)).shape == (1, 3, 2, 3)
    assert pil_to_pixels(Image.new("RGBA", (2, 2), (0, 0, 0, 0))).min() == 1.0
