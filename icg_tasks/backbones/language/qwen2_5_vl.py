"""Qwen2.5-VL as a frozen reader of titles and reference images. The one file that knows its prompt and its positions.

Its combined processor needs torchvision, so the image processor's PIL variant is used and image tokens are placed here.
Legend: B items, T prefix positions, K meta tokens, D width.
"""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoTokenizer, DynamicCache, Qwen2_5_VLForConditionalGeneration, Qwen2VLImageProcessorPil
from transformers.utils import logging as transformers_logging

from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.encoder import checkpoint_folder
from icg_tasks.backbones.language.reading import Reading
from icg_tasks.contracts.errors import DataMissing

_MAX_SIDE = 448
"""Longer sides of a reference image are brought down to this, in pixels: about 256 tokens of the public checkpoints."""
_MIN_SIDE = 8
_MAX_TITLE_TOKENS = 128


class Qwen25VL:
    """Frozen weights, tokenizer and image processor."""

    def __init__(self, model: Any, tokenizer: Any, processor: Any, compute: Compute) -> None:
        self.model = model.eval().requires_grad_(False).to(compute.device)
        self.tokenizer, self.processor, self.compute = tokenizer, processor, compute
        config = model.config
        self.width = int(config.text_config.hidden_size)
        self.embedding_deviation = float(model.get_input_embeddings().weight.float().std())
        self._image_token = int(config.image_token_id)
        self._image_marks = (int(config.vision_start_token_id), int(config.vision_end_token_id))

    @classmethod
    def load(cls, checkpoint: str, compute: Compute) -> "Qwen25VL":
        """From a local folder or a hub id, safetensors only; raises DataMissing."""
        folder = checkpoint_folder(checkpoint)
        transformers_logging.disable_progress_bar()
        try:
            model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
                folder, use_safetensors=True, local_files_only=True, dtype=compute.frozen_dtype
            )
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            processor = Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise DataMissing(f"{checkpoint}: no usable Qwen2.5-VL with safetensors weights there ({error})") from error
        return cls(model, tokenizer, processor, compute)

    @torch.no_grad()
    def read(self, titles: Sequence[str], images: Sequence[Image.Image], num_tokens: int) -> Reading:
        """Run the prompt (user: image, title; assistant:) once; padding on the left, so that K tokens can follow."""
        seen = self.processor(images=[_bounded(image) for image in images], return_tensors="pt")
        grids = seen["image_grid_thw"]
        rows = [self._prompt(title, int(grid.prod())) for title, grid in zip(titles, grids, strict=True)]
        longest = max(len(row) for row in rows)
        ids, mask = (
            torch.zeros((len(rows), longest + num_tokens), dtype=torch.long),
            torch.ones(len(rows), longest + num_tokens),
        )
        for number, row in enumerate(rows):
            ids[number, longest - len(row) : longest] = torch.tensor(row)
            mask[number, : longest - len(row)] = 0
        kinds = (ids == self._image_token).int()
        positions, _ = self.model.model.get_rope_index(ids, kinds, image_grid_thw=grids, attention_mask=mask)
        device, cache = self.compute.device, DynamicCache()
        mask, positions = mask.to(device), positions.to(device)
        with self.compute.autocast(enabled=device.type != "cpu"):
            self.model.model(
                input_ids=ids[:, :longest].to(device),
                attention_mask=mask[:, :longest],
                position_ids=positions[:, :, :longest],
                mm_token_type_ids=kinds[:, :longest].to(device),
                pixel_values=seen["pixel_values"].to(device, self.compute.frozen_dtype),
                image_grid_thw=grids.to(device),
                past_key_values=cache,
                use_cache=True,
            )
        layers = [(layer.keys, layer.values) for layer in cache.layers]
        return Reading(layers=layers, mask_BT=mask, positions=positions[:, :, longest:])

    def states(self, reading: Reading, tokens_KD: Tensor) -> Tensor:
        """Last hidden states [B, K, D]; the reading itself is not changed (a call only grows its own copy of the cache)."""
        count = len(reading.mask_BT)
        embeds = tokens_KD.to(self.compute.frozen_dtype).expand(count, *tokens_KD.shape)
        with self.compute.autocast(enabled=self.compute.device.type != "cpu"):
            found = self.model.model.language_model(
                inputs_embeds=embeds,
                attention_mask=reading.mask_BT,
                position_ids=reading.positions,
                past_key_values=DynamicCache(reading.layers),
                use_cache=True,
            )
        return found.last_hidden_state.float()  # type: ignore[no-any-return]

    def _prompt(self, title: str, num_patches: int) -> list[int]:
        start, end = self._image_marks
        merge = int(self.processor.merge_size)
        pads = [self._image_token] * (num_patches // merge**2)
        words = self._ids(_harmless(title))[:_MAX_TITLE_TOKENS]
        return [*self._ids("<|im_start|>user\n"), start, *pads, end, *words, *self._ids("<|im_end|>\n<|im_start|>assistant\n")]

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def _harmless(title: str) -> str:
    """A title cannot speak the prompt's own marks."""
    return title.replace("<|", "< |")


def _bounded(image: Image.Image) -> Image.Image:
    """RGB, sides between 8 and 448 pixels (a sliver of an image is widened rather than refused)."""
    share = min(1.0, _MAX_SIDE / max(image.size))
    size = (max(_MIN_SIDE, round(image.width * share)), max(_MIN_SIDE, round(image.height * share)))
    whole = image.convert("RGB")
    return whole if size == image.size else whole.resize(size, Image.Resampling.BICUBIC)
