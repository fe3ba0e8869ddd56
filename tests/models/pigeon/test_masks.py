"""Masks: the paper's ratios, the same for the same seed, reference-aware, and a gradient that arrives."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from icg_tasks.contracts.errors import SettingsError
from icg_tasks.models.pigeon.masks import MaskGenerator, MaskPlan, gumbel, keep

RATIOS = torch.tensor([0.0, 0.5, 1.0])
SEEDS = [1, 2, 3]


@pytest.fixture
def generator() -> MaskGenerator:
    torch.manual_seed(4)
    return MaskGenerator(width=16, num_codes=10, history_length=5, heads=4)


def images(seed: int = 0) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(3, 5, 10, 16, generator=draws), torch.randn(3, 10, 16, generator=draws)


def plan(**changes: object) -> MaskPlan:
    return MaskPlan(**{"reference_ratio_B": RATIOS, "seeds": SEEDS} | changes)


@pytest.mark.parametrize("draws", [True, False])
@pytest.mark.parametrize("kind", ["learned", "random"])
def test_as_much_is_masked_as_the_paper_masks(generator: MaskGenerator, kind: str, draws: bool) -> None:
    masks = generator(*images(), plan(kind=kind, draws=draws))
    assert masks.history_BHN.flatten(1).sum(dim=1).tolist() == [40, 40, 40]  # of 50, at a ratio of 0.2
    assert masks.reference_BN.sum(dim=1).tolist() == [10, 5, 0]
    for mask in (masks.history_BHN, masks.reference_BN):
        assert set(mask.flatten().tolist()) <= {0.0, 1.0}


def test_without_a_history_mask_the_history_is_whole(generator: MaskGenerator) -> None:
    masks = generator(*images(), plan(kind="none"))
    assert bool((masks.history_BHN == 1).all())
    assert masks.reference_BN.sum(dim=1).tolist() == [10, 5, 0]


@pytest.mark.parametrize("draws", [True, False])
def test_a_gradient_reaches_the_generator_through_what_is_multiplied(generator: MaskGenerator, draws: bool) -> None:
    """The released code compares its mask with zero, and nothing arrives."""
    history, reference = images()
    masks = generator(history, reference, plan(draws=draws))
    weights = torch.randn(history.shape[-1], generator=torch.Generator().manual_seed(8))
    kept = (history * masks.history_BHN[..., None]) @ weights
    pooled = (reference * masks.reference_BN[..., None]).sum(dim=1) @ weights
    (kept.square().sum() + pooled.square().sum()).backward()
    for name, part in generator.named_parameters():
        assert part.grad is not None, name
        assert float(part.grad.abs().max()) > 0, name


@pytest.mark.parametrize("draws", [True, False])
def test_the_same_seed_masks_the_same_whoever_else_is_in_the_batch(generator: MaskGenerator, draws: bool) -> None:
    history, reference = images()
    masks, again = (generator(history, reference, plan(draws=draws)) for _ in range(2))
    assert torch.equal(masks.history_BHN, again.history_BHN)
    alone = generator(history[1:2], reference[1:2], plan(reference_ratio_B=RATIOS[1:2], seeds=SEEDS[1:2], draws=draws))
    assert torch.equal(masks.history_BHN[1], alone.history_BHN[0])
    assert torch.equal(masks.reference_BN[1], alone.reference_BN[0])
    other = generator(history, reference, plan(seeds=[7, 8, 9], draws=draws))
    assert torch.equal(masks.history_BHN, other.history_BHN) is not draws


def test_what_is_kept_of_a_history_depends_on_the_reference(generator: MaskGenerator) -> None:
    history, reference = images()
    _, another = images(seed=1)
    with torch.no_grad():
        generator.layer.self_attn.out_proj.weight.mul_(20)  # so that others' codes decide, not one's own alone
        first = generator(history, reference, plan()).history_BHN
        second = generator(history, another, plan()).history_BHN
    assert not torch.equal(first, second)


class Scored(MaskGenerator):
    """The first code of every reference has a high score, all others a low one."""

    def scores(self, history_BHND: Tensor, reference_BND: Tensor) -> tuple[Tensor, Tensor]:
        reference = torch.full(reference_BND.shape[:2], -1.0)
        reference[:, 0] = 1.0
        return torch.zeros(history_BHND.shape[:3]), reference


def test_training_tends_to_hide_what_inference_shows() -> None:
    generator, count = Scored(width=16, num_codes=10, history_length=5, heads=4), 1_000
    history, reference = torch.zeros(count, 5, 10, 16), torch.zeros(count, 10, 16)
    half = plan(reference_ratio_B=torch.full((count,), 0.5), seeds=list(range(count)))
    assert bool((generator(history, reference, half).reference_BN[:, 0] == 1).all())
    kept = generator(history, reference, replace(half, draws=True)).reference_BN.mean(dim=0)
    assert kept[0] < kept[1:].min() - 0.1


def test_draws_are_of_k_without_replacement_by_their_chances() -> None:
    chances = torch.tensor([0.6, 0.3, 0.1])
    keys = chances.log()[None] + gumbel(list(range(4_000)), 3).float()
    first = keep(keys, torch.full((4_000,), 1), 1.0).mean(dim=0)
    assert torch.allclose(first, chances, atol=0.03)
    pairs = keep(keys, torch.full((4_000,), 2), 1.0).mean(dim=0)
    left_out = torch.tensor([0.3 / 0.7 * 0.1 + 0.1 / 0.9 * 0.3, 0.6 / 0.4 * 0.1 + 0.1 / 0.9 * 0.6, 0.0])
    left_out[2] = 1 - left_out[0] - left_out[1]
    assert torch.allclose(1 - pairs, left_out, atol=0.03)


def test_what_cannot_be_masked_is_refused(generator: MaskGenerator) -> None:
    with pytest.raises(SettingsError, match=r"history_mask='best'; expected one of learned, random, none"):
        generator(*images(), plan(kind="best"))
    with pytest.raises(SettingsError, match=r"mask_heads=3 does not divide .*width 16"):
        MaskGenerator(width=16, num_codes=10, history_length=5, heads=3)
