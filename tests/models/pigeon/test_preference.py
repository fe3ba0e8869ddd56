"""Stage 2: DPO's formula by hand, the masks that policy and start share, pairs with a margin, scored by both similarities."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.config.pigeon import PigeonSettings
from icg_tasks.models.pigeon.atelier import Atelier, Covers
from icg_tasks.models.pigeon.losses import LogChances, preference_loss
from icg_tasks.models.pigeon.model import Pigeon
from icg_tasks.models.pigeon.pairs import Pairs, log_chances, make_pairs
from icg_tasks.models.pigeon.windows import Windows

SETTINGS = PigeonSettings(pair_windows=4, pair_min_margin=0.0, ratios=3)


def test_the_loss_is_dpos_by_hand_and_pulls_where_it_should() -> None:
    policy = torch.tensor([[-10.0, -12.0], [-3.0, -1.0]], requires_grad=True)
    start = torch.tensor([[-11.0, -11.5], [-2.0, -2.5]])
    beta = 0.1
    loss = preference_loss(
        LogChances(chosen_B=policy[:, 0], rejected_B=policy[:, 1]),
        LogChances(chosen_B=start[:, 0], rejected_B=start[:, 1]),
        beta,
    )
    margins = [beta * ((-10.0 + 11.0) - (-12.0 + 11.5)), beta * ((-3.0 + 2.0) - (-1.0 + 2.5))]
    by_hand = [math.log(1 + math.exp(-margin)) for margin in margins]
    assert loss.item() == pytest.approx(sum(by_hand) / 2, abs=1e-6)
    loss.backward()
    pulls = [-beta / (1 + math.exp(margin)) / 2 for margin in margins]
    assert policy.grad is not None
    assert policy.grad[:, 0].tolist() == pytest.approx(pulls, abs=1e-6)
    assert policy.grad[:, 1].tolist() == pytest.approx([-pull for pull in pulls], abs=1e-6)


@pytest.fixture(scope="module")
def windows() -> Windows:
    numbers = torch.randint(12, (6, 6), generator=torch.Generator().manual_seed(2)).numpy()
    return Windows(history_WH=numbers[:, :5], target_W=numbers[:, 5])


@pytest.fixture
def atelier(pigeon: Pigeon) -> Atelier:
    generator = torch.Generator().manual_seed(6)
    vectors = torch.nn.functional.normalize(torch.randn(12, 128, generator=generator), dim=-1)
    covers = Covers(
        codes_IN=torch.randint(16, (12, 16), generator=generator),
        vectors_IE=vectors,
        titles=[f"title {number}" for number in range(12)],
    )
    encoder = DualEncoder.load(resolve_checkpoint("zoo:dual_encoder"))
    return Atelier(tokens=pigeon.tokens, covers=covers, encoder=encoder, settings=SETTINGS)


def test_policy_and_start_see_the_same_masks(atelier: Atelier, pigeon: Pigeon, windows: Windows) -> None:
    """The released code draws masks twice, so its ratio compares different prompts."""
    pairs = make_pairs(atelier, pigeon, windows)
    assert len(pairs) == 4
    rows = list(range(len(pairs)))
    asked = atelier.covers.asked(windows.part(pairs.window_P.tolist()))
    with torch.no_grad():
        policy = log_chances(pigeon, asked, pairs.masks(rows), pairs.chosen_PN, pairs.rejected_PN)
    assert torch.allclose(policy.chosen_B, pairs.start_chosen_P, atol=1e-4)  # the policy begins as the start
    assert torch.allclose(policy.rejected_B, pairs.start_rejected_P, atol=1e-4)
    loss = preference_loss(policy, pairs.start(rows), 0.1)
    assert float(loss) == pytest.approx(math.log(2), abs=1e-4)
    with torch.no_grad():
        pigeon.masks.project.weight.add_(1.0)  # masks drawn anew would be others now; those of the pairs stay
        again = log_chances(pigeon, asked, pairs.masks(rows), pairs.chosen_PN, pairs.rejected_PN)
    assert torch.allclose(again.chosen_B, pairs.start_chosen_P, atol=1e-4)


def test_pairs_are_best_and_worst_by_both_similarities(atelier: Atelier, pigeon: Pigeon, windows: Windows) -> None:
    pairs = make_pairs(atelier, pigeon, windows)
    parts = windows.part(pairs.window_P.tolist())
    scores = [
        atelier.score(*atelier.similarities(atelier.looks(codes), parts)) for codes in (pairs.chosen_PN, pairs.rejected_PN)
    ]
    assert torch.allclose(scores[0] - scores[1], pairs.margin_P, atol=1e-5)
    assert bool((pairs.margin_P >= 0).all())
    looks = atelier.looks(pairs.chosen_PN)
    to_history, to_reference = atelier.similarities(looks, parts)
    vectors = atelier.covers.vectors_IE
    by_hand = torch.stack(
        [vectors[history].mul(look).sum(-1).mean() for history, look in zip(parts.history_WH, looks, strict=True)]
    )
    assert torch.allclose(to_history, by_hand, atol=1e-6)
    assert torch.allclose(atelier.score(to_history, to_reference), 0.5 * to_history + 0.5 * to_reference)


def test_close_pairs_teach_nothing(atelier: Atelier, pigeon: Pigeon, windows: Windows) -> None:
    every = make_pairs(atelier, pigeon, windows)
    middle = float(every.margin_P.sort().values[2])
    strict = make_pairs(replace(atelier, settings=replace(SETTINGS, pair_min_margin=middle)), pigeon, windows)
    assert strict.window_P.tolist() == every.window_P[every.margin_P >= middle].tolist()
    assert 0 < len(strict) < len(every)


def test_pairs_come_through_plain_numbers_exactly(atelier: Atelier, pigeon: Pigeon, windows: Windows) -> None:
    pairs = make_pairs(atelier, pigeon, windows)
    body: dict[str, Any] = {name: part.tolist() for name, part in pairs.tensors().items()}
    again = Pairs.from_lists(body, torch.device("cpu"))
    for name, part in pairs.tensors().items():
        assert torch.equal(part, again.tensors()[name]), name
