"""Gemma 3 (the sizes that see) as a frozen reader. Image tokens see each other in both directions, all other tokens only back.

Most of its layers look back over a window only; the kept cache holds every position all the same, and the window is cut by the
mask, so that items of unequal length can share a batch. Legend: B items, T positions.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from PIL import Image
from torch import Tensor
from transformers import Gemma3ForConditionalGeneration, Gemma3ImageProcessorPil

from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.language.prefix import PrefixReader, Prompts, bounded

_LONGEST_SIDE = 2_048


class Gemma3(PrefixReader):
    """A SigLIP tower pooled to 256 tokens (public checkpoints) before the language model."""

    model_class: ClassVar[Any] = Gemma3ForConditionalGeneration
    processor_class: ClassVar[Any] = Gemma3ImageProcessorPil
    marks: ClassVar[tuple[str, ...]] = (
        "<bos>",
        "<start_of_turn>",
        "<end_of_turn>",
        "<start_of_image>",
        "<image_soft_token>",
        "<end_of_image>",
    )
    refused_attention: ClassVar[tuple[str, ...]] = ("flash_attention_2",)
    """It takes no mask in which image tokens see forward."""

    def __init__(self, model: Any, tokenizer: Any, processor: Any, compute: Compute) -> None:
        super().__init__(model, tokenizer, processor, compute)
        self.embedding_deviation *= float(model.get_input_embeddings().scalar_embed_scale)  # as tokens enter the first layer

    def prompts(self, titles: Sequence[str], images: Sequence[Image.Image]) -> Prompts:
        """An item's tokens: the whole image between its marks, then its title."""
        side = int(self.model.config.vision_config.image_size)
        seen = self.processor(
            images=[bounded(image, _LONGEST_SIDE) for image in images],
            size={"height": side, "width": side},
            do_pan_and_scan=False,
            return_tensors="pt",
        )
        return Prompts(rows=[self._prompt(title) for title in titles], pictures={"pixel_values": seen["pixel_values"]})

    def token_kinds(self, ids_BT: Tensor) -> dict[str, Tensor]:
        """1 where an image token stands: what opens the mask in both directions."""
        return {"token_type_ids": (ids_BT == self.image_token).long()}

    def _prompt(self, title: str) -> list[int]:
        pads = [self.image_token] * int(self.model.config.mm_tokens_per_image)
        picture = [*self.ids("<bos><start_of_turn>user\n\n\n<start_of_image>"), *pads, *self.ids("<end_of_image>\n\n")]
        return [*picture, *self.words(title), *self.ids("<end_of_turn>\n<start_of_turn>model\n")]
