"""What must be said beside the table: who was held out, how arms and metrics are meant, what could not be measured.

Knows settings and counts; no image.
"""

from collections.abc import Sequence

from icg_tasks.config.settings import Settings
from icg_tasks.contracts.holdout import is_held_out_user
from icg_tasks.evaluation import arms as names
from icg_tasks.evaluation.arms import Segment
from icg_tasks.evaluation.catalogue_seen import CatalogueSeen
from icg_tasks.evaluation.looking import Looked
from icg_tasks.evaluation.metrics.frechet import small_sample_note
from icg_tasks.evaluation.metrics.tower import Tower
from icg_tasks.evaluation.towers import sees_for_rewards

WORLD = "world"


def truth_is_known(settings: Settings) -> bool:
    """Whether there is an oracle whose eye was trained on such covers."""
    return settings.source == WORLD and settings.world.catalogue == "covers"


def held_out_notes(settings: Settings, num_items: int, segments: Sequence[Segment]) -> list[str]:
    """How arms are compared, and which items, users and days no training saw."""
    evaluation = settings.evaluation
    users = [user for segment in segments for user in segment.user_ids]
    unseen = sum(is_held_out_user(user) for user in users)
    notes = [
        f"{num_items} held-out items, which neither the preference model nor the adapter ever trained on, each for every "
        "segment; all arms draw from the same seeds. A stable hash holds out a fifth of all items.",
        f"Segments are judged by all of their {len(users):,} users, {unseen:,} of whom are held out: no model trained on them, "
        "though they count towards their segment's vector.",
        "Split by time: models and segments are those in use on the day; the preference model learned from earlier days and "
        "was accepted on the day's own clicks.",
        "Intervals hold 95 % of a bootstrap over items: an item's pairs are drawn together, since they are not independent. "
        "They are about these segments; others may fare otherwise.",
        "Swapped is the cover of the segment whose taste in looks (image half of its vector) is least alike, each used once.",
    ]
    if evaluation.best_of != 8:
        notes.append(f"The arms called best of 8 choose among {evaluation.best_of} here (evaluation.best_of).")
    if num_items < evaluation.items_per_segment:
        notes.append(f"Only {num_items} held-out items were to be had; {evaluation.items_per_segment} were asked for.")
    if truth_is_known(settings):
        notes.append(
            "Truth is the oracle's mean over all users of a segment, on the home page's fourth place; "
            "true_click_logit_held_out_users is the same over its held-out users alone."
        )
    elif settings.source == WORLD:
        notes.append(
            "No eye of this world was trained on stickers: true values are left out, and preference is the model's opinion."
        )
    else:
        notes.append(
            f"The data come from {settings.source!r}, not from the embedded world: nobody knows the true click "
            "probability or subject of an image, nor how many tastes there are, so those metrics and the best achievable cover "
            "are left out. Preference is the model's opinion."
        )
    return notes


def image_notes(settings: Settings, tower: Tower, catalogue: CatalogueSeen | None, looked: Looked, side: int) -> list[str]:
    """What the image metrics see by, and what their figures can and cannot say."""
    seen_by_rewards = sees_for_rewards(tower.name, settings.backbones)
    notes = [
        f"Image metrics see by {tower.name}, at {side} pixels"
        + (
            ": a net that rewards look through too, so covers may be made to please it (name another in evaluation.tower)."
            if seen_by_rewards
            else ", which no reward looks through."
        ),
        "ms_ssim and tower_distance are likeness and distance to the item's own cover; frechet_distance and kernel_distance "
        "to covers of the catalogue, segment by segment. None is LPIPS, FID or KID: those names stand for published nets.",
    ]
    if catalogue is None:
        notes.append("Fewer than two covers of other items could be read: no copying, no distances to the catalogue.")
    else:
        threshold = catalogue.threshold
        notes.append(
            f"The catalogue is {threshold.num_covers} covers of other items. A cover counts as a copy from cosine "
            f"{threshold.cosine:.3f} on, which 95 % of slightly edited copies reach; {100 * threshold.look_alikes:.1f} % of "
            "the catalogue's own covers are as near to another."
        )
    shapes = [vectors.shape for vectors in looked.vectors_IUE.values()]
    if shapes and shapes[0][0] < 2:
        notes.append("One item only: no figures of whole arms (distances to the catalogue, variety, looks).")
    elif shapes and catalogue is not None and (said := small_sample_note(shapes[0][0], shapes[0][2])):
        notes.append(said)
    counted = "distinct_looks counts segments whose covers can be told apart in three of four forced choices on items left out."
    if names.BEST in looked.candidates_IUKE:
        counted += " That of best_achievable is the number of distinct tastes."
    elif truth_is_known(settings):
        counted += " Tastes are not counted: that takes each look drawn twice (evaluation.catalogue_covers=512 or more)."
    return [*notes, counted]
