"""SmolVLM2: prompt and global view are Idefics3's, the language model is a SmolLM2."""

from typing import Any, ClassVar

from transformers import SmolVLMForConditionalGeneration, SmolVLMImageProcessorPil

from icg_tasks.backbones.language.idefics3 import Idefics3


class SmolVLM(Idefics3):
    """Read as Idefics3 is."""

    model_class: ClassVar[Any] = SmolVLMForConditionalGeneration
    processor_class: ClassVar[Any] = SmolVLMImageProcessorPil
