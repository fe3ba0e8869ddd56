"""Other generators on the same pairs, as arms beside the day's own: those published beside it, and `evaluation.rivals`.

Each has champions of its own in the store, draws from the same seeds, and its candidates are chosen by the same preference
model. Knows settings and studios; nothing of truth.
"""

from dataclasses import replace

from icg_tasks.config.settings import Settings
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.contracts.stages import generators_of
from icg_tasks.evaluation.arms import RIVALS, Segment, rival_best, rival_plain
from icg_tasks.evaluation.drawn import DrawnItems
from icg_tasks.evaluation.judged import JudgedPairs
from icg_tasks.evaluation.making import Studio
from icg_tasks.stage import StageContext


def rival_names(settings: Settings) -> list[str]:
    """Those published beside the main generator, then those of settings; raises SettingsError for one that is not known."""
    _, *beside = generators_of(settings.generator)
    names = [*beside, *(name.strip() for name in settings.evaluation.rivals.split(",") if name.strip())]
    unknown = [name for name in names if name not in RIVALS]
    if unknown:
        raise SettingsError(f"evaluation.rivals names {', '.join(unknown)}; expected some of {', '.join(RIVALS)}")
    return list(dict.fromkeys(names))


def rival_settings(settings: Settings, name: str) -> Settings:
    """The day's settings with another generator.

    >>> rival_settings(Settings(), "pigeon_stage_1").pigeon.stage
    1
    """
    generator, _, stage = name.partition("_stage_")
    return replace(settings, generator=generator, pigeon=replace(settings.pigeon, stage=int(stage or settings.pigeon.stage)))


def add_rivals(context: StageContext, own: Studio, judged: JudgedPairs, segments: list[Segment]) -> None:
    """Arms of every rival, into the pairs; raises DataMissing where a rival has no champion as of the run date."""
    for name in rival_names(context.settings):
        studio = Studio.load(replace(context, settings=rival_settings(context.settings, name)))
        drawn = DrawnItems(context.scratch("drawn"), studio, segments, context.settings)
        for number, pairs in enumerate(judged.by_item(), start=1):
            context.stop.check(f"{number - 1} items by {name} are drawn and kept")
            made = drawn.get(pairs[0].made.item)
            for pair, candidates in zip(pairs, made.personal, strict=True):
                arms = {
                    rival_plain(name): made.plain[0],
                    name: candidates[0],
                    rival_best(name): studio.best(pair.segment, made, candidates),
                }
                judged.add_arms(own, pair, arms)
            context.say(f"{number} items drawn by {name}")
