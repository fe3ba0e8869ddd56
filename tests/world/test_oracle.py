from datetime import date

import numpy as np
import pytest

from icg_tasks.config import Settings
from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.pseudonym import pseudonym, pseudonym_key
from icg_tasks.world.attributes import CoverAttributes, all_looks
from icg_tasks.world.days import cast_of
from icg_tasks.world.drawing import draw_cover
from icg_tasks.world.oracle import Oracle
from icg_tasks.world.readers import reader_name
from icg_tasks.world.sight import Eye, load_eye


@pytest.fixture(scope="module")
def eye() -> Eye:
    return load_eye()


@pytest.fixture
def oracle(settings: Settings, day: date, eye: Eye) -> Oracle:
    return Oracle.from_settings(settings, day, eye)


def test_the_eye_sees_what_the_catalogue_drew(settings: Settings, day: date, oracle: Oracle) -> None:
    catalogue = cast_of(settings.world, day).shelf
    seen = oracle.look_features(np.stack([item.draw() for item in catalogue.items]))
    agree, start = [], 0
    for size in (12, 8, 4, 4, 2):
        part = slice(start, start + size)
        agree.append((seen[:, part].argmax(axis=1) == catalogue.features_IF[:, part].argmax(axis=1)).mean())
        np.testing.assert_allclose(seen[:, part].sum(axis=1), 1.0, atol=1e-4)
        start += size
    assert min(agree) >= 0.99


def test_a_user_prefers_the_looks_of_their_taste(settings: Settings, day: date, oracle: Oracle) -> None:
    cast = cast_of(settings.world, day)
    looks, item = all_looks()[::5], cast.shelf.items[-1]
    covers = np.stack([draw_cover(CoverAttributes(subject=item.attributes.subject, look=look), seed=1) for look in looks])
    features = oracle.look_features(covers)
    indices = np.array([CoverAttributes(subject="cat", look=look).as_indices()[1:] for look in looks]) + np.array(
        [0, 8, 12, 16]
    )
    for row in range(0, len(cast.readers), 37):
        user = pseudonym(reader_name(cast.readers.first + row), pseudonym_key())
        true = oracle.click_logit([user] * len(looks), [item.item_id] * len(looks), features)
        wanted = cast.readers.look_UL[row][indices].sum(axis=1)
        assert np.corrcoef(true, wanted)[0, 1] > 0.98


def test_muddled_images_and_wrong_subjects_lose(settings: Settings, day: date, oracle: Oracle) -> None:
    cast = cast_of(settings.world, day)
    users = [pseudonym(reader_name(cast.readers.first + row), pseudonym_key()) for row in range(len(cast.readers))]
    item = cast.shelf.items[-1]
    own = item.draw()
    other = "cat" if item.attributes.subject != "cat" else "key"
    wrong = draw_cover(CoverAttributes(subject=other, look=item.attributes.look), seed=item.number)
    noise = np.random.default_rng(1).integers(0, 256, size=own.shape, dtype=np.uint8)
    truth = oracle.segment_mean(users, item.item_id, oracle.look_features(np.stack([own, wrong, noise])))
    assert truth.logit_C[0] > truth.logit_C[1] + 0.5
    assert truth.logit_C[0] > truth.logit_C[2] + 0.3


def test_segment_mean_is_the_mean_over_its_users(settings: Settings, day: date, oracle: Oracle) -> None:
    cast = cast_of(settings.world, day)
    users = [pseudonym(reader_name(cast.readers.first + row), pseudonym_key()) for row in range(40)]
    item = cast.shelf.items[3]
    features = oracle.look_features(item.draw()[None])
    single = oracle.click_logit(users, [item.item_id] * 40, np.repeat(features, 40, axis=0))
    truth = oracle.segment_mean(users, item.item_id, features)
    assert truth.logit_C[0] == pytest.approx(single.mean())
    assert truth.probability_C[0] == pytest.approx((1 / (1 + np.exp(-single))).mean())


def test_best_cover_is_the_best_of_all_by_mean_logit(settings: Settings, day: date, oracle: Oracle) -> None:
    cast = cast_of(settings.world, day)
    users = [pseudonym(reader_name(cast.readers.first + row), pseudonym_key()) for row in range(25)]
    item = cast.shelf.items[5]
    covers = [draw_cover(CoverAttributes(subject=item.attributes.subject, look=look), seed=2) for look in all_looks()[::9]]
    features = oracle.look_features(np.stack(covers))
    assert (
        oracle.best_cover(users, item.item_id, features) == oracle.segment_mean(users, item.item_id, features).logit_C.argmax()
    )


def test_strangers_are_explained(oracle: Oracle, settings: Settings, day: date) -> None:
    item = cast_of(settings.world, day).shelf.items[0]
    features = oracle.look_features(item.draw()[None])
    with pytest.raises(DataMissing, match="not of this world"):
        oracle.segment_mean(["0" * 32], item.item_id, features)
    with pytest.raises(DataMissing, match="without users"):
        oracle.segment_mean([], item.item_id, features)
    with pytest.raises(DataMissing, match="'nowhere' is not of this world"):
        oracle.subject_of("nowhere")
    with pytest.raises(ValueError, match="uint8 images"):
        oracle.look_features(item.draw().astype(np.float32)[None])


def test_an_eye_that_is_not_shipped_is_explained() -> None:
    with pytest.raises(DataMissing, match="make zoo"):
        load_eye("third_eye")
