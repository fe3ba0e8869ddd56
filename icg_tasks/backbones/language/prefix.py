"""What every language family shares: bounded prompts padded on the left, one run over them, K more positions behind its cache.

A family file says only its own: prompt marks, image preprocessing, positions, which submodule is the language model. Knows no
family. Legend: B items, T prefix positions, K meta tokens, D width.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoTokenizer, DynamicCache
from transformers.utils import logging as transformers_logging

from icg_tasks.backbones.checkpoint import checkpoint_folder, load_whole
from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.language.reading import Reading
from icg_tasks.contracts.errors import DataCorrupt, DataMissing, SettingsError

_MAX_TITLE_TOKENS = 128
_MAX_TITLE_CHARACTERS = 8_192
_MIN_SIDE = 8


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """A batch as the model's own forward takes it, before padding: token rows, and tensors that belong to the images."""

    rows: list[list[int]]
    pictures: dict[str, Tensor] = field(default_factory=dict)


class PrefixReader(ABC):
    """Frozen weights, tokenizer and image processor of one family; answers the LanguageModel protocol."""

    model_class: ClassVar[Any]
    processor_class: ClassVar[Any]
    marks: ClassVar[tuple[str, ...]]
    """What prompts are held together with; each must be one token of the checkpoint's tokenizer."""
    refused_attention: ClassVar[tuple[str, ...]] = ()
    """Implementations that would silently compute something else."""

    def __init__(self, model: Any, tokenizer: Any, processor: Any, compute: Compute) -> None:
        self.model = model.eval().requires_grad_(False).to(compute.device)
        self.tokenizer, self.processor, self.compute = tokenizer, processor, compute
        self.width = int(model.config.text_config.hidden_size)
        self.embedding_deviation = float(model.get_input_embeddings().weight.float().std())
        self.image_token = int(model.config.image_token_id)
        self._special = {number: str(token) for number, token in tokenizer.added_tokens_decoder.items() if token.special}
        self._special |= {self.ids(mark)[0]: mark for mark in self.marks}  # whatever the checkpoint calls them

    @classmethod
    def load(cls, checkpoint: str, compute: Compute) -> Self:
        """From a local folder or a pinned hub id, safetensors only; raises DataMissing, DataCorrupt or SettingsError."""
        if compute.attention in cls.refused_attention:
            raise SettingsError(f"backbones.attention={compute.attention} computes {cls.__name__} wrongly; set sdpa or eager")
        folder = checkpoint_folder(checkpoint)
        transformers_logging.disable_progress_bar()
        options = {"dtype": compute.frozen_dtype, "attn_implementation": compute.attention}
        model = load_whole(cls.model_class, folder, **options)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            processor = cls.processor_class.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise DataMissing(
                f"{folder}: expected the tokenizer and image processor of {cls.__name__} beside its safetensors weights, found "
                f"none that load ({error}); fetch the checkpoint again"
            ) from error
        cls._check_marks(folder, tokenizer)
        return cls(model, tokenizer, processor, compute)

    @property
    def language_module(self) -> Any:
        """The submodule that K meta tokens enter through ``inputs_embeds``."""
        return self.model.model.language_model

    @abstractmethod
    def prompts(self, titles: Sequence[str], images: Sequence[Image.Image]) -> Prompts:
        """Each item's prompt (user: image, title; assistant:) in the family's own words, images preprocessed."""

    def token_kinds(self, ids_BT: Tensor) -> dict[str, Tensor]:  # noqa: ARG002 -- for families to use
        """Which tokens are image tokens, under the name that the family's forward knows; none by default."""
        return {}

    def positions(self, ids_BT: Tensor, mask_BT: Tensor, pictures: dict[str, Tensor]) -> Tensor:  # noqa: ARG002
        """Positions of all columns [..., B, T + K]: counted from the first token that is no padding."""
        return (mask_BT.long().cumsum(dim=-1) - 1).clamp(min=0)

    @torch.no_grad()
    def read(self, titles: Sequence[str], images: Sequence[Image.Image], num_tokens: int) -> Reading:
        """Run the prompts once; padding on the left, so that ``num_tokens`` meta tokens can follow."""
        prompts = self.prompts(titles, images)
        ids, mask = padded_left(prompts.rows, num_tokens)
        positions = self.positions(ids, mask, prompts.pictures)
        longest = ids.shape[1] - num_tokens
        device, cache = self.compute.device, DynamicCache()
        mask, positions = mask.to(device), positions.to(device)
        kinds = {name: values[:, :longest].to(device) for name, values in self.token_kinds(ids).items()}
        with self.compute.autocast(enabled=device.type != "cpu"):
            self.model.model(
                input_ids=ids[:, :longest].to(device),
                attention_mask=mask[:, :longest],
                position_ids=positions[..., :longest],
                past_key_values=cache,
                use_cache=True,
                **kinds,
                **self.placed(prompts.pictures),
            )
        layers = [(layer.keys, layer.values) for layer in cache.layers]
        return Reading(layers=layers, mask_BT=mask, positions=positions[..., longest:])

    def states(self, reading: Reading, tokens_KD: Tensor) -> Tensor:
        """Last hidden states [B, K, D]; the reading itself is not changed (a call only grows its own copy of the cache)."""
        count = len(reading.mask_BT)
        embeds = tokens_KD.to(self.compute.frozen_dtype).expand(count, *tokens_KD.shape)
        with self.compute.autocast(enabled=self.compute.device.type != "cpu"):
            found = self.language_module(
                inputs_embeds=embeds,
                attention_mask=reading.mask_BT,
                position_ids=reading.positions,
                past_key_values=DynamicCache(reading.layers),
                use_cache=True,
            )
        return found.last_hidden_state.float()  # type: ignore[no-any-return]

    def placed(self, pictures: dict[str, Tensor]) -> dict[str, Tensor]:
        """On the device; pixels in the precision of the weights."""
        device, dtype = self.compute.device, self.compute.frozen_dtype
        return {name: value.to(device, dtype if value.is_floating_point() else None) for name, value in pictures.items()}

    def ids(self, text: str) -> list[int]:
        """Tokens of the prompt's own text, marks read as marks."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def words(self, title: str) -> list[int]:
        """Tokens of a title, at most 128; it cannot speak a special token of the tokenizer, its prompt's marks least of all."""
        harmless = title[:_MAX_TITLE_CHARACTERS].replace("<|", "< |")
        for mark in self._special.values():
            if mark in harmless:
                harmless = harmless.replace(mark, f"{mark[:1]} {mark[1:]}")
        return [number for number in self.ids(harmless) if number not in self._special][:_MAX_TITLE_TOKENS]

    @classmethod
    def _check_marks(cls, folder: Path, tokenizer: Any) -> None:
        unknown = [mark for mark in cls.marks if len(tokenizer(mark, add_special_tokens=False)["input_ids"]) != 1]
        if unknown:
            raise DataCorrupt(
                f"{folder}: expected a tokenizer that knows {cls.__name__}'s marks, found one that spells out "
                f"{', '.join(unknown)}; name a checkpoint of this very family (an instruction-tuned one)"
            )


