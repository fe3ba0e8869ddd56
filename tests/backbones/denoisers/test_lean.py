"""Lean layers: the same sums as diffusers' own, in every family; what they do not understand stays as it is."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.activations import GEGLU
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import nn
from torch._inductor import config as inductor

from icg_tasks.backbones.denoisers.latent import LatentDenoiser
from icg_tasks.backbones.denoisers.lean import Doubling, GatedUnit, Residual, lighten
from icg_tasks.backbones.denoisers.table import DENOISER_FAMILIES
from icg_tasks.backbones.device import Compute
from tests.backbones.denoisers.tiny_parts import SIZE_PIXELS, tiny_unet

TEXTS = ["A cover of a rocket", "tree"]


def draws(count: int, *shape: int) -> torch.Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(count))


def close(found: torch.Tensor, wanted: torch.Tensor, share: float = 1e-5) -> bool:
    return found.shape == wanted.shape and bool((found - wanted).abs().max() <= share * wanted.abs().max())


def kinds(model: nn.Module) -> set[type]:
    return {type(layer) for layer in model.modules()}


def fresh(folder: Path, family: str, *, bfloat16: bool) -> LatentDenoiser:
    module, name = DENOISER_FAMILIES[family]
    compute = Compute(device=torch.device("cpu"), bfloat16=bfloat16)
    found: LatentDenoiser = getattr(import_module(module), name).load(str(folder), compute, size_pixels=SIZE_PIXELS)
    return found


def drawn(denoiser: LatentDenoiser) -> torch.Tensor:
    told = denoiser.encode_text(TEXTS)
    with torch.no_grad():
        return denoiser.decode(denoiser.sample(told, denoiser.unconditional(), denoiser.noise([1, 2]), steps=3, guidance=2.0))


def test_every_family_draws_the_same_with_lean_layers(
    denoiser: LatentDenoiser, variant: str, folder_of: Callable[[str], Path]
) -> None:
    lean = fresh(folder_of(variant), variant.partition("-")[0], bfloat16=False)
    lean.quicken(channels_last=False, compiled=False, lean=True)
    assert {Residual, Doubling} <= kinds(lean.vae.decoder)
    assert ResnetBlock2D not in kinds(lean.vae.decoder)
    assert ResnetBlock2D not in kinds(lean.network)
    assert close(drawn(lean), drawn(denoiser), 1e-4)


def test_bfloat16_products_are_of_weights_turned_once(variant: str, folder_of: Callable[[str], Path]) -> None:
    usual, lean = (fresh(folder_of(variant), variant.partition("-")[0], bfloat16=True) for _ in range(2))
    lean.quicken(channels_last=False, compiled=False, lean=True)
    products = [layer for layer in lean.network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    assert products
    assert {layer.weight.dtype for layer in products} == {torch.bfloat16}
    assert (drawn(lean) - drawn(usual)).abs().mean() < 2e-3  # half a level of 255
    norms = [layer for layer in lean.network.modules() if isinstance(layer, nn.GroupNorm | nn.LayerNorm)]
    assert all(layer.weight is None or layer.weight.dtype == torch.float32 for layer in norms)


def test_weights_turned_beforehand_change_no_bit() -> None:
    torch.manual_seed(1)
    block = ResnetBlock2D(in_channels=16, out_channels=32, temb_channels=8, groups=4).eval()
    states, time = draws(2, 16, 8, 8), draws(2, 8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        wanted = block(states, time)
        holder = nn.ModuleList([block])
        lighten(holder, torch.bfloat16)
        assert type(holder[0]) is Residual
        assert holder[0].conv1.weight.dtype == torch.bfloat16
        assert torch.equal(holder[0](states.clone(), time.clone()), wanted)


@pytest.mark.parametrize("bias", [True, False])
def test_a_doubling_is_one_transposed_convolution(bias: bool) -> None:
    torch.manual_seed(2)
    holder = nn.ModuleList([Upsample2D(6, use_conv=True, out_channels=10, bias=bias)])
    states = draws(3, 6, 5, 7)
    with torch.no_grad():
        wanted, odd = holder[0](states), holder[0](states, (9, 13))
        lighten(holder, None)
        assert isinstance(holder[0], Doubling)
        assert close(holder[0](states), wanted)
        assert close(holder[0](states, (10, 14)), wanted)
        assert torch.equal(holder[0](states, (9, 13)), odd)


def test_a_gated_unit_in_two_pieces() -> None:
    torch.manual_seed(3)
    holder = nn.ModuleList([GEGLU(8, 24)])
    states = draws(2, 5, 8)
    with torch.no_grad():
        wanted = holder[0](states)
        lighten(holder, None)
        assert isinstance(holder[0], GatedUnit)
        assert close(holder[0](states), wanted)


def test_inputs_are_not_written_over_and_gradients_pass() -> None:
    torch.manual_seed(4)
    holder = nn.ModuleList([ResnetBlock2D(in_channels=8, temb_channels=8, groups=4).eval()])
    states, time = draws(2, 8, 4, 4), draws(2, 8)
    before = states.clone(), time.clone()
    whole = states.clone().requires_grad_()
    holder[0](whole, time).sum().backward()
    wanted = whole.grad
    lighten(holder, None)
    with torch.no_grad():
        holder[0](states, time)
    assert torch.equal(states, before[0])
    assert torch.equal(time, before[1])
    again = states.clone().requires_grad_()
    holder[0](again, time).sum().backward()
    assert wanted is not None
    assert again.grad is not None
    assert close(again.grad, wanted)


@pytest.mark.parametrize(
    "layer",
    [
        ResnetBlock2D(in_channels=8, temb_channels=8, groups=4, output_scale_factor=2.0),
        ResnetBlock2D(in_channels=8, temb_channels=8, groups=4, time_embedding_norm="scale_shift"),
        ResnetBlock2D(in_channels=8, temb_channels=8, groups=4, non_linearity="gelu"),
        ResnetBlock2D(in_channels=8, temb_channels=8, groups=4, up=True),
        Upsample2D(8, use_conv=False),
        Upsample2D(8, use_conv_transpose=True),
        Upsample2D(8, use_conv=True, kernel_size=5, padding=2),
    ],
)
def test_other_builds_stay_as_they_are(layer: nn.Module) -> None:
    holder = nn.ModuleList([layer])
    lighten(holder, None)
    assert holder[0] is layer


def test_sides_that_are_no_multiple_of_all_halvings() -> None:
    torch.manual_seed(5)
    unet: UNet2DConditionModel = tiny_unet(12).eval()
    noisy, told = draws(1, 4, 7, 7), draws(1, 3, 12)
    with torch.no_grad():
        wanted = unet(noisy, torch.tensor(10), told).sample
        lighten(unet, None)
        assert close(unet(noisy, torch.tensor(10), told).sample, wanted, 1e-4)


def test_an_autoencoder_that_wants_float32_keeps_it(folder_of: Callable[[str], Path]) -> None:
    denoiser = fresh(folder_of("sdxl"), "sdxl", bfloat16=True)
    assert isinstance(denoiser.vae, AutoencoderKL)
    denoiser.vae.register_to_config(force_upcast=True)
    denoiser.quicken(channels_last=False, compiled=False, lean=True)
    assert {parameter.dtype for parameter in denoiser.vae.parameters()} == {torch.float32}
    assert {parameter.dtype for parameter in denoiser.network.parameters()} == {torch.float32, torch.bfloat16}
    assert drawn(denoiser).dtype == torch.float32


@pytest.mark.slow
def test_a_compiled_network_draws_the_same_in_a_thread(folder_of: Callable[[str], Path]) -> None:
    denoiser = fresh(folder_of("sd15"), "sd15", bfloat16=False)
    wanted = drawn(denoiser)
    before = inductor.freezing
    denoiser.quicken(channels_last=False, compiled=True, lean=True)
    with ThreadPoolExecutor(1) as pool:
        assert close(pool.submit(drawn, denoiser).result(), wanted, 1e-3)
    assert inductor.freezing == before
    assert torch._dynamo.utils.counters["inductor"]["pattern_matcher_count"] > 0
