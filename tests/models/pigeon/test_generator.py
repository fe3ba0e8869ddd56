"""The generator: a sweep over ratios, best of n by both similarities, the same bytes for the same seed, pictures of masks."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.config.pigeon import PigeonSettings
from icg_tasks.contracts.errors import DataMissing
from icg_tasks.models.pigeon.atelier import Atelier, Covers
from icg_tasks.models.pigeon.generator import PigeonGenerator, Wanted
from icg_tasks.models.pigeon.model import Pigeon
from icg_tasks.models.pigeon.pictures import masks_picture
from icg_tasks.models.pigeon.windows import Windows


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    return DualEncoder.load(resolve_checkpoint("zoo:dual_encoder"))


@pytest.fixture
def generator(pigeon: Pigeon, encoder: DualEncoder) -> PigeonGenerator:
    return PigeonGenerator(pigeon, encoder, PigeonSettings(top_k=8))


def pictures(count: int, seed: int = 0) -> list[Image.Image]:
    rng = np.random.default_rng(seed)
    return [Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)) for _ in range(count)]


def test_a_cover_for_each_ratio_and_the_best_by_both_similarities(generator: PigeonGenerator) -> None:
    liked, item = pictures(5), pictures(1, seed=1)[0]
    found = generator.candidates(item, "A boat", generator.history(liked), seed=7)
    assert found.ratios == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert found.pixels_RCHW.shape == (11, 3, 32, 32)
    assert found.masks.reference_BN.sum(dim=1).tolist() == [16, 14, 13, 11, 10, 8, 6, 5, 3, 2, 0]
    assert found.masks.history_BHN.flatten(1).sum(dim=1).tolist() == [64] * 11  # of 80, at a ratio of 0.2
    own = generator.encoder.embed_images(found.pixels_RCHW)
    others = generator.encoder.embed_pixel_values(generator.encoder.preprocess_pil([*liked, item]))
    to_history, to_reference = (own @ others[:5].T).mean(dim=1), own @ others[5]
    assert torch.allclose(found.score_R, 0.5 * to_history + 0.5 * to_reference, atol=1e-5)
    assert found.best == int(found.score_R.argmax())


def test_the_same_seed_is_the_same_cover_and_another_history_another(generator: PigeonGenerator) -> None:
    item = pictures(1, seed=1)[0]
    first, second = (generator.history(pictures(5, seed=seed)) for seed in (2, 3))
    found = generator.candidates(item, "A boat", first, seed=7).pixels_RCHW
    assert torch.equal(found, generator.candidates(item, "A boat", first, seed=7).pixels_RCHW)
    assert not torch.equal(found, generator.candidates(item, "A boat", first, seed=8).pixels_RCHW)
    assert not torch.equal(found, generator.candidates(item, "A boat", second, seed=7).pixels_RCHW)


def test_a_batch_of_several_items_and_users_is_as_many_single_runs(generator: PigeonGenerator) -> None:
    codes = generator.tokens.encode(pictures(2, seed=1))
    first, second = (generator.history(pictures(5, seed=seed)) for seed in (2, 3))
    wanted = [
        Wanted(reference_N=codes[0], title="A boat at dawn", history=first, ratios=[0.0, 0.5, 1.0], seeds=[1, 2, 3]),
        Wanted(reference_N=codes[0], title="A boat at dawn", history=None, ratios=[0.5], seeds=[4]),
        Wanted(reference_N=codes[1], title="x", history=second, ratios=[0.2], seeds=[5]),
    ]
    together, masks = generator.write(wanted)
    alone = [generator.write([one])[0] for one in wanted]
    assert torch.equal(together, torch.cat(alone))
    assert [mask.reference_BN.sum(dim=1).tolist() for mask in masks] == [[16, 8, 0], [8], [13]]
    assert len({tuple(row) for row in together.tolist()}) == 5


def test_a_lone_candidate_has_the_ratio_of_settings_or_of_its_seed(pigeon: Pigeon, encoder: DualEncoder) -> None:
    by_seed = PigeonGenerator(pigeon, encoder, PigeonSettings())
    assert by_seed.ratios([1, 2, 3]) == [0.0, 0.5, 1.0]
    found = [by_seed.ratios([seed])[0] for seed in range(40)]
    assert found == [by_seed.ratios([seed])[0] for seed in range(40)]
    assert 0.0 <= min(found) < 0.2
    assert 0.8 < max(found) <= 1.0
    assert PigeonGenerator(pigeon, encoder, PigeonSettings(lone_ratio=0.7)).ratios([5]) == [0.7]


def test_nobodys_cover_is_compared_with_the_reference_alone(generator: PigeonGenerator) -> None:
    found = generator.plain_candidates(pictures(1)[0], "A boat", seed=7)
    assert bool(found.to_history_R.isnan().all())
    assert found.best == int(found.to_reference_R.argmax())


def test_short_histories_go_round_and_empty_ones_are_refused(generator: PigeonGenerator) -> None:
    two = pictures(2)
    found = generator.history(two)
    whole = generator.history([two[0], two[1], two[0], two[1], two[0], two[1]])
    assert torch.equal(found.codes_HN, whole.codes_HN)
    with pytest.raises(DataMissing, match="a history without a cover"):
        generator.history([])


def test_a_picture_shows_the_same_history_masked_for_two_references(pigeon: Pigeon, encoder: DualEncoder) -> None:
    draws = torch.Generator().manual_seed(6)
    covers = Covers(
        codes_IN=torch.randint(16, (8, 16), generator=draws),
        vectors_IE=torch.nn.functional.normalize(torch.randn(8, 128, generator=draws), dim=-1),
        titles=["a"] * 8,
    )
    with torch.no_grad():
        pigeon.masks.layer.self_attn.out_proj.weight.mul_(20)
    atelier = Atelier(tokens=pigeon.tokens, covers=covers, encoder=encoder, settings=PigeonSettings())
    windows = Windows(history_WH=np.array([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]]), target_W=np.array([6, 7]))
    picture = np.asarray(Image.open(io.BytesIO(masks_picture(atelier, pigeon, windows))))
    assert picture.shape == (2 * 36, 6 * 36, 3)
    first, second = picture[:36, 36:], picture[36:, 36:]
    assert not np.array_equal(first, second)
    plain = pigeon.tokens.decode(covers.codes_IN[[0, 1, 2, 3, 4]])
    for row in (first, second):
        shown = np.stack([row[2:34, 36 * place + 2 : 36 * place + 34] for place in range(5)]) / 255
        expected = plain.permute(0, 2, 3, 1).numpy()
        whole = np.isclose(shown, expected, atol=0.01).all(axis=-1)
        assert whole.mean() == pytest.approx(0.8, abs=0.05)  # a fifth of the history is hidden
