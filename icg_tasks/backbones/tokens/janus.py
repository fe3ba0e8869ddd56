"""Janus (Janus-Pro is of its type): words and image codes have embeddings and heads of their own. The one file that knows them.

An image in a prompt is the codes that it would be written in, so history and target speak one language; the vision tower, by
which Janus answers questions about images, is not used. Codes are nearest neighbours on the unit sphere, as the released
tokenizer finds them; transformers' own ``encode`` leaves the normalisation out, while its ``decode`` has it.
Legend: B rows, N codes, Z width of a code, D width.
"""

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import JanusForConditionalGeneration

from icg_tasks.backbones.images import Preprocessing
from icg_tasks.backbones.tokens.writer import TokenWriter
from icg_tasks.contracts.errors import DataCorrupt

_BEGIN, _END = "<begin_of_image>", "<end_of_image>"


class Janus(TokenWriter):
    """A square of codes, no words between them."""

    model_class: ClassVar[Any] = JanusForConditionalGeneration
    marks: ClassVar[tuple[str, ...]] = (_BEGIN, _END)

    def prepare(self, folder: Path) -> None:
        """Grid and size from the checkpoint's configs, which must agree."""
        config = self.model.config.vq_config
        self.num_codes, side = int(config.num_embeddings), int(config.num_patches)
        self.size_pixels = side * 2 ** (len(config.channel_multiplier) - 1)
        self.grid = (side, side)
        seen = Preprocessing.from_folder(folder)
        if (seen.height, seen.width) != (self.size_pixels, self.size_pixels):
            raise DataCorrupt(
                f"{folder}: its image processor makes {seen.height} x {seen.width} pixels, its image tokenizer wants "
                f"{self.size_pixels} x {self.size_pixels}; fetch the checkpoint again"
            )
        self._mean, self._deviation = self.channels(seen.mean), self.channels(seen.deviation)

    def language_module(self) -> nn.Module:
        """Its Llama."""
        found: nn.Module = self.model.model.language_model
        return found

    def encode_pixels(self, pixels_BCHW: Tensor) -> Tensor:
        """The code whose direction is nearest, position by position."""
        tokenizer = self.model.model.vqmodel
        raw_BZHW = tokenizer.quant_conv(tokenizer.encoder((pixels_BCHW - self._mean) / self._deviation))
        found_BNZ = functional.normalize(raw_BZHW.float().flatten(2).transpose(1, 2), dim=-1)
        book_CZ = functional.normalize(tokenizer.quantize.embedding.weight.float(), dim=-1)
        return (found_BNZ @ book_CZ.T).argmax(dim=-1)

    def decode_codes(self, codes_BN: Tensor) -> Tensor:
        """By transformers' own decoder."""
        drawn: Tensor = self.model.model.vqmodel.decode(codes_BN)
        return drawn * self._deviation + self._mean

    def embed_codes(self, codes_BN: Tensor) -> Tensor:
        """What generated codes are fed back as."""
        found: Tensor = self.model.prepare_embeddings_for_image_generation(codes_BN)
        return found

    def head(self, states_BMD: Tensor) -> Tensor:
        """The head for images, not the one for words."""
        found: Tensor = self.model.model.generation_head(states_BMD)
        return found

    def opening(self) -> str:
        """As in the released chat template."""
        return f"{self.tokenizer.bos_token or ''}<|User|>: "

    def closing(self) -> str:
        """The assistant begins an image."""
        return f"\n\n<|Assistant|>:{_BEGIN}"

    def framed(self, codes_ND: Tensor) -> Tensor:
        """Between the marks of an image."""
        begin, end = (self.embed_ids(self.ids(mark)) for mark in (_BEGIN, _END))
        return torch.cat([begin, codes_ND.to(begin.dtype), end])
