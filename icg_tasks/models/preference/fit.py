"""Fits a preference network: logistic loss, AdamW, best epoch on training users set aside. CPU, one thread, same bytes.

Also the part of an item's click rate that neither picture nor title explains, fitted afterwards so that it cannot hide what
pictures do. Knows arrays and networks; nothing of data sets.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from icg_tasks.config.settings import PreferenceSettings
from icg_tasks.contracts.errors import IcgError
from icg_tasks.models.preference.adam import AdamW
from icg_tasks.models.preference.network import PreferenceConfig, PreferenceNetwork
from icg_tasks.models.preference.samples import Samples

_FEWEST_STEPS = 48
_SMALLEST_BATCH = 64
_CHUNK = 65_536
_WARM_UP_SHARE = 0.1
_PLACE_PRIOR = 20.0
_NEWTON_STEPS = 6

Doubles = NDArray[np.float64]
Say = Callable[[str], None]


class TrainingFailedError(IcgError):
    """Training ended without a usable network."""


@contextmanager
def repeatable() -> Iterator[None]:
    """One thread and deterministic kernels inside; the former settings afterwards.

    Not by ``use_deterministic_algorithms``: that imports torch's compiler, 5 s.
    """
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    torch.set_num_threads(1)
    torch.set_deterministic_debug_mode("error")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        torch.set_num_threads(threads)


def fit_network(
    config: PreferenceConfig,
    train: Samples,
    validation: Samples,
    settings: PreferenceSettings,
    say: Say,
    between_epochs: Callable[[], None],
) -> PreferenceNetwork:
    """A network trained on ``train``, as it stood after the epoch with the least loss on ``validation``."""
    with repeatable():
        network = PreferenceNetwork(config)
        shown = np.unique(train.cover_R)
        network.start(torch.from_numpy(train.covers_NV[shown]), *place_log_odds(train, config.num_slots))
        trainer = _Trainer(network, train, settings)
        best, kept = float("inf"), {}
        for epoch in range(settings.epochs):
            between_epochs()
            learned = trainer.epoch()
            loss = _loss(network, validation)
            say(f"epoch {epoch + 1} of {settings.epochs}: loss {learned:.5f}, on validation users {loss:.5f}")
            if loss < best:
                best, kept = loss, {name: value.clone() for name, value in network.state_dict().items()}
        if not kept:
            raise TrainingFailedError(
                f"the loss on {len(validation)} validation rows was never a number in {settings.epochs} epochs; "
                "look for vectors of absurd size in features/items and features/users, or lower preference.learning_rate"
            )
        network.load_state_dict(kept)
        network.centre_slots(torch.from_numpy(train.slot_R))
    return network.eval().requires_grad_(False)


def place_log_odds(train: Samples, num_slots: int) -> tuple[Doubles, float]:
    """What each place adds to the overall log-odds of a click [S], smoothed; and the overall log-odds.

    Where training starts from: the places' biases are whole logits apart, further than so few steps would carry them.
    """
    clicks = np.bincount(train.slot_R, train.clicked_R, num_slots)
    rows = np.bincount(train.slot_R, minlength=num_slots)
    rate = float(train.clicked_R.mean())
    chance = (clicks + _PLACE_PRIOR * rate) / (rows + _PLACE_PRIOR)
    overall = float(np.log(rate / (1 - rate)))
    return np.log(chance / (1 - chance)) - overall, overall


class _Trainer:
    """Optimiser, pace and row order of one fit."""

    def __init__(self, network: PreferenceNetwork, train: Samples, settings: PreferenceSettings) -> None:
        self.network = network
        self.users, self.covers = torch.from_numpy(train.users_UV), torch.from_numpy(train.covers_NV)
        names = ("user_R", "cover_R", "slot_R", "clicked_R", "weight_R")
        self.columns = [torch.from_numpy(getattr(train, name)) for name in names]
        self.batch = min(settings.batch_size, max(_SMALLEST_BATCH, len(train) // _FEWEST_STEPS))
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.optimiser = AdamW(network.parameters(), settings.learning_rate, settings.weight_decay)
        self.total_steps = settings.epochs * -(-len(train) // self.batch)

    def epoch(self) -> float:
        """One pass over all rows in random order; the mean loss."""
        total, rows = 0.0, len(self.columns[0])
        order = torch.randperm(rows, generator=self.generator)
        for start in range(0, rows, self.batch):
            at = order[start : start + self.batch]
            user, cover, slot, clicked, weight = (column[at] for column in self.columns)
            logits = self.network(self.users[user], self.covers[cover], slot)
            loss = binary_cross_entropy_with_logits(logits, clicked, weight=weight)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step(_pace(self.optimiser.steps, self.total_steps))
            total += loss.item() * len(at)
        return total / rows


def _pace(step: int, total: int) -> float:
    """Share of the learning rate: linear warm-up, then down a half cosine."""
    done = step / max(total, 1)
    if done < _WARM_UP_SHARE:
        return (done + 1 / max(total, 1)) / (_WARM_UP_SHARE + 1 / max(total, 1))
    return float(0.5 + 0.5 * np.cos(np.pi * (done - _WARM_UP_SHARE) / (1 - _WARM_UP_SHARE)))


def _loss(network: PreferenceNetwork, samples: Samples) -> float:
    logits = predicted(network, samples, with_place=True)
    if not np.isfinite(logits).all():
        return float("inf")
    chance_loss = np.logaddexp(0.0, logits) - samples.clicked_R * logits
    return float((chance_loss * samples.weight_R).sum() / samples.weight_R.sum())


@torch.no_grad()
def predicted(
    network: PreferenceNetwork,
    samples: Samples,
    *,
    with_place: bool = False,
    served: bool = False,
    users_R: Tensor | None = None,
) -> Doubles:
    """Logits of all rows [R]: of a click in its place, of a click in the average place, or the ``served`` score alone.

    ``users_R`` replaces the rows' user vectors (indices into ``users_UV``).
    """
    users, covers = torch.from_numpy(samples.users_UV), torch.from_numpy(samples.covers_NV)
    user_R = torch.from_numpy(samples.user_R) if users_R is None else users_R
    slot_R = torch.from_numpy(samples.slot_R) if with_place else torch.zeros(len(samples), dtype=torch.int64)
    parts = []
    cover_R = torch.from_numpy(samples.cover_R)
    for start in range(0, len(samples), _CHUNK):
        at = slice(start, start + _CHUNK)
        user_BV, cover_BV = users[user_R[at]], covers[cover_R[at]]
        parts.append(network.served(user_BV, cover_BV) if served else network(user_BV, cover_BV, slot_R[at]))
    return torch.cat(parts).double().numpy() if parts else np.zeros(0)


def item_residuals(logits_R: Doubles, samples: Samples, prior: float) -> Doubles:
    """Per item the logit that its clicks ask for beyond ``logits_R`` [items], pulled to 0 by ``prior`` (a precision).

    Newton steps on the penalised logistic likelihood; an item without rows gets 0.
    """
    num_items = len(samples.item_ids)
    residual = np.zeros(num_items)
    clicks = np.bincount(samples.item_R, samples.weight_R * samples.clicked_R, num_items)
    for _ in range(_NEWTON_STEPS):
        chance_R = 1.0 / (1.0 + np.exp(-(logits_R + residual[samples.item_R])))
        expected = np.bincount(samples.item_R, samples.weight_R * chance_R, num_items)
        curvature = np.bincount(samples.item_R, samples.weight_R * chance_R * (1 - chance_R), num_items)
        residual += np.clip((clicks - expected - prior * residual) / (curvature + prior), -2.0, 2.0)
    return residual
