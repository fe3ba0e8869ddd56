"""What every token family owes: images to codes and back, a cache that changes nothing, rows that stand alone."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.tokens.sampling import draw_codes, uniform_draws
from icg_tasks.backbones.tokens.table import TOKEN_FAMILIES, open_token_model
from icg_tasks.backbones.tokens.writer import TokenWriter
from icg_tasks.backbones.tokens.writing import Piece, Prompt, Sampling
from tests.backbones.tokens.tiny import NUM_CODES, TINY_TOKENS

CPU = Compute(device=torch.device("cpu"), bfloat16=False)
CLOSE = {"atol": 2e-5, "rtol": 0.0}
NUM_POSITIONS = 16

pytestmark = pytest.mark.parametrize("family", list(TOKEN_FAMILIES))


def pictures(count: int = 3) -> list[Image.Image]:
    rng = np.random.default_rng(1)
    return [Image.fromarray(rng.integers(0, 255, (40, 30 + number, 3), dtype=np.uint8)) for number in range(count)]


@pytest.fixture(scope="module")
def open_once(token_folder: Callable[[str], Path]) -> Callable[[str], TokenWriter]:
    def opened(family: str) -> TokenWriter:
        found = open_token_model(family, str(token_folder(family)), CPU)
        assert isinstance(found, TokenWriter)
        return found

    return cache(opened)


@pytest.fixture
def writer(family: str, open_once: Callable[[str], TokenWriter]) -> TokenWriter:
    return open_once(family)


def requests(writer: TokenWriter) -> list[list[Piece]]:
    """Of unequal lengths: words and an image, words, nothing."""
    picture = writer.embed_codes(writer.encode(pictures(1)))[0]
    return [["a boat at dawn", writer.framed(picture), "once more"], ["x"], []]


def without_cache(writer: TokenWriter, prompt: Prompt, seeds: list[int], sampling: Sampling) -> Tensor:
    """Code by code, the whole sequence anew each time."""
    draws = uniform_draws(seeds, NUM_POSITIONS)
    codes = torch.zeros(len(prompt), NUM_POSITIONS, dtype=torch.long)
    nothing = writer.prompt([[]] * len(prompt))
    for column in range(NUM_POSITIONS):
        told = writer.logits(prompt, codes)[:, column]
        if sampling.guidance != 1.0:
            untold = writer.logits(nothing, codes)[:, column]
            told = untold + sampling.guidance * (told - untold)
        codes[:, column] = draw_codes(told, draws[:, column], sampling)
    return codes


def test_every_family_has_its_tiny_checkpoint(family: str) -> None:
    assert family in TINY_TOKENS
    assert len(TINY_TOKENS) == len(TOKEN_FAMILIES)


def test_images_become_codes_and_codes_images(writer: TokenWriter) -> None:
    codes = writer.encode(pictures())
    assert codes.shape == (3, NUM_POSITIONS)
    assert writer.grid == (4, 4)
    assert writer.num_codes == NUM_CODES
    assert codes.min() >= 0
    assert codes.max() < NUM_CODES
    assert len(codes.unique()) > 1
    drawn = writer.decode(codes)
    assert drawn.shape == (3, 3, writer.size_pixels, writer.size_pixels)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert torch.allclose(drawn[1:2], writer.decode(codes[1:2]), **CLOSE)
    assert not torch.allclose(drawn[0], writer.decode((codes[:1] + 1) % NUM_CODES)[0], atol=1e-3)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_writing_behind_a_cache_is_writing_without(writer: TokenWriter, guidance: float) -> None:
    sampling = Sampling(top_k=8, guidance=guidance)
    prompt, seeds = writer.prompt(requests(writer)), [11, 12, 13]
    with torch.no_grad():
        written = writer.write(prompt, seeds, sampling)
        assert torch.equal(written, without_cache(writer, prompt, seeds, sampling))
    assert len(written.unique()) > 4


def test_a_row_is_written_as_if_it_were_alone(writer: TokenWriter) -> None:
    asked, seeds, sampling = requests(writer), [21, 22, 23], Sampling(top_k=8)
    together = writer.write(writer.prompt(asked), seeds, sampling)
    for row, (pieces, seed) in enumerate(zip(asked, seeds, strict=True)):
        assert torch.equal(together[row], writer.write(writer.prompt([pieces]), [seed], sampling)[0])
    assert not torch.equal(together, writer.write(writer.prompt(asked), [31, 32, 33], sampling))


def test_padding_changes_no_logits(writer: TokenWriter) -> None:
    asked, codes = requests(writer), writer.encode(pictures())
    with torch.no_grad():
        together = writer.logits(writer.prompt(asked), codes)
        for row, pieces in enumerate(asked):
            alone = writer.logits(writer.prompt([pieces]), codes[row : row + 1])
            assert torch.allclose(together[row], alone[0], **CLOSE)


def test_a_code_is_told_by_the_prompt_and_by_earlier_codes_alone(writer: TokenWriter) -> None:
    codes = writer.encode(pictures(1))
    prompt = writer.prompt([requests(writer)[0]])
    changed = codes.clone()
    changed[:, 7] = (changed[:, 7] + 1) % NUM_CODES
    with torch.no_grad():
        plain, other = writer.logits(prompt, codes), writer.logits(prompt, changed)
        assert torch.allclose(plain[:, :8], other[:, :8], **CLOSE)
        assert (plain[:, 8:] - other[:, 8:]).abs().amax(dim=-1).min() > 1e-4
        assert (plain - writer.logits(writer.prompt([["another"]]), codes)).abs().amax(dim=-1).min() > 1e-4


def test_a_gradient_reaches_the_prompt(writer: TokenWriter) -> None:
    codes = writer.encode(pictures(1))
    soft = torch.zeros(1, writer.width, requires_grad=True)
    writer.logits(writer.prompt([["a", soft]]), codes).square().sum().backward()
    assert soft.grad is not None
    assert float(soft.grad.abs().max()) > 0


def test_texts_cannot_speak_marks(writer: TokenWriter) -> None:
    special = {writer.ids(mark)[0] for mark in writer.marks}
    assert special
    for mark in writer.marks:
        assert special.isdisjoint(writer.words(f"a {mark} of a boat"))
    assert len(writer.words("word " * 1_000)) == 128
