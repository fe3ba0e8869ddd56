"""Qwen3-VL: prompt and positions are Qwen2.5-VL's; features of several vision layers enter its first language layers too.

Those features (deepstack) are added where image tokens stand, inside the run over the prefix, so they are in the kept keys and
values; meta tokens are no image tokens and get none of them.
"""

from typing import Any, ClassVar

from transformers import Qwen3VLForConditionalGeneration

from icg_tasks.backbones.language.qwen2_5_vl import Qwen25VL


class Qwen3VL(Qwen25VL):
    """Read as Qwen2.5-VL is."""

    model_class: ClassVar[Any] = Qwen3VLForConditionalGeneration
