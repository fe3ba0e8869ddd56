"""Qwen2-VL: prompt, positions and image patches are Qwen2.5-VL's; the vision tower and its attention are its own."""

from typing import Any, ClassVar

from transformers import Qwen2VLForConditionalGeneration

from icg_tasks.backbones.language.qwen2_5_vl import Qwen25VL


class Qwen2VL(Qwen25VL):
    """Read as Qwen2.5-VL is."""

    model_class: ClassVar[Any] = Qwen2VLForConditionalGeneration
