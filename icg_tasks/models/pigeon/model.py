"""Pigeon itself: a frozen token model wearing a LoRA on its query and value projections, and the mask generator.

Knows a token model and a folder; no data set. Legend: B samples, H history images, N codes of an image.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from peft import LoraConfig, get_peft_model
from safetensors import SafetensorError
from torch import Tensor, nn

from icg_tasks.backbones.tokens.writing import Prompt, TokenModel
from icg_tasks.config.pigeon import PigeonSettings
from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.models.pigeon.masks import MaskGenerator, MaskPlan, Masks
from icg_tasks.models.pigeon.sequence import Asked, embedded, personal_prompt

KIND = "pigeon"
CONFIG, WEIGHTS, RECONSTRUCTED = "config.json", "pigeon.safetensors", "reconstructed.safetensors"


@dataclass(frozen=True, kw_only=True)
class PigeonShape:
    """What weights fit: sizes of the token model and of what was added to it."""

    width: int
    codes_per_image: int
    num_codes: int
    history_length: int
    mask_heads: int
    mask_temperature: float
    lora_rank: int
    lora_alpha: int
    lora_targets: tuple[str, ...]

    @classmethod
    def of(cls, model: TokenModel, settings: PigeonSettings) -> "PigeonShape":
        """For a token model and settings."""
        return cls(
            width=model.width,
            codes_per_image=model.grid[0] * model.grid[1],
            num_codes=model.num_codes,
            history_length=settings.history_length,
            mask_heads=settings.mask_heads,
            mask_temperature=settings.mask_temperature,
            lora_rank=settings.lora_rank,
            lora_alpha=settings.lora_alpha,
            lora_targets=model.lora_targets,
        )

    @classmethod
    def read(cls, folder: Path) -> "PigeonShape":
        """Of a folder's weights; raises OSError, ValueError, KeyError or TypeError where there is none."""
        body: dict[str, Any] = json.loads((folder / CONFIG).read_text())["shape"]
        return cls(**(body | {"lora_targets": tuple(body["lora_targets"])}))


class Pigeon(nn.Module):
    """What is trained is LoRA and mask generator; ``tokens.network`` is replaced in place, once per token model."""

    def __init__(self, tokens: TokenModel, shape: PigeonShape, seed: int) -> None:
        super().__init__()
        self.shape = shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.masks = MaskGenerator(
                width=shape.width,
                num_codes=shape.codes_per_image,
                history_length=shape.history_length,
                heads=shape.mask_heads,
                temperature=shape.mask_temperature,
            ).to(tokens.compute.device)
            config = LoraConfig(r=shape.lora_rank, lora_alpha=shape.lora_alpha, target_modules=list(shape.lora_targets))
            self.network = get_peft_model(tokens.network, config).eval()
        tokens.network = self.network
        self.tokens = tokens

    def trained(self) -> dict[str, Tensor]:
        """Parameters of mask generator and LoRA, by name."""
        return {name: part for name, part in self.named_parameters() if name.startswith("masks.") or "lora_" in name}

    @torch.no_grad()
    def wear(self, weights: Mapping[str, Tensor]) -> None:
        """Take over trained parameters; all of them must be there."""
        for name, part in self.trained().items():
            part.copy_(weights[name])

    def learn(self, *, masks: bool) -> None:
        """The LoRA learns; the mask generator only where asked for."""
        for name, part in self.trained().items():
            part.requires_grad_(masks or not name.startswith("masks."))

    def draw_masks(self, asked: Asked, plan: MaskPlan) -> Masks:
        """Of a batch of samples."""
        with torch.no_grad():
            history, reference = embedded(self.tokens, asked)
        found: Masks = self.masks(history.float(), reference.float(), plan)
        return found

    def prompt(self, asked: Asked, masks: Masks) -> Prompt:
        """For the users whose history it is."""
        return personal_prompt(self.tokens, asked, masks)

    def files(self, extra: Mapping[str, Any] | None = None) -> dict[str, bytes]:
        """config.json and pigeon.safetensors as bytes; the same weights give the same bytes."""
        config = {"model_type": KIND, **(extra or {}), "shape": asdict(self.shape)}
        return {
            CONFIG: json.dumps(config, sort_keys=True, indent=1).encode(),
            WEIGHTS: weights_file(self.trained()),
        }

    @classmethod
    def load(cls, tokens: TokenModel, folder: Path, *, stage: int = 2) -> "Pigeon":
        """Trained weights of a folder on a token model, of both stages or of the first alone.

        Raises DataCorrupt where files are missing or do not fit it.
        """
        try:
            shape = PigeonShape.read(folder)
            here = (tokens.width, tokens.grid[0] * tokens.grid[1], tokens.num_codes)
            if here != (shape.width, shape.codes_per_image, shape.num_codes):
                raise ValueError(f"trained for {(shape.width, shape.codes_per_image, shape.num_codes)}, this model is {here}")
            pigeon = cls(tokens, shape, 0)
            pigeon.wear(safetensors.torch.load_file(folder / (RECONSTRUCTED if stage == 1 else WEIGHTS)))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise DataCorrupt(
                f"no Pigeon in {folder} that fits the token model of settings ({error}); name the token model that it was "
                "trained with (pigeon.token_model), or train it anew"
            ) from error
        return pigeon.requires_grad_(False).eval()


def weights_file(weights: Mapping[str, Tensor]) -> bytes:
    """Trained parameters by name as safetensors, in their order of names."""
    data: bytes = safetensors.torch.save({name: weights[name].detach().float().cpu().contiguous() for name in sorted(weights)})
    return data
