"""Every denoiser family: equal to diffusers' own pipeline, no row knows another, gradients of the last steps, loss, pixels."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from icg_tasks.backbones.denoisers.conditioning import Conditioning
from icg_tasks.backbones.denoisers.latent import LatentDenoiser
from icg_tasks.backbones.denoisers.table import DENOISER_FAMILIES
from icg_tasks.backbones.fixed_batches import FixedBatches
from tests.backbones.denoisers.references import REFERENCES, Walk
from tests.backbones.denoisers.tiny import TINY_DENOISERS

TEXTS = ["A cover of a rocket", "two cups and a lamp in the quiet harbour at dawn", "tree"]


def close(found: torch.Tensor, wanted: torch.Tensor, share: float = 1e-4) -> bool:
    return found.shape == wanted.shape and bool((found - wanted).abs().max() <= share * wanted.abs().max().clamp(min=1.0))


def leaf(told: Conditioning) -> Conditioning:
    return replace(told, sequence=told.sequence.clone().requires_grad_())


def test_every_family_of_the_table_is_tried() -> None:
    assert set(TINY_DENOISERS) == set(DENOISER_FAMILIES) == set(REFERENCES)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_sampling_equals_the_pipeline(
    denoiser: LatentDenoiser, variant: str, folder_of: Callable[[str], Path], guidance: float
) -> None:
    told, noise = denoiser.encode_text(TEXTS), denoiser.noise([1, 2, 3])
    untold = denoiser.unconditional()
    reference = REFERENCES[variant.partition("-")[0]]
    walk = Walk(told=told, untold=untold.expand(3), noise=noise, steps=4, guidance=guidance)
    found = denoiser.sample(told, untold, noise, steps=4, guidance=guidance)
    assert close(found, reference.draw(reference.open(folder_of(variant)), walk))
    assert not close(found, denoiser.sample(told, untold, noise, steps=4, guidance=guidance + 1.0), 1e-3)


def test_texts_are_told_as_the_pipeline_tells_them(
    denoiser: LatentDenoiser, variant: str, folder_of: Callable[[str], Path]
) -> None:
    reference = REFERENCES[variant.partition("-")[0]]
    told, untold = reference.say(reference.open(folder_of(variant)), TEXTS)
    for found, wanted in ((denoiser.encode_text(TEXTS), told), (denoiser.unconditional().expand(3), untold)):
        assert close(found.sequence, wanted.sequence, 1e-5)
        assert close(found.pooled, wanted.pooled, 1e-5) if wanted.pooled.numel() else found.pooled.shape == (3, 0)
        assert torch.equal(found.counted(), wanted.counted())
        assert (found.mask is not None) == denoiser.shape.masked
    shape = denoiser.shape
    assert told.sequence.shape == (3, shape.length, shape.width)
    assert told.pooled.shape == (3, shape.pooled)


def test_noise_is_each_images_own(denoiser: LatentDenoiser) -> None:
    assert torch.equal(denoiser.noise([7, 8])[1], denoiser.noise([8])[0])
    assert not torch.equal(denoiser.noise([7])[0], denoiser.noise([8])[0])


def test_a_batch_equals_single_runs(denoiser: LatentDenoiser) -> None:
    told, untold = denoiser.encode_text(TEXTS), denoiser.unconditional()
    together = denoiser.sample(told, untold, denoiser.noise([1, 2, 3]), steps=3, guidance=2.0)
    for row in range(3):
        alone = denoiser.sample(told.rows(slice(row, row + 1)), untold, denoiser.noise([row + 1]), steps=3, guidance=2.0)
        assert close(alone, together[row : row + 1])
    assert not close(together[0], together[1], 1e-2)


def test_gradients_of_the_last_steps_reach_their_own_row_alone(denoiser: LatentDenoiser) -> None:
    told, untold, noise = denoiser.encode_text(TEXTS[:2]), denoiser.unconditional(), denoiser.noise([1, 2])
    how: dict[str, Any] = {"steps": 3, "guidance": 2.0}
    plain = denoiser.sample(told, untold, noise, **how)
    assert not denoiser.sample_with_gradient(leaf(told), untold, noise, **how, gradient_steps=0).requires_grad
    norms = []
    for count in (1, 3):
        heard = leaf(told)
        latents = denoiser.sample_with_gradient(heard, untold, noise, **how, gradient_steps=count)
        assert close(latents, plain)  # a gradient changes nothing about the image but rounding
        denoiser.decode(latents)[0].mean().backward()
        grad = heard.sequence.grad
        assert grad is not None
        assert grad[1].abs().max() == 0
        norms.append(float(grad[0].norm()))
    assert norms[0] > 0
    assert norms[1] != pytest.approx(norms[0], rel=1e-4)


def test_masked_positions_are_not_heard_and_without_a_mask_all_are(loaded: Callable[[str], LatentDenoiser]) -> None:
    denoiser = loaded("pixart_sigma")
    told, untold, noise = denoiser.encode_text(TEXTS[2:]), denoiser.unconditional(), denoiser.noise([1])
    padding = told.counted() == 0
    assert padding.any()
    other = replace(told, sequence=torch.where(padding[..., None], 9.0, told.sequence))
    how: dict[str, Any] = {"steps": 2, "guidance": 2.0}
    heard = denoiser.sample(told, untold, noise, **how)
    assert close(denoiser.sample(other, untold, noise, **how), heard)
    assert not close(denoiser.sample(replace(other, mask=None), untold, noise, **how), heard, 1e-3)


def test_the_denoising_loss_is_each_rows_own_and_reaches_the_conditioning(denoiser: LatentDenoiser) -> None:
    told, noise = leaf(denoiser.encode_text(TEXTS)), denoiser.noise([1, 2, 3])
    latents, times = denoiser.noise([4, 5, 6]), torch.tensor([100, 500, 900])
    losses = denoiser.denoising_loss(latents, told, noise, times)
    assert losses.shape == (3,)
    alone = denoiser.denoising_loss(latents[1:2], told.rows(slice(1, 2)), noise[1:2], times[1:2])
    assert close(losses[1:2], alone)
    losses[0].backward()
    assert told.sequence.grad is not None
    assert told.sequence.grad[0].abs().max() > 0
    assert told.sequence.grad[1:].abs().max() == 0


def test_pixels_come_back_as_the_autoencoder_alone_brings_them_back(denoiser: LatentDenoiser) -> None:
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    latents = denoiser.encode_images(pixels)
    assert latents.shape == denoiser.noise([1, 2]).shape
    with torch.no_grad():
        mode = denoiser.vae.encode(pixels * 2 - 1).latent_dist.mode()
        wanted = (denoiser.vae.decode(mode).sample / 2 + 0.5).clamp(0, 1)
    config = denoiser.vae.config
    assert close(latents, (mode - (config.shift_factor or 0.0)) * config.scaling_factor)
    found = denoiser.decode(latents)
    assert close(found, wanted)
    assert found.shape == pixels.shape
    assert denoiser.encode_images(torch.rand(1, 3, 50, 40)).shape == latents[:1].shape
    wild = (latents * 50).requires_grad_()
    drawn = denoiser.decode(wild)
    assert drawn.min() >= -1e-5
    assert drawn.max() <= 1 + 1e-5
    drawn.sum().backward()
    assert wild.grad is not None
    assert wild.grad.abs().max() > 0


@pytest.mark.parametrize("variant", list(TINY_DENOISERS))
def test_checkpointing_computes_blocks_again_and_changes_no_gradient(denoiser: LatentDenoiser, variant: str) -> None:
    told, untold, noise = denoiser.encode_text(TEXTS[:1]), denoiser.unconditional(), denoiser.noise([1])
    grads, calls = [], []
    target = next(module for name, module in denoiser.network.named_modules() if name.endswith("to_k"))
    for enabled in (False, True):
        denoiser.checkpoint_gradients(enabled)
        counted: list[int] = []
        handle = target.register_forward_hook(lambda *_, seen=counted: seen.append(1))
        heard = leaf(told)
        drawn = denoiser.sample_with_gradient(heard, untold, noise, steps=1, guidance=1.0, gradient_steps=1)
        denoiser.decode(drawn).sum().backward()
        handle.remove()
        assert heard.sequence.grad is not None
        grads.append(heard.sequence.grad)
        calls.append(len(counted))
    denoiser.checkpoint_gradients(False)
    assert calls[1] == 2 * calls[0]
    assert close(grads[1], grads[0])


@pytest.mark.parametrize("variant", list(TINY_DENOISERS))
def test_lora_targets_are_layers_of_the_network(denoiser: LatentDenoiser, variant: str) -> None:
    names = [name for name, _ in denoiser.network.named_modules()]
    for target in denoiser.lora_targets:
        assert any(name == target or name.endswith(f".{target}") for name in names), target


@pytest.mark.parametrize("variant", list(TINY_DENOISERS))
def test_the_same_seed_writes_the_same_weights(variant: str, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    TINY_DENOISERS[variant](tmp_path, 1)
    paths = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.suffix in {".safetensors", ".json"}]
    assert len(paths) >= 6
    for path in paths:
        assert (tmp_path / path).read_bytes() == (folder_of(variant) / path).read_bytes(), path


def test_whoever_else_is_in_a_batch_of_one_shape_changes_nothing(denoiser: LatentDenoiser) -> None:
    told, untold = denoiser.encode_text(TEXTS), denoiser.unconditional()
    batches = FixedBatches(2)

    def drawn(images: list[int]) -> torch.Tensor:
        def draw(rows: torch.Tensor) -> torch.Tensor:
            mine = torch.tensor(images)[rows]
            noise = denoiser.noise([number + 1 for number in mine.tolist()])
            return denoiser.decode(denoiser.sample(told.rows(mine), untold, noise, steps=2, guidance=2.0))

        return batches.run(draw, len(images))

    together = drawn([0, 1, 2])
    for number in range(3):  # the same bits alone, in another place and beside others
        assert torch.equal(drawn([number])[0], together[number])
        assert torch.equal(drawn([(number + 1) % 3, number])[1], together[number])
    assert not close(together[0], together[1], 1e-2)
