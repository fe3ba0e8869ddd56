"""InternVL (2.5, 3 and later, in transformers' own layout: the checkpoints named ``-hf``) as a frozen reader.

A reference image is one tile, squeezed to the tower's square: 256 tokens of the public checkpoints instead of up to 13 times as
many. Legend: B items.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from PIL import Image
from transformers import GotOcr2ImageProcessorPil, InternVLForConditionalGeneration

from icg_tasks.backbones.language.prefix import PrefixReader, Prompts, bounded

_LONGEST_SIDE = 2_048


class InternVL(PrefixReader):
    """A tower whose patches are shuffled into a quarter as many tokens, before a Qwen or Llama language model."""

    model_class: ClassVar[Any] = InternVLForConditionalGeneration
    processor_class: ClassVar[Any] = GotOcr2ImageProcessorPil
    marks: ClassVar[tuple[str, ...]] = ("<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>")

    def prompts(self, titles: Sequence[str], images: Sequence[Image.Image]) -> Prompts:
        """An item's tokens: one tile between its marks, then its title."""
        vision = self.model.config.vision_config
        height, width = (int(side) for side in vision.image_size)
        seen = self.processor(
            images=[bounded(image, _LONGEST_SIDE) for image in images],
            size={"height": height, "width": width},
            crop_to_patches=False,
            return_tensors="pt",
        )
        patches = (height // int(vision.patch_size[0])) * (width // int(vision.patch_size[1]))
        pads = [self.image_token] * round(patches * float(self.model.config.downsample_ratio) ** 2)
        return Prompts(rows=[self._prompt(title, pads) for title in titles], pictures={"pixel_values": seen["pixel_values"]})

    def _prompt(self, title: str, pads: list[int]) -> list[int]:
        picture = [*self.ids("<|im_start|>user\n<img>"), *pads, *self.ids("</img>\n")]
        return [*picture, *self.words(title), *self.ids("<|im_end|>\n<|im_start|>assistant\n")]
