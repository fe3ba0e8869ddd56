"""Recommenders to compare covers by: popularity, EASE, and one of content that may read a cover. Knows matrices only.

Legend: U readers, I items, S segments, F features, R rank of the taste matrix.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from icg_tasks.evaluation.downstream.clicks import Split
from icg_tasks.evaluation.downstream.ranking import NDCG, rank_metrics

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
_EASE_REGULARISATIONS = (20.0, 100.0, 500.0, 2500.0)


def popularity_scores(split: Split) -> Doubles:
    """Scores [I]: how many training readers clicked each item."""
    return np.asarray(split.known_UI[split.train_U].sum(axis=0), dtype=np.float64)


def ease_scores(split: Split, users_U: NDArray[np.int64]) -> Doubles:
    """Scores [len(users_U), I] of EASE (Steck 2019, arXiv 1905.03375); the regularisation is chosen on validation readers."""
    train_UI = split.known_UI[split.train_U].astype(np.float64)
    gram_II = train_UI.T @ train_UI
    best, best_II = -1.0, np.zeros_like(gram_II)
    for regularisation in _EASE_REGULARISATIONS:
        inverse_II = np.linalg.inv(gram_II + regularisation * np.eye(len(gram_II)))
        weight_II = -inverse_II / np.diag(inverse_II)
        np.fill_diagonal(weight_II, 0.0)
        found = _validated(split, split.known_UI[split.validation_U].astype(np.float64) @ weight_II)
        if found > best:
            best, best_II = found, weight_II
    return np.asarray(split.known_UI[users_U].astype(np.float64) @ best_II)


@dataclass(frozen=True, kw_only=True)
class ContentSettings:
    """How the content recommender learns. ``epochs`` at most; the best of them on validation readers counts."""

    rank: int = 32
    epochs: int = 40
    batch_size: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    patience: int = 5
    seed: int = 0


class ContentRecommender(nn.Module):
    """Score of reader u and item i: popularity_i + <W h_u, V x_i>, h_u the mean features of what u is known to have clicked.

    Features may differ by the reader's segment (a personalised cover does), so everything takes x as that segment sees it.
    """

    def __init__(self, features: int, popularity_I: Doubles, rank: int) -> None:
        super().__init__()
        self.taste, self.look = nn.Linear(features, rank, bias=False), nn.Linear(features, rank, bias=False)
        nn.init.zeros_(self.look.weight)  # starts as popularity
        self.bias_I = nn.Parameter(torch.tensor(np.log1p(popularity_I), dtype=torch.float32))

    def forward(self, known_BI: Tensor, features_IF: Tensor) -> Tensor:
        """Logits [B, I] for readers who share the features; a reader without known items gets popularity."""
        share_BI = known_BI / known_BI.sum(dim=1, keepdim=True).clamp(min=1)
        taste_BR = self.taste(share_BI @ features_IF)
        logits_BI: Tensor = taste_BR @ self.look(features_IF).T + self.bias_I
        return logits_BI


def content_scores(
    split: Split, features_SIF: Floats, segment_U: NDArray[np.int64], users_U: NDArray[np.int64], settings: ContentSettings
) -> Doubles:
    """Scores [len(users_U), I] of a content recommender trained on the split.

    ``features_SIF`` are the items as each segment sees them (S = 1: all see the same), ``segment_U`` every reader's segment.
    Trained by leaving out one known click that is not early and guessing it among all items (softmax); early stopping on
    validation readers.
    """
    torch.manual_seed(settings.seed)
    features = _standardised(features_SIF)
    model = ContentRecommender(features.shape[2], popularity_scores(split), settings.rank)
    optimiser = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    rng = np.random.default_rng(settings.seed)
    known_UI = torch.from_numpy(split.known_UI.astype(np.float32))

    def scores(rows_U: NDArray[np.int64]) -> Doubles:
        with torch.no_grad():
            found = torch.zeros(len(rows_U), known_UI.shape[1])
            for segment in np.unique(segment_U[rows_U]):
                mine = segment_U[rows_U] == segment
                found[mine] = model(known_UI[rows_U[mine]], features[segment])
        return found.double().numpy()

    best, best_scores, worse = -1.0, scores(users_U), 0
    for _ in range(settings.epochs):
        for rows_B, left_out_B in _epoch(split, segment_U, settings.batch_size, rng):
            known_BI = known_UI[rows_B].clone()
            known_BI[torch.arange(len(rows_B)), left_out_B] = 0.0
            logits_BI = model(known_BI, features[segment_U[rows_B[0]]])
            logits_BI = logits_BI.masked_fill(known_BI > 0, -torch.inf)
            optimiser.zero_grad()
            functional.cross_entropy(logits_BI, torch.from_numpy(left_out_B)).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        found = _validated(split, scores(split.validation_U))
        worse = 0 if found > best else worse + 1
        if found > best:
            best, best_scores = found, scores(users_U)
        if worse >= settings.patience:
            break
    return best_scores


def _epoch(
    split: Split, segment_U: NDArray[np.int64], batch_size: int, rng: np.random.Generator
) -> Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Batches (reader, known item to leave out); one per training reader, each batch within one segment, in random order."""
    order = rng.permutation(split.train_U)
    noise_UI = rng.random((len(order), split.known_UI.shape[1])) * (split.known_UI & ~split.early_UI)[order]
    left_out = noise_UI.argmax(axis=1)
    batches = []
    for segment in np.unique(segment_U[order]):
        rows = np.flatnonzero(segment_U[order] == segment)
        batches += [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    return [(order[batches[number]], left_out[batches[number]]) for number in rng.permutation(len(batches))]


def _validated(split: Split, score_UI: Doubles) -> float:
    rows = split.validation_U
    return float(rank_metrics(score_UI, split.target_UI[rows], split.known_UI[rows])[NDCG].mean())


def _standardised(features_SIF: Floats) -> Tensor:
    """Mean 0 over the items as each segment sees them, mean square 1 over everything (a constant feature stays 0).

    A look that all covers of a segment share says nothing about an item; left in, it would drown what does.
    """
    features = torch.from_numpy(features_SIF.astype(np.float32))
    features = features - features.mean(dim=1, keepdim=True)
    return features / features.square().mean().sqrt().clamp(min=1e-6)