def padded_left(rows: Sequence[Sequence[int]], num_tokens: int) -> tuple[Tensor, Tensor]:
    """Token ids [B, T + K] and mask (1 = a token), rows ending at column T; ids of padding and of the K columns are 0.

    >>> ids, mask = padded_left([[5, 6], [7]], 1)
    >>> ids.tolist(), mask.int().tolist()
    ([[5, 6, 0], [0, 7, 0]], [[1, 1, 1], [0, 1, 1]])
    """
    longest = max(len(row) for row in rows)
    ids = torch.zeros((len(rows), longest + num_tokens), dtype=torch.long)
    mask = torch.ones(len(rows), longest + num_tokens)
    for number, row in enumerate(rows):
        ids[number, longest - len(row) : longest] = torch.tensor(row)
        mask[number, : longest - len(row)] = 0
    return ids, mask


def bounded(image: Image.Image, longest_side: int) -> Image.Image:
    """RGB, sides between 8 and ``longest_side`` pixels (a sliver of an image is widened rather than refused)."""
    share = min(1.0, longest_side / max(image.size))
    size = (max(_MIN_SIDE, round(image.width * share)), max(_MIN_SIDE, round(image.height * share)))
    whole = image.convert("RGB")
    return whole if size == image.size else whole.resize(size, Image.Resampling.BICUBIC)
