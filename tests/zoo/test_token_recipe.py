"""The token model's recipe speaks as the product does: the same codes, prompts and losses, in checkpoints that it opens."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional
from transformers import JanusForConditionalGeneration

from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.tokens.janus import Janus
from icg_tasks.backbones.tokens.table import open_token_model
from icg_tasks.models.pigeon.losses import reconstruction_loss
from icg_tasks.models.pigeon.masks import Masks
from icg_tasks.models.pigeon.sequence import Asked, personal_prompt, plain_prompt
from zoo.recipe import image_tokens, janus
from zoo.recipe.token_prompts import Sequence, embedded, prompt, soft_tokens

CPU = Compute(device=torch.device("cpu"), bfloat16=False)
TITLE = "The last lighthouse"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[JanusForConditionalGeneration, Janus]:
    """The recipe's model before its first step, and the product's view of what it writes."""
    folder = tmp_path_factory.mktemp("janus")
    model = janus.build(image_tokens.build()).eval()
    janus.write(copy.deepcopy(model), folder)
    opened = open_token_model("janus", str(folder), CPU)
    assert isinstance(opened, Janus)
    return model.half().float(), opened


def sample() -> tuple[Asked, Masks]:
    generator = torch.Generator().manual_seed(3)
    asked = Asked(
        history_BHN=torch.randint(1024, (1, 5, 64), generator=generator),
        reference_BN=torch.randint(1024, (1, 64), generator=generator),
        titles=[TITLE],
    )
    kept = (torch.rand(1, 5, 64, generator=generator) > 0.2).float()
    return asked, Masks(history_BHN=kept, reference_BN=(torch.rand(1, 64, generator=generator) > 0.5).float())


def as_the_recipe_asks(asked: Asked, masks: Masks) -> Sequence:
    class Given(np.random.Generator):
        """Hides what the masks hide."""

        def random(self, *_: object) -> np.ndarray:  # type: ignore[override]
            return next(rows)

    rows = iter(np.where(masks.history_BHN[0].numpy() == 1, 1.0, 0.0))
    return prompt(TITLE, asked.history_BHN[0].tolist(), reference=True, rng=Given(np.random.PCG64(0)))


def test_prompts_are_the_products_own(trained: tuple[JanusForConditionalGeneration, Janus]) -> None:
    model, product = trained
    asked, masks = sample()
    with torch.no_grad():
        soft = soft_tokens(model, asked.reference_BN, masks.reference_BN)
        ours, _, _ = embedded(model, [as_the_recipe_asks(asked, masks)], soft)
        theirs = personal_prompt(product, asked, masks).embeds_BTD
        assert ours.shape == theirs.shape
        assert torch.allclose(ours, theirs, atol=1e-6)
        plain, _, _ = embedded(model, [prompt(TITLE, reference=True, rng=np.random.default_rng(0))], soft)
        assert torch.allclose(plain, plain_prompt(product, asked, masks.reference_BN).embeds_BTD, atol=1e-6)
        nothing, _, _ = embedded(model, [prompt("", reference=False, rng=np.random.default_rng(0))], soft)
        assert torch.allclose(nothing, product.prompt([[]]).embeds_BTD, atol=1e-6)


def test_the_loss_is_stage_ones(trained: tuple[JanusForConditionalGeneration, Janus]) -> None:
    model, product = trained
    asked, masks = sample()
    with torch.no_grad():
        subject = torch.tensor([3])
        _, parts = janus._loss(model, [as_the_recipe_asks(asked, masks)], asked.reference_BN, masks.reference_BN, subject)
        theirs = reconstruction_loss(product, personal_prompt(product, asked, masks), asked.reference_BN)
    assert parts["own"] == pytest.approx(float(theirs), abs=0.02)  # the recipe computes in half precision


def test_codes_are_signs_and_the_stock_tokenizer_finds_them(trained: tuple[JanusForConditionalGeneration, Janus]) -> None:
    model, product = trained
    tokenizer = model.model.vqmodel
    generator = np.random.default_rng(2)
    picture = generator.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    codes = image_tokens.encoded(tokenizer, pixels)
    assert torch.equal(codes, product.encode([Image.fromarray(picture)]))
    with torch.no_grad():
        raw = functional.normalize(tokenizer.quant_conv(tokenizer.encoder(pixels * 2 - 1)), dim=1).flatten(2)[0]
    by_hand = ((raw > 0).long() << torch.arange(image_tokens.BITS)[:, None]).sum(dim=0)
    assert torch.equal(codes[0], by_hand)
    assert torch.allclose(image_tokens.decoded(tokenizer, codes), product.decode(codes), atol=2e-3)


def test_covers_are_drawn_and_a_step_teaches(trained: tuple[JanusForConditionalGeneration, Janus]) -> None:
    _, product = trained
    drawn = janus.draw(product, [[TITLE]], seed=1)
    assert drawn.shape == (1, 3, 64, 64)
    vq = image_tokens.build().train()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(4)) * 2 - 1
    optimiser = torch.optim.AdamW([part for part in vq.parameters() if part.requires_grad], lr=2e-3)
    losses = []
    for _ in range(5):
        loss, _ = image_tokens._loss(vq, images)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert torch.equal(vq.quantize.embedding.weight, image_tokens.corners())
