"""Which vision net the image metrics see by, and whether any reward looked through it. Knows settings and a table.

``evaluation.tower`` names it. A net that rewards were trained on is no judge: covers are made to please it.
"""

from importlib import import_module
from typing import Final

from icg_tasks.backbones.checkpoint import checkpoint_folder, model_type
from icg_tasks.backbones.device import choose_compute
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.config.settings import BackboneSettings, Settings
from icg_tasks.evaluation.metrics.tower import Tower

_DUAL_ENCODER: Final = ("icg_tasks.evaluation.metrics.encoder_tower", "EncoderTower")
TOWERS: Final[dict[str, tuple[str, str]]] = {
    "attribute_classifier": ("icg_tasks.evaluation.world_judge", "ClassifierTower"),
}
"""``model_type`` of a checkpoint to module and class; any other is taken for a dual encoder, which says so where it is none."""


def open_tower(settings: Settings) -> Tower:
    """The tower that settings name, or the pipeline's own encoder where they name none; raises DataMissing, DataCorrupt."""
    name = settings.evaluation.tower or settings.backbones.encoder
    kind = model_type(checkpoint_folder(resolve_checkpoint(name)), "CLIP, SigLIP or attribute_classifier")
    module, family = TOWERS.get(kind, _DUAL_ENCODER)
    found: Tower = getattr(import_module(module), family).load(name, choose_compute(settings.backbones).device)
    return found


def sees_for_rewards(name: str, backbones: BackboneSettings) -> bool:
    """Whether a reward looks through this checkpoint: the pipeline's encoder, or a judge that a reward brings.

    >>> sees_for_rewards("zoo:judge", BackboneSettings()), sees_for_rewards("zoo:dual_encoder", BackboneSettings())
    (False, True)
    """
    judges = [text.partition("=")[2].partition("+")[0].strip() for text in backbones.judges.split(",")]
    return name in {backbones.encoder, *judges}
