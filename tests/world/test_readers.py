import numpy as np
import pytest

from icg_tasks.contracts.errors import SettingsError
from icg_tasks.world.readers import ARCHETYPES, LOOK_GROUPS, archetypes, readers


@pytest.mark.parametrize("seed", [0, 7, 12345])
def test_archetypes_have_unequal_shares_and_looks_centred_over_the_population(seed: int) -> None:
    kinds = archetypes(seed)
    assert kinds.share_K.sum() == pytest.approx(1.0)
    assert kinds.share_K[0] > 5 * kinds.share_K[-1]
    assert np.abs(kinds.share_K @ kinds.look_KL).max() < 0.3
    assert kinds.look_KL.std(axis=1).min() > 0.1


def test_a_user_is_the_same_in_any_range() -> None:
    whole, part = readers(7, 1000, 1100), readers(7, 1040, 1050)
    np.testing.assert_array_equal(whole.look_UL[40:50], part.look_UL)
    np.testing.assert_array_equal(whole.archetype_U[40:50], part.archetype_U)
    assert part.first == 1040


@pytest.mark.parametrize("seed", [1, 2])
def test_look_taste_has_the_promised_spread_and_no_universal_favourite(seed: int) -> None:
    people = readers(seed, 0, 20_000)
    spread, start = 0.0, 0
    for size, _ in LOOK_GROUPS:
        spread += float(people.look_UL[:, start : start + size].var(axis=1).mean())
        start += size
    assert 0.85 < np.sqrt(spread) < 1.1
    common = people.look_UL.mean(axis=0)
    assert common[:8].max() < 0.25
    favourite = people.look_UL[:, :8].argmax(axis=1)
    assert np.bincount(favourite, minlength=8).max() < 0.5 * len(people)


def test_users_of_one_archetype_agree_more_than_users_of_two() -> None:
    people = readers(7, 0, 4096)
    means = np.stack([people.look_UL[people.archetype_U == kind].mean(axis=0) for kind in range(ARCHETYPES)])
    within = np.mean(
        [np.corrcoef(look, means[kind])[0, 1] for look, kind in zip(people.look_UL, people.archetype_U, strict=True)]
    )
    across = np.mean(
        [
            np.corrcoef(look, means[(kind + 1) % ARCHETYPES])[0, 1]
            for look, kind in zip(people.look_UL, people.archetype_U, strict=True)
        ]
    )
    assert within > 0.7
    assert across < 0.4


def test_a_negative_seed_is_explained() -> None:
    with pytest.raises(SettingsError, match=r"world\.seed is -1"):
        archetypes(-1)
