"""Held-out items and the largest segments as the adapter's benchmarks see them: drawn from fixed noise, judged by the oracle.

Nothing to run here. Legend: G items, S segments, E encoder width, H height, W width.
"""

import io
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from benchmarks.ground import Ground, preference_of, relevance_of
from icg_tasks.contracts import partitions as keys
from icg_tasks.evaluation.arms import Segment, held_out_order
from icg_tasks.evaluation.evaluate import read_segments
from icg_tasks.lake.partitions import read_partition
from icg_tasks.models.icg.catalogue import Catalogue
from icg_tasks.models.rewards.aesthetic import aesthetic_reward
from icg_tasks.models.rewards.context import RewardContext
from icg_tasks.world.oracle import Oracle

_FIRST_SEED = 7_000


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """What every arm is compared on."""

    ground: Ground
    items: Catalogue
    segments: list[Segment]
    oracle: Oracle

    @property
    def users_SV(self) -> Tensor:
        """The segments' vectors."""
        return torch.from_numpy(np.stack([segment.vector for segment in self.segments]))

    @torch.no_grad()
    def draw(self, telling, steps: int) -> Tensor:  # type: ignore[no-untyped-def]
        """Covers [G, S, 3, H, W]."""
        studio = replace(telling.studio, steps=steps)
        rows = []
        for row, told in enumerate(telling.tell(self.items, self.users_SV, telling.scale)):
            noise = studio.denoiser.noise([_FIRST_SEED + row]).expand(len(told), -1, -1, -1)
            rows.append(studio.draw(told, noise).clamp(0.0, 1.0))
        return torch.stack(rows)

    @torch.no_grad()
    def judged(self, images_GSCHW: Tensor) -> dict[str, NDArray[np.float64]]:
        """The oracle's logit and probability, preference, relevance and aesthetic of every pair [G, S]."""
        pixels = (images_GSCHW * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2).cpu().numpy()
        logit, probability = (np.zeros(images_GSCHW.shape[:2]) for _ in range(2))
        for row, item in enumerate(self.items.item_ids):
            features = self.oracle.look_features(pixels[row])
            for column, segment in enumerate(self.segments):
                truth = self.oracle.segment_mean(segment.user_ids, item, features[column : column + 1])
                logit[row, column], probability[row, column] = truth.logit_C[0], truth.probability_C[0]
        studio, titles = self.ground.studio, self.items.titles
        flat = images_GSCHW.flatten(0, 1)
        context = RewardContext(
            models=studio.judges,
            title_vectors=studio.judges.titles(titles).repeat_interleave(images_GSCHW.shape[1], dim=0),
            user_vectors=self.users_SV.repeat(len(titles), 1),
        )
        return {
            "logit": logit,
            "probability": probability,
            "preference": preference_of(studio, images_GSCHW, titles, self.users_SV),
            "relevance": relevance_of(studio, images_GSCHW, titles),
            "aesthetic": aesthetic_reward(flat, context).view(images_GSCHW.shape[:2]).double().numpy(),
        }

    def history_vectors(self) -> Tensor:
        """Mean image vector [S, E] of each segment's history of covers, less the catalogue's."""
        store, day = self.ground.context.store, self.ground.context.run_date
        table = read_partition(store, keys.ITEM_FEATURES, day, ["item_id", "vector"])
        vectors = dict(zip(table["item_id"].to_pylist(), torch.tensor(table["vector"].to_pylist()), strict=True))
        history = {row["segment_id"]: row["history"] for row in read_partition(store, keys.SEGMENTS, day).to_pylist()}
        half = next(iter(vectors.values())).shape[0] // 2
        mean = torch.stack(list(vectors.values()))[:, :half].mean(0)
        found = [
            torch.stack([vectors[item][:half] for item in history[one.segment_id] if item in vectors]).mean(0) - mean
            for one in self.segments
        ]
        return functional.normalize(torch.stack(found), dim=1)


def read_held_out(ground: Ground, num_items: int, num_segments: int) -> HeldOut:
    """The first held-out items in evaluation's order, and the segments with the most traffic."""
    context = ground.context
    settings = replace(context.settings, evaluation=replace(context.settings.evaluation, num_segments=num_segments))
    rows = {row["item_id"]: row for row in read_partition(context.store, keys.ITEMS, context.run_date).to_pylist()}
    chosen = held_out_order(list(rows), settings.evaluation.seed)[:num_items]
    images = [
        Image.open(io.BytesIO(context.store.get(keys.reference_image_key(rows[item]["reference_image"])))).convert("RGB")
        for item in chosen
    ]
    items = Catalogue(
        item_ids=chosen,
        titles=[rows[item]["title"] for item in chosen],
        images=images,
        vectors_NV=np.zeros((len(chosen), ground.learned.vectors_NV.shape[1]), dtype=np.float32),
    )
    return HeldOut(
        ground=ground,
        items=items,
        segments=read_segments(replace(context, settings=settings)),
        oracle=Oracle.from_settings(settings, context.run_date),
    )
