"""What every token family shares: prompts padded on the left, one pass over a whole image, an image written behind a cache.

A family file says only its own: marks, how an image is laid out, where its codes' embeddings and logits come from, its image
tokenizer. Knows no family. Legend: B rows, N codes of an image, L positions it takes, T prompt positions, C codes, D width.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from PIL import Image
from torch import Tensor, nn
from transformers import AutoTokenizer, DynamicCache
from transformers.utils import logging as transformers_logging

from icg_tasks.backbones.checkpoint import checkpoint_folder, load_whole
from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.images import pil_to_pixels
from icg_tasks.backbones.tokens.sampling import draw_codes, uniform_draws
from icg_tasks.backbones.tokens.writing import Piece, Prompt, Sampling
from icg_tasks.contracts.errors import DataCorrupt, DataMissing

_MAX_TEXT_TOKENS = 128
_MAX_TEXT_CHARACTERS = 8_192
_DECODED_AT_ONCE = 16


class TokenWriter(ABC):
    """Frozen weights and tokenizer of one family; answers the TokenModel protocol."""

    model_class: ClassVar[Any]
    marks: ClassVar[tuple[str, ...]]
    """What prompts are held together with; each must be one token of the checkpoint's tokenizer."""
    lora_targets: tuple[str, ...] = ("q_proj", "v_proj")
    grid: tuple[int, int]
    num_codes: int
    size_pixels: int

    def __init__(self, model: Any, tokenizer: Any, folder: Path, compute: Compute) -> None:
        self.model = model.eval().requires_grad_(False).to(compute.device)
        self.tokenizer, self.compute = tokenizer, compute
        self.network = self.language_module()
        self.width = int(model.config.text_config.hidden_size)
        self._special = {number: str(token) for number, token in tokenizer.added_tokens_decoder.items() if token.special}
        self._special |= {self.ids(mark)[0]: mark for mark in self.marks}
        self.prepare(folder)

    @classmethod
    def load(cls, checkpoint: str, compute: Compute) -> Self:
        """From a local folder or a pinned hub id, safetensors only; raises DataMissing, DataCorrupt or SettingsError."""
        folder = checkpoint_folder(checkpoint)
        transformers_logging.disable_progress_bar()
        model = load_whole(cls.model_class, folder, dtype=compute.frozen_dtype, attn_implementation=compute.attention)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise DataMissing(
                f"{folder}: expected the tokenizer of {cls.__name__} beside its safetensors weights, found none that loads "
                f"({error}); fetch the checkpoint again"
            ) from error
        unknown = [mark for mark in cls.marks if len(tokenizer(mark, add_special_tokens=False)["input_ids"]) != 1]
        if unknown:
            raise DataCorrupt(
                f"{folder}: expected a tokenizer that knows {cls.__name__}'s marks, found one that spells out "
                f"{', '.join(unknown)}; name a checkpoint of this very family"
            )
        return cls(model, tokenizer, folder, compute)

    @abstractmethod
    def prepare(self, folder: Path) -> None:
        """Set ``grid``, ``num_codes``, ``size_pixels`` and whatever else the family's methods need; raises DataCorrupt."""

    @abstractmethod
    def language_module(self) -> nn.Module:
        """The part of the model that embeddings enter and states leave."""

    @abstractmethod
    def encode_pixels(self, pixels_BCHW: Tensor) -> Tensor:
        """Codes [B, N] of pixels in [0, 1] of the model's own size."""

    @abstractmethod
    def decode_codes(self, codes_BN: Tensor) -> Tensor:
        """Pixels [B, 3, H, W], nominally in [0, 1]."""

    @abstractmethod
    def embed_codes(self, codes_BN: Tensor) -> Tensor:
        """[B, N, D]."""

    @abstractmethod
    def head(self, states_BMD: Tensor) -> Tensor:
        """Logits [B, M, C] over codes."""

    @abstractmethod
    def opening(self) -> str:
        """What every prompt begins with, marks included."""

    @abstractmethod
    def closing(self) -> str:
        """What every prompt ends with, up to the mark after which codes come."""

    @abstractmethod
    def framed(self, codes_ND: Tensor) -> Tensor:
        """[M, D]."""

    def between(self) -> dict[int, int]:
        """Columns of an image's L positions that are no codes, and the word that always stands there; none by default."""
        return {}

    @torch.no_grad()
    def encode(self, images: Sequence[Image.Image]) -> Tensor:
        """Codes [B, N]; a few images at a time."""
        side = (self.size_pixels, self.size_pixels)
        found = []
        for start in range(0, len(images), _DECODED_AT_ONCE):
            chunk = [image.convert("RGB").resize(side, Image.Resampling.BICUBIC) for image in images[start:][:_DECODED_AT_ONCE]]
            pixels = torch.cat([pil_to_pixels(image) for image in chunk])
            found.append(self.encode_pixels(pixels.to(self.compute.device, self.compute.frozen_dtype)))
        return torch.cat(found).long()

    @torch.no_grad()
    def decode(self, codes_BN: Tensor) -> Tensor:
        """Pixels [B, 3, H, W] in [0, 1], float32."""
        chunks = torch.split(codes_BN.to(self.compute.device), _DECODED_AT_ONCE)
        return torch.cat([self.decode_codes(chunk).float() for chunk in chunks]).clamp(0.0, 1.0)

    def prompt(self, rows: Sequence[Sequence[Piece]]) -> Prompt:
        """Padded on the left, so that codes can follow."""
        ends = self.embed_ids(self.ids(self.opening())), self.embed_ids(self.ids(self.closing()))
        whole = [torch.cat([ends[0], *map(self._embedded, pieces), ends[1]]) for pieces in rows]
        longest = max(len(row) for row in whole)
        embeds = torch.stack([torch.cat([row.new_zeros(longest - len(row), self.width), row]) for row in whole])
        lengths = torch.tensor([len(row) for row in whole], device=embeds.device)
        columns = torch.arange(longest, device=embeds.device)
        return Prompt(embeds_BTD=embeds, mask_BT=(columns >= longest - lengths[:, None]).long())

    def logits(self, prompt: Prompt, codes_BN: Tensor) -> Tensor:
        """One pass over prompt and image; the state before a code tells it."""
        laid_out = self._laid_out(self.embed_codes(codes_BN))
        count = prompt.mask_BT.shape[1]
        embeds = torch.cat([prompt.embeds_BTD, laid_out[:, :-1]], dim=1)
        mask = torch.cat([prompt.mask_BT, prompt.mask_BT.new_ones(laid_out.shape[:2])[:, :-1]], dim=1)
        states = self._states(embeds, mask, None)
        columns = [count - 1 + column for column in self._code_columns()]
        return self.head(states[:, columns]).float()

    @torch.no_grad()
    def write(self, prompt: Prompt, seeds: Sequence[int], sampling: Sampling) -> Tensor:
        """Behind a cache of keys and values; with guidance, a second cache holds the prompt that says nothing."""
        runs = [_Run(self, prompt)]
        if sampling.guidance != 1.0:
            runs.append(_Run(self, self.prompt([[]]).rows([0] * len(prompt))))
        count = self.grid[0] * self.grid[1]
        draws_BN = uniform_draws(seeds, count).to(self.compute.device)
        words, codes = self.between(), list[Tensor]()
        length = count + len(words)
        for column in range(length):
            if column in words:
                embeds = self.embed_ids([words[column]]).expand(len(prompt), 1, -1)
            else:
                logits = [self.head(run.state_B1D)[:, 0].float() for run in runs]
                told = logits[0] if len(logits) == 1 else logits[1] + sampling.guidance * (logits[0] - logits[1])
                codes.append(draw_codes(told, draws_BN[:, len(codes)], sampling))
                embeds = self.embed_codes(codes[-1][:, None])
            if column + 1 < length:
                for run in runs:
                    run.advance(embeds)
        return torch.stack(codes, dim=1)

    def channels(self, values: Sequence[float]) -> Tensor:
        """Three numbers as [1, 3, 1, 1], in the place and precision of the weights."""
        return torch.tensor(values, device=self.compute.device, dtype=self.compute.frozen_dtype).view(1, 3, 1, 1)

    def ids(self, text: str) -> list[int]:
        """Tokens of the prompt's own text, marks read as marks."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def embed_ids(self, ids: Sequence[int]) -> Tensor:
        """Embeddings of words [M, D]."""
        found: Tensor = self.model.get_input_embeddings()(torch.tensor(ids, dtype=torch.long, device=self.compute.device))
        return found

    def words(self, text: str) -> list[int]:
        """Tokens of a text from outside, at most 128; it cannot speak a special token, its prompt's marks least of all."""
        harmless = text[:_MAX_TEXT_CHARACTERS].replace("<|", "< |")
        for mark in self._special.values():
            if mark in harmless:
                harmless = harmless.replace(mark, f"{mark[:1]} {mark[1:]}")
        return [number for number in self.ids(harmless) if number not in self._special][:_MAX_TEXT_TOKENS]

    def _embedded(self, piece: Piece) -> Tensor:
        return self.embed_ids(self.words(piece)) if isinstance(piece, str) else piece.to(self.compute.frozen_dtype)

    def _code_columns(self) -> list[int]:
        words = self.between()
        return [column for column in range(self.grid[0] * self.grid[1] + len(words)) if column not in words]

    def _laid_out(self, codes_BND: Tensor) -> Tensor:
        """[B, L, D]: codes in their columns, the family's words between them."""
        words = self.between()
        found = codes_BND.new_zeros(len(codes_BND), codes_BND.shape[1] + len(words), self.width)
        found[:, self._code_columns()] = codes_BND
        if words:
            found[:, list(words)] = self.embed_ids(list(words.values())).to(found.dtype)
        return found

    def _states(self, embeds_BTD: Tensor, mask_BT: Tensor, cache: DynamicCache | None) -> Tensor:
        """States of the last positions, as many as embeddings; ``mask_BT`` covers what the cache holds, too."""
        positions = (mask_BT.cumsum(dim=-1) - 1).clamp(min=0)[:, -embeds_BTD.shape[1] :]
        with self.compute.autocast(enabled=self.compute.device.type != "cpu"):
            found = self.network(
                inputs_embeds=embeds_BTD,
                attention_mask=mask_BT,
                position_ids=positions,
                past_key_values=cache,
                use_cache=cache is not None,
            )
        states: Tensor = found.last_hidden_state
        return states


class _Run:
    """A batch of prompts and what was written behind them so far."""

    def __init__(self, writer: TokenWriter, prompt: Prompt) -> None:
        self._writer, self._cache, self._mask = writer, DynamicCache(), prompt.mask_BT
        self.state_B1D = writer._states(prompt.embeds_BTD, prompt.mask_BT, self._cache)[:, -1:]

    def advance(self, embeds_B1D: Tensor) -> None:
        """One position more."""
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(self._mask), 1)], dim=1)
        self.state_B1D = self._writer._states(embeds_B1D, self._mask, self._cache)
