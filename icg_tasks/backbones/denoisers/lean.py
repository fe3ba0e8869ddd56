"""Layers of diffusers' networks that compute the same with less work on a processor; ``lighten`` puts them in place.

Products' weights are turned to their precision once instead of at every call, which changes no bit. A doubling followed by a
3 x 3 convolution becomes one transposed convolution (4 of 9 multiplications), residual blocks add in place and divide by no 1,
a gated unit's halves are made apart: the same sums, rounded otherwise. A layer of another build stays as it is.
Knows diffusers' layers; no family. Legend: B images, C O channels, H W sides, L positions, D width.
"""

from typing import Any

import torch
from diffusers.models.activations import GEGLU
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from torch.nn import functional

_TAPS = ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0))
"""Which of a 3-tap kernel's weights meet in each of the 4 taps of its transposed counterpart."""


def lighten(model: nn.Module, products: torch.dtype | None) -> None:
    """Exchange what can be exchanged, in place; ``products``: precision of matrix products and convolutions, None = as it is.

    For drawing alone: whoever wants gradients of a network, or a LoRA in it, leaves it as it came.
    """
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            lighter = _lighter(layer)
            if lighter is not None:
                setattr(parent, name, lighter.eval().requires_grad_(False))
    if products is not None:
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                layer.to(products)


def _lighter(layer: nn.Module) -> nn.Module | None:
    if type(layer) is Upsample2D and _doubles(layer):
        return Doubling(layer)
    if type(layer) is ResnetBlock2D and _plain(layer):
        return Residual(layer)
    return GatedUnit(layer) if type(layer) is GEGLU else None


def _doubles(layer: Any) -> bool:
    """Whether it is a nearest-neighbour doubling and a convolution of 3 x 3 that keeps the size."""
    if not (layer.use_conv and layer.interpolate and layer.norm is None and layer.name == "conv"):
        return False
    conv = layer.conv
    found = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups, conv.padding_mode)
    return found == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")


def _plain(layer: Any) -> bool:
    """Whether it is the residual block of Stable Diffusion, without a change of size or scale."""
    added = layer.time_embedding_norm == "default"
    untimed = layer.time_embedding_norm == "group" and layer.time_emb_proj is None  # as in an autoencoder
    return (
        isinstance(layer.nonlinearity, nn.SiLU)
        and (added or untimed)
        and layer.upsample is None
        and layer.downsample is None
        and not layer.skip_time_act
        and layer.output_scale_factor == 1.0
        and layer.dropout.p == 0.0
    )


class Doubling(nn.Module):
    """Twice the sides, nearest neighbour, then a convolution of 3 x 3: one transposed convolution of 4 x 4.

    Of the nine pixels that a kernel sees after doubling, many are the same one: their weights are summed beforehand.
    """

    def __init__(self, plain: Any) -> None:
        super().__init__()
        self.plain, given = plain, plain.conv
        weight, bias = given.weight, given.bias
        self.conv = nn.ConvTranspose2d(given.in_channels, given.out_channels, 4, stride=2, padding=1, bias=bias is not None)
        self.conv.to(device=weight.device, dtype=weight.dtype)
        taps = torch.tensor(_TAPS, dtype=torch.float32, device=weight.device)
        with torch.no_grad():
            self.conv.weight.copy_(torch.einsum("yi,xj,ocij->coyx", taps, taps, weight.float()))
            if bias is not None and self.conv.bias is not None:
                self.conv.bias.copy_(bias)

    def forward(self, states_BCHW: Tensor, output_size: Any = None, *_: Any, **__: Any) -> Tensor:
        """[B, O, 2H, 2W], or of ``output_size``, which diffusers gives where sides are no multiple of all halvings."""
        height, width = states_BCHW.shape[-2:]
        if output_size is not None and tuple(output_size) != (2 * height, 2 * width):
            return self.plain(states_BCHW, output_size)  # type: ignore[no-any-return]
        return self.conv(states_BCHW)  # type: ignore[no-any-return]


class Residual(nn.Module):
    """Norm, SiLU, convolution, twice, and the input added; what the time says is added between."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.norm1, self.conv1, self.time_emb_proj = block.norm1, block.conv1, block.time_emb_proj
        self.norm2, self.conv2, self.conv_shortcut = block.norm2, block.conv2, block.conv_shortcut

    def forward(self, input_BCHW: Tensor, temb: Tensor | None, *_: Any, **__: Any) -> Tensor:
        """[B, O, H, W]; ``temb`` [B, D] as diffusers gives it, None in an autoencoder."""
        hidden = self.conv1(_silu(self.norm1(input_BCHW)))
        if self.time_emb_proj is not None and temb is not None:
            hidden = _plus(hidden, self.time_emb_proj(functional.silu(temb))[:, :, None, None])
        hidden = self.conv2(_silu(self.norm2(hidden)))
        return _plus(hidden, input_BCHW if self.conv_shortcut is None else self.conv_shortcut(input_BCHW))


class GatedUnit(nn.Module):
    """GEGLU (arXiv 2002.05202): the gate and what it lets through come of two products, so that each lies in one piece."""

    def __init__(self, unit: Any) -> None:
        super().__init__()
        both = unit.proj
        half = both.out_features // 2
        self.value, self.gate = (
            nn.Linear(both.in_features, half, bias=both.bias is not None).to(both.weight.device, both.weight.dtype)
            for _ in range(2)
        )
        with torch.no_grad():
            for number, part in enumerate((self.value, self.gate)):
                rows = slice(number * half, (number + 1) * half)
                part.weight.copy_(both.weight[rows])
                if both.bias is not None:
                    part.bias.copy_(both.bias[rows])

    def forward(self, states_BLD: Tensor, *_: Any, **__: Any) -> Tensor:
        """Half as wide as the product was."""
        return functional.gelu(self.gate(states_BLD)) * self.value(states_BLD)  # type: ignore[no-any-return]


def _silu(fresh: Tensor) -> Tensor:
    """In place, since nobody else holds a norm's result."""
    return functional.silu(fresh, inplace=not torch.is_grad_enabled())


def _plus(fresh: Tensor, other: Tensor) -> Tensor:
    """The sum, in place where its precision is that of the first, which nobody else holds."""
    if torch.is_grad_enabled() or torch.promote_types(fresh.dtype, other.dtype) != fresh.dtype:
        return fresh + other
    return fresh.add_(other)
