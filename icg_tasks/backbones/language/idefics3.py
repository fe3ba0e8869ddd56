"""Idefics3 (and the first SmolVLM, which is of its type) as a frozen reader: a reference image is one global view.

Splitting an image into tiles would cost up to 17 times the tokens; the global view is what a short look at a cover needs.
Legend: B items.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from PIL import Image
from transformers import Idefics3ForConditionalGeneration, Idefics3ImageProcessorPil

from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.language.prefix import PrefixReader, Prompts, bounded
from icg_tasks.contracts.errors import DataCorrupt

_LONGEST_SIDE = 2_048


class Idefics3(PrefixReader):
    """A SigLIP tower whose patches are shuffled into few tokens, before a Llama language model."""

    model_class: ClassVar[Any] = Idefics3ForConditionalGeneration
    processor_class: ClassVar[Any] = Idefics3ImageProcessorPil
    marks: ClassVar[tuple[str, ...]] = ("<fake_token_around_image>", "<image>", "<end_of_utterance>")

    def __init__(self, model: Any, tokenizer: Any, processor: Any, compute: Compute) -> None:
        super().__init__(model, tokenizer, processor, compute)
        if tokenizer.bos_token_id is None:
            raise DataCorrupt(
                f"{tokenizer.name_or_path}: expected a tokenizer with a bos_token, with which {type(self).__name__}'s prompts "
                "begin, found none; name an instruction-tuned checkpoint of this very family"
            )

    @property
    def language_module(self) -> Any:
        """Called the text model here."""
        return self.model.model.text_model

    def prompts(self, titles: Sequence[str], images: Sequence[Image.Image]) -> Prompts:
        """An item's tokens: the global view between its marks, then its title."""
        side = int(self.model.config.vision_config.image_size)
        whole = [[bounded(image, _LONGEST_SIDE)] for image in images]  # one image per turn
        seen = self.processor(
            images=whole,
            do_resize=False,  # towards the tiles; the global view's own resizing always happens
            do_image_splitting=False,
            do_pad=False,
            max_image_size={"longest_edge": side},
            return_tensors="pt",
        )
        return Prompts(rows=[self._prompt(title) for title in titles], pictures={"pixel_values": seen["pixel_values"]})

    def _prompt(self, title: str) -> list[int]:
        pads = [self.image_token] * int(self.model.model.image_seq_len)
        picture = [*self.ids("<fake_token_around_image><global-img>"), *pads, *self.ids("<fake_token_around_image>")]
        question = [int(self.tokenizer.bos_token_id), *self.ids("User:"), *picture, *self.words(title)]
        return [*question, *self.ids("<end_of_utterance>\nAssistant:")]
