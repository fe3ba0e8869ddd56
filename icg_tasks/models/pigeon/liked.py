"""The covers of which a history is made for a user vector: those of Pigeon's own training catalogue that it would like best.

They are part of a Pigeon's version, so that a vector has one history as long as the version serves. Knows vectors and codes.
Legend: I covers, H history, N codes of an image, E encoder width, V = 2E.
"""

from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.models.preference.model import PreferenceModel, item_halves

LIKED = "liked.safetensors"
_CODES, _VECTORS = "codes", "vectors"


@dataclass(frozen=True, kw_only=True)
class History:
    """What somebody liked: codes [H, N] and unit image vectors [H, E]."""

    codes_HN: Tensor
    looks_HE: Tensor


@dataclass(frozen=True, kw_only=True)
class LikedCovers:
    """Codes [I, N] and item vectors [I, V] (unit image, unit title) of a catalogue."""

    codes_IN: Tensor
    vectors_IV: Tensor

    def files(self) -> dict[str, bytes]:
        """One file of a version."""
        parts = {_CODES: self.codes_IN.int().cpu().contiguous(), _VECTORS: self.vectors_IV.float().cpu().contiguous()}
        return {LIKED: safetensors.torch.save(parts)}

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> "LikedCovers":
        """From a version's folder; raises DataCorrupt."""
        try:
            parts = safetensors.torch.load_file(folder / LIKED)
            return cls(codes_IN=parts[_CODES].long().to(device), vectors_IV=parts[_VECTORS].to(device))
        except (OSError, KeyError, SafetensorError) as error:
            raise DataCorrupt(
                f"no usable {LIKED} in {folder} ({error}); fetch the version again or train Pigeon anew"
            ) from error

    @torch.no_grad()
    def history(self, preference: PreferenceModel, user_V: Tensor, length: int) -> History:
        """The covers that this user would like most above what everybody would; the best one comes last, as the newest.

        Raises DataCorrupt where the preference model takes vectors of another encoder's width.
        """
        images, titles = item_halves(self.vectors_IV)
        users = user_V.to(images).expand(len(images), -1)
        gain = preference.score(users, images, titles) - preference.base_score(images, titles)
        best = gain.argsort(descending=True, stable=True)[:length].flip(0)
        rows = [int(best[number % len(best)]) for number in range(length)]
        return History(codes_HN=self.codes_IN[rows], looks_HE=images[rows])
