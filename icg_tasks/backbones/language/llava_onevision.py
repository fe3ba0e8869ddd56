"""LLaVA-OneVision as a frozen reader: a reference image is one square of patches, as in its several-image turns.

Its single-image turns cut an image into up to 36 tiles of 729 tokens each; one padded square keeps an item at 730 tokens of
the public checkpoints. Legend: B items.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from PIL import Image, ImageOps
from transformers import LlavaOnevisionForConditionalGeneration, LlavaOnevisionImageProcessorPil

from icg_tasks.backbones.language.prefix import PrefixReader, Prompts, bounded

_LONGEST_SIDE = 2_048


class LlavaOneVision(PrefixReader):
    """A SigLIP tower before a Qwen2 language model; a learned mark ends the image's tokens."""

    model_class: ClassVar[Any] = LlavaOnevisionForConditionalGeneration
    processor_class: ClassVar[Any] = LlavaOnevisionImageProcessorPil
    marks: ClassVar[tuple[str, ...]] = ("<|im_start|>", "<|im_end|>", "<image>")

    def prompts(self, titles: Sequence[str], images: Sequence[Image.Image]) -> Prompts:
        """An item's tokens: the square's patches and the mark behind them, then its title."""
        vision = self.model.config.vision_config
        side = int(vision.image_size)
        ground = tuple(int(share * 255) for share in self.processor.image_mean)
        squares = [
            ImageOps.pad(bounded(image, _LONGEST_SIDE), (side, side), Image.Resampling.BICUBIC, color=ground)
            for image in images
        ]
        size = {"height": side, "width": side}
        seen = self.processor(images=squares, size=size, image_grid_pinpoints=[[side, side]], return_tensors="pt")
        pads = [self.image_token] * ((side // int(vision.patch_size)) ** 2 + 1)
        rows = [self._prompt(title, pads) for title in titles]
        return Prompts(
            rows=rows,
            pictures={
                "pixel_values": seen["pixel_values"][:, 0],  # the whole square; its one tile shows the same
                "image_sizes": seen["image_sizes"],
                "batch_num_images": torch.full((len(squares),), 2),  # more than one per turn: the model awaits no tiles
            },
        )

    def _prompt(self, title: str, pads: list[int]) -> list[int]:
        picture = [*self.ids("<|im_start|>user\n"), *pads, *self.ids("\n")]
        return [*picture, *self.words(title), *self.ids("<|im_end|>\n<|im_start|>assistant\n")]
