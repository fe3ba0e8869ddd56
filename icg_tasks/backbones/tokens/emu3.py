"""Emu3: image codes are words of one vocabulary, laid out in rows that end in a word of their own. The one file that knows it.

An image is told its size in codes before it begins. Legend: B rows, N codes, D width.
"""

import math
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import Emu3ForConditionalGeneration, Emu3ImageProcessor

from icg_tasks.backbones.tokens.writer import TokenWriter
from icg_tasks.contracts.errors import DataCorrupt, DataMissing

_BEGIN, _SIZED, _ROW_END = "<|image start|>", "<|image token|>", "<|extra_200|>"
_FRAME_END, _END = "<|extra_201|>", "<|image end|>"
_BOS = "<|extra_203|>"


class Emu3(TokenWriter):
    """The square of codes whose area is the smallest that the checkpoint's image processor makes."""

    model_class: ClassVar[Any] = Emu3ForConditionalGeneration
    marks: ClassVar[tuple[str, ...]] = (_BEGIN, _SIZED, _ROW_END, _FRAME_END, _END, _BOS)

    def prepare(self, folder: Path) -> None:
        """Grid from the image processor, codes' words from the config's vocabulary map."""
        try:
            seen = Emu3ImageProcessor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise DataMissing(
                f"{folder}: expected Emu3's image processor beside its weights, found none that loads ({error}); fetch the "
                "checkpoint again"
            ) from error
        factor = int(self.model.model.vqmodel.spatial_scale_factor)
        side = max(1, math.isqrt(int(seen.min_pixels)) // factor)
        self.grid, self.size_pixels = (side, side), side * factor
        self.num_codes = int(self.model.config.vq_config.codebook_size)
        words = self.model.vocabulary_mapping.img2bpe
        if sorted(words) != list(range(self.num_codes)):
            raise DataCorrupt(
                f"{folder}: vocabulary_map of config.json names {len(words)} visual tokens, expected one for each of the "
                f"{self.num_codes} codes; fetch the checkpoint again"
            )
        self._words_C = torch.tensor([words[code] for code in range(self.num_codes)], device=self.compute.device)
        self._mean, self._deviation = self.channels(seen.image_mean), self.channels(seen.image_std)

    def language_module(self) -> nn.Module:
        """Its text model."""
        found: nn.Module = self.model.model.text_model
        return found

    def encode_pixels(self, pixels_BCHW: Tensor) -> Tensor:
        """By transformers' own tokenizer of images."""
        sizes = [(self.size_pixels, self.size_pixels)] * len(pixels_BCHW)
        found = self.model.model.vqmodel.encode((pixels_BCHW - self._mean) / self._deviation, sizes)
        return torch.stack([codes.flatten() for codes in found.image_tokens])

    def decode_codes(self, codes_BN: Tensor) -> Tensor:
        """By transformers' own decoder."""
        drawn: Tensor = self.model.model.vqmodel.decode(codes_BN.view(-1, *self.grid))
        return drawn * self._deviation + self._mean

    def embed_codes(self, codes_BN: Tensor) -> Tensor:
        """Of the words that the codes are."""
        found: Tensor = self.model.get_input_embeddings()(self._words_C[codes_BN])
        return found

    def head(self, states_BMD: Tensor) -> Tensor:
        """The rows of the vocabulary's head that are codes."""
        return nn.functional.linear(states_BMD, self.model.lm_head.weight[self._words_C])

    def between(self) -> dict[int, int]:
        """Every row of codes ends in a word."""
        end, (rows, columns) = self.ids(_ROW_END)[0], self.grid
        return {row * (columns + 1) + columns: end for row in range(rows)}

    def opening(self) -> str:
        """As in the released chat template."""
        return f"{_BOS}USER: "

    def closing(self) -> str:
        """The assistant begins an image of this many codes."""
        return f" ASSISTANT: {self._begin()}"

    def framed(self, codes_ND: Tensor) -> Tensor:
        """Begin, size, rows, end of frame, end."""
        begin, end = (self.embed_ids(self.ids(text)) for text in (self._begin(), _FRAME_END + _END))
        return torch.cat([begin, self._laid_out(codes_ND[None].to(begin.dtype))[0], end])

    def _begin(self) -> str:
        return f"{_BEGIN}{self.grid[0]}*{self.grid[1]}{_SIZED}"
