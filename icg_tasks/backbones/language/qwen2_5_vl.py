"""Qwen2.5-VL as a frozen reader of titles and reference images. The one file that knows its prompt and its positions.

Its combined processor needs torchvision, so the image processor's PIL variant is used and image tokens are placed here.
Legend: B items, T positions (the K that follow included).
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from PIL import Image
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2VLImageProcessorPil

from icg_tasks.backbones.language.prefix import PrefixReader, Prompts, bounded

_LONGEST_SIDE = 448
"""Longer sides of a reference image are brought down to this, in pixels: about 256 tokens of the public checkpoints."""


class Qwen25VL(PrefixReader):
    """Images of any shape; image tokens stand on a grid of their own (time, height, width)."""

    model_class: ClassVar[Any] = Qwen2_5_VLForConditionalGeneration
    processor_class: ClassVar[Any] = Qwen2VLImageProcessorPil
    marks: ClassVar[tuple[str, ...]] = ("<|im_start|>", "<|im_end|>")

    def prompts(self, titles: Sequence[str], images: Sequence[Image.Image]) -> Prompts:
        """An item's tokens: one per merged patch of its image, then its title."""
        seen = self.processor(images=[bounded(image, _LONGEST_SIDE) for image in images], return_tensors="pt")
        grids = seen["image_grid_thw"]
        rows = [self._prompt(title, int(grid.prod())) for title, grid in zip(titles, grids, strict=True)]
        return Prompts(rows=rows, pictures={"pixel_values": seen["pixel_values"], "image_grid_thw": grids})

    def token_kinds(self, ids_BT: Tensor) -> dict[str, Tensor]:
        """1 where an image token stands."""
        return {"mm_token_type_ids": (ids_BT == self.image_token).int()}

    def positions(self, ids_BT: Tensor, mask_BT: Tensor, pictures: dict[str, Tensor]) -> Tensor:
        """Time, height and width of every token [3, B, T]."""
        kinds = self.token_kinds(ids_BT)["mm_token_type_ids"]
        grids = pictures["image_grid_thw"]
        found: Tensor = self.model.model.get_rope_index(ids_BT, kinds, image_grid_thw=grids, attention_mask=mask_BT)[0]
        return found

    def _prompt(self, title: str, num_patches: int) -> list[int]:
        config = self.model.config
        pads = [self.image_token] * (num_patches // int(self.processor.merge_size) ** 2)
        picture = [int(config.vision_start_token_id), *pads, int(config.vision_end_token_id)]
        question = [*self.ids("<|im_start|>user\n"), *picture, *self.words(title)]
        return [*question, *self.ids("<|im_end|>\n<|im_start|>assistant\n")]
