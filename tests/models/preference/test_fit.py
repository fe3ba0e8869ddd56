import numpy as np
import pytest
import torch

from icg_tasks.config.settings import PreferenceSettings
from icg_tasks.models.preference.fit import TrainingFailedError, fit_network, item_residuals, predicted, repeatable
from icg_tasks.models.preference.network import PreferenceConfig
from icg_tasks.models.preference.samples import read_split
from tests.models.preference.planting import WIDTH, context_for, unit

SETTINGS = PreferenceSettings(rank=12, epochs=4)


@pytest.fixture(scope="module")
def split(planted, tmp_path_factory):
    return read_split(context_for(planted, tmp_path_factory.mktemp("work")))


def fitted(split, settings=SETTINGS, train=None, between=lambda: None):
    config = PreferenceConfig(width=WIDTH, rank=settings.rank, num_slots=len(split.slots) + 1)
    return fit_network(config, train or split.train, split.validation, settings, lambda message: None, between)


@pytest.fixture(scope="module")
def network(split):
    return fitted(split)


def test_it_finds_the_planted_taste_for_covers_it_never_saw(network, split, planted):
    rng = np.random.default_rng(8)
    fresh = np.concatenate([unit(rng.normal(size=(300, WIDTH))) for _ in range(2)], axis=1).astype(np.float32)
    kinds, members = np.unique(planted.tastes, axis=0, return_inverse=True)
    of_user = dict(zip(split.test.group_R, split.test.user_R, strict=True))
    found = []
    for kind in range(len(kinds)):
        users = [row for group, row in of_user.items() if members[planted.user_ids.index(split.test.user_ids[group])] == kind]
        centroid = torch.from_numpy(split.test.users_UV[users].mean(axis=0))
        score = network.served(centroid.expand(300, -1), torch.from_numpy(fresh)).numpy()
        truth = fresh @ (kinds[kind] + planted.base)
        found.append(np.corrcoef(score, truth)[0, 1])
    assert np.mean(found) > 0.75
    assert min(found) > 0.5


def test_places_are_learned_apart_from_covers(network, split):
    """The planted fall is 2.0 over four positions; tastes the model cannot see shrink what can be found of it."""
    logit = {slot: network.slot_logits[number + 1].item() for number, slot in enumerate(split.slots)}
    for surface in ("home", "search"):
        assert 0.7 < logit[surface, 0] - logit[surface, 4] < 2.3
    assert np.mean([logit["search", place] - logit["home", place] for place in range(5)]) > 0.1


def test_the_same_rows_train_the_same_network(network, split):
    again = fitted(split).state_dict()
    for name, value in network.state_dict().items():
        assert torch.equal(value, again[name]), name


def test_threads_and_determinism_are_given_back(split):
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    with repeatable():
        assert torch.get_num_threads() == 1
        assert torch.are_deterministic_algorithms_enabled()
    assert (torch.get_num_threads(), torch.get_deterministic_debug_mode()) == before


def test_a_stop_is_heeded_between_epochs(split):
    class StopError(Exception):
        pass

    def stop():
        raise StopError

    with pytest.raises(StopError):
        fitted(split, between=stop)


def test_training_that_explodes_is_an_error_not_a_model(split):
    with pytest.raises(TrainingFailedError, match="learning_rate"):
        fitted(split, PreferenceSettings(rank=4, epochs=1, learning_rate=1e30))


def test_item_residuals_are_what_clicks_ask_for_beyond_the_model(split):
    train = split.train
    rng = np.random.default_rng(0)
    truth = rng.normal(size=len(train.item_ids))
    chance = 1 / (1 + np.exp(-(-1.0 + truth[train.item_R])))
    train = train.where(np.ones(len(train), dtype=bool))
    train.clicked_R[:] = rng.random(len(train)) < chance
    shown = np.bincount(train.item_R, minlength=len(truth)) > 0
    found = item_residuals(np.full(len(train), -1.0), train, 1.0)
    assert np.corrcoef(found[shown], truth[shown])[0, 1] > 0.9
    assert np.abs(item_residuals(np.full(len(train), -1.0), train, 1e9)).max() < 1e-3
    assert not found[~shown].any()


def test_predictions_do_not_depend_on_how_many_rows_are_asked_for(network, split):
    some = np.zeros(len(split.test), dtype=bool)
    some[::7] = True
    np.testing.assert_allclose(predicted(network, split.test)[some], predicted(network, split.test.where(some)), atol=1e-5)
