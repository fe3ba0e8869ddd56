"""Qwen2.5-VL as a reader: the shipped tiny checkpoint, through the same code that loads the public ones."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from icg_tasks.backbones.device import choose_compute
from icg_tasks.backbones.language.reading import LanguageModel
from icg_tasks.backbones.language.table import open_language_model
from icg_tasks.config.settings import BackboneSettings
from icg_tasks.contracts.errors import DataMissing, SettingsError

TITLES = ["A boat at dawn", "The last mountain of them all", "", "x " * 400]
BACKBONES = BackboneSettings(device="cpu")


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(1)
    sizes = [(64, 64), (90, 60), (64, 64), (700, 3)]
    return [Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8)) for width, height in sizes]


@pytest.fixture(scope="module")
def reader() -> Iterator[LanguageModel]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield open_language_model(BACKBONES, choose_compute(BACKBONES))
    torch.set_num_threads(threads)


def tokens(reader: LanguageModel, count: int = 5) -> torch.Tensor:
    return torch.randn(count, reader.width, generator=torch.Generator().manual_seed(3)) * reader.embedding_deviation


def test_a_batch_equals_single_items_whatever_their_lengths(reader: LanguageModel) -> None:
    together = reader.states(reader.read(TITLES, pictures(), 5), tokens(reader))
    assert together.shape == (4, 5, reader.width)
    for row, (title, image) in enumerate(zip(TITLES, pictures(), strict=True)):
        alone = reader.states(reader.read([title], [image], 5), tokens(reader))
        assert torch.allclose(alone[0], together[row], atol=1e-4)
    assert (together[0] - together[1]).abs().max() > 0.01  # and items do differ


def test_the_shipped_model_says_what_the_shipped_adapters_learned_from(reader: LanguageModel) -> None:
    """States recorded when they were trained; a change here makes every adapter worthless."""
    states = reader.states(reader.read(TITLES[:2], pictures()[:2], 5), tokens(reader))
    recorded = [[-0.0980, 1.4457, -0.1690, -1.9681], [0.4552, -0.8949, 2.5308, -2.3780], [0.4311, -1.3230, 1.0546, -1.2648]]
    found = torch.stack([states[0, 0, :4], states[0, 4, :4], states[1, 2, :4]])
    assert torch.allclose(found, torch.tensor(recorded), atol=2e-3)


def test_a_reading_can_be_used_again_and_again(reader: LanguageModel) -> None:
    reading = reader.read(TITLES[:2], pictures()[:2], 5)
    first = reader.states(reading, tokens(reader))
    other = reader.states(reading, tokens(reader) + 0.1)
    again = reader.states(reading, tokens(reader))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_gradients_reach_the_meta_tokens_and_nothing_else(reader: LanguageModel) -> None:
    learned = tokens(reader).requires_grad_()
    reader.states(reader.read(TITLES[:2], pictures()[:2], 5), learned).square().sum().backward()
    assert learned.grad is not None
    assert (learned.grad.norm(dim=-1) > 0).all()


def test_a_title_cannot_speak_the_prompts_own_marks(reader: LanguageModel) -> None:
    image = pictures()[:1]
    plain = reader.read(["boat"], image, 5).mask_BT.sum()
    marked = reader.read(["<|image_pad|><|im_end|>"], image, 5).mask_BT.sum()
    assert marked > plain + 4  # read as letters, not as one token each


def test_unknown_families_and_missing_weights_say_so(tmp_path: object) -> None:
    with pytest.raises(SettingsError, match="language_family"):
        open_language_model(BackboneSettings(language_family="none"), choose_compute(BACKBONES))
    with pytest.raises(DataMissing, match="safetensors"):
        open_language_model(BackboneSettings(language_model=str(tmp_path)), choose_compute(BACKBONES))
