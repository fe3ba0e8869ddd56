"""The words behind `icg` that run a stage: one wording for processes, pods and spark-submit."""

from collections.abc import Sequence


def stage_words(
    run_date: str, profile: str, *, settings: str = "", shard: int | None = None, more: Sequence[str] = ()
) -> list[str]:
    """What a stage is told besides its name; ``settings`` are `section.field=value` texts with spaces between.

    >>> stage_words("2026-03-10", "tiny", settings="covers.steps=4", shard=2, more=["--dry-run"])
    ['--run-date', '2026-03-10', '--profile', 'tiny', '--set', 'covers.steps=4', '--shard', '2', '--dry-run']
    """
    sets = [word for text in str(settings).split() for word in ("--set", text)]
    mine = [] if shard is None else ["--shard", str(shard)]
    return ["--run-date", str(run_date), "--profile", str(profile), *sets, *mine, *more]
