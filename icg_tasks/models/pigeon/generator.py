"""The Pigeon generator: an item and somebody's history in, images out: one for each reference mask ratio, and the best of them.

All covers that are asked for together are written in one batch, each from its own seed behind its own prompt: a batch of N is
N single runs. Reported figures are of single samples or of the best of n, never mixed: ``Candidates`` holds both.
Knows models; no data set and no segment. Legend: R ratios, H history images, N codes of an image, E encoder width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from icg_tasks.backbones.device import choose_compute
from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.backbones.tokens.table import open_token_model
from icg_tasks.backbones.tokens.writing import Prompt, Sampling, TokenModel
from icg_tasks.config.pigeon import PigeonSettings
from icg_tasks.contracts.errors import DataMissing
from icg_tasks.lake.registry import fetch_version, require_champion
from icg_tasks.models.pigeon.atelier import ratio_sweep, seeds_of
from icg_tasks.models.pigeon.checked import check_settings
from icg_tasks.models.pigeon.liked import History
from icg_tasks.models.pigeon.masks import MaskPlan, Masks
from icg_tasks.models.pigeon.model import KIND, Pigeon
from icg_tasks.models.pigeon.sequence import Asked, plain_prompt
from icg_tasks.stage import StageContext

_LONE = 301


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Covers of one item for one history, by reference mask ratio. Similarities are cosines; NaN to the history of nobody."""

    ratios: list[float]
    seeds: list[int]
    pixels_RCHW: Tensor  # in [0, 1]
    looks_RE: Tensor
    to_history_R: Tensor
    to_reference_R: Tensor
    score_R: Tensor  # what the best is chosen by
    masks: Masks

    @property
    def best(self) -> int:
        """Number of the candidate with the highest score."""
        return int(self.score_R.argmax())


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Covers of one item (``reference_N``: its own cover's codes) for one history (None = nobody special): one for each ratio,
    from its own seed."""

    reference_N: Tensor
    title: str
    history: History | None
    ratios: Sequence[float]
    seeds: Sequence[int]


class PigeonGenerator:
    """Pigeon, its token model, and the encoder that compares; frozen."""

    def __init__(self, pigeon: Pigeon, encoder: DualEncoder, settings: PigeonSettings) -> None:
        self.pigeon, self.encoder, self.settings = pigeon.requires_grad_(False).eval(), encoder, settings
        self._sampling = Sampling(top_k=settings.top_k, temperature=settings.temperature, guidance=settings.guidance)

    @classmethod
    def load(cls, context: StageContext) -> "PigeonGenerator":
        """With the champion as of the run date; raises DataMissing without one."""
        settings = context.settings
        check_settings(settings.pigeon)
        compute = choose_compute(settings.backbones)
        champion = require_champion(context.store, KIND, context.run_date)
        tokens = open_token_model(settings.pigeon.token_family, settings.pigeon.token_model, compute)
        folder = fetch_version(context.store, champion, context.scratch("models"))
        encoder = DualEncoder.load(resolve_checkpoint(settings.backbones.encoder), device=compute.device)
        pigeon = Pigeon.load(tokens, folder, stage=settings.pigeon.stage)
        return cls(pigeon, encoder, settings.pigeon)

    def ratios(self, seeds: Sequence[int]) -> list[float]:
        """The sweep for several candidates of a cover; a lone one has ``pigeon.lone_ratio``, or one drawn by its seed."""
        if len(seeds) > 1:
            return ratio_sweep(len(seeds))
        lone = self.settings.lone_ratio
        return [lone if lone >= 0 else float(np.random.default_rng([_LONE, seeds[0]]).random())]

    @property
    def tokens(self) -> TokenModel:
        """The token model that Pigeon wears."""
        return self.pigeon.tokens

    @torch.no_grad()
    def history(self, images: Sequence[Image.Image]) -> History:
        """As many covers as Pigeon was trained with: the first ones, or where there are fewer, again from the start."""
        if not images:
            raise DataMissing(
                "a history without a cover says nothing of its user; give one cover or more, or write a plain cover"
            )
        length = self.pigeon.shape.history_length
        chosen = [images[number % len(images)] for number in range(length)]
        return History(codes_HN=self.tokens.encode(chosen), looks_HE=self._looks(chosen))

    @torch.no_grad()
    def candidates(self, image: Image.Image, title: str, history: History, seed: int) -> Candidates:
        """One cover for each ratio of ``pigeon.ratios``."""
        return self._swept(image, title, history, seed)

    @torch.no_grad()
    def plain_candidates(self, image: Image.Image, title: str, seed: int) -> Candidates:
        """For nobody special: no history is told, and candidates are compared by the reference alone."""
        return self._swept(image, title, None, seed)

    @torch.no_grad()
    def write(self, wanted: Sequence[Wanted]) -> tuple[Tensor, list[Masks]]:
        """Codes [B, N] of covers, all in one batch in the order they are asked for, and each request's masks."""
        told = [self._told(one) for one in wanted]
        prompt = Prompt.joined([prompt for prompt, _ in told])
        seeds = [seed for one in wanted for seed in one.seeds]
        return self.tokens.write(prompt, seeds, self._sampling), [masks for _, masks in told]

    def _told(self, wanted: Wanted) -> tuple[Prompt, Masks]:
        """Prompts of one request's covers."""
        reference_N, title = wanted.reference_N, wanted.title
        count, length, history = len(wanted.seeds), self.pigeon.shape.history_length, wanted.history
        codes_HN = reference_N.expand(length, -1) if history is None else history.codes_HN
        asked = Asked(
            history_BHN=codes_HN.expand(count, -1, -1), reference_BN=reference_N.expand(count, -1), titles=[title] * count
        )
        plan = MaskPlan(
            reference_ratio_B=torch.tensor(list(wanted.ratios), device=self.tokens.compute.device),
            seeds=[wanted.seeds[0]] * count,  # a random history mask is one for all ratios
            history_ratio=self.settings.history_mask_ratio,
            kind=self.settings.history_mask,
        )
        masks = self.pigeon.draw_masks(asked, plan)
        if history is None:
            return plain_prompt(self.tokens, asked, masks.reference_BN), masks
        return self.pigeon.prompt(asked, masks), masks

    def _swept(self, image: Image.Image, title: str, history: History | None, seed: int) -> Candidates:
        ratios = ratio_sweep(self.settings.ratios)
        seeds = seeds_of(seed, count=len(ratios))
        reference_N = self.tokens.encode([image])[0]
        wanted = Wanted(reference_N=reference_N, title=title, history=history, ratios=ratios, seeds=seeds)
        codes, masks = self.write([wanted])
        return self._judged(codes, masks[0], ratios, seeds, self._looks([image]), history)

    def _judged(
        self,
        codes_RN: Tensor,
        masks: Masks,
        ratios: list[float],
        seeds: list[int],
        reference_1E: Tensor,
        history: History | None,
    ) -> Candidates:
        pixels = self.tokens.decode(codes_RN)
        looks = self.encoder.embed_images(pixels)
        to_reference = looks @ reference_1E[0]
        share = self.settings.reference_weight
        if history is None:
            to_history, score = torch.full_like(to_reference, torch.nan), to_reference
        else:
            to_history = (looks @ history.looks_HE.T).mean(dim=1)
            score = share * to_reference + (1 - share) * to_history
        return Candidates(
            ratios=ratios,
            seeds=seeds,
            pixels_RCHW=pixels,
            looks_RE=looks,
            to_history_R=to_history,
            to_reference_R=to_reference,
            score_R=score,
            masks=masks,
        )

    def _looks(self, images: Sequence[Image.Image]) -> Tensor:
        """Unit vectors [B, E]."""
        return self.encoder.embed_pixel_values(self.encoder.preprocess_pil(images))
