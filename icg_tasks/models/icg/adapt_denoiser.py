"""Stage adapt-denoiser: a LoRA of the frozen denoiser to the catalogue's own covers, so that what it draws takes on their
colours and masses. Goes on from the champion within a step budget (``adapter.lora_steps``; 0 leaves the denoiser as it is).

Reads clean/items and the covers they name; publishes a version of ``denoiser`` and moves its champion through a gate. Healthy:
held-out denoising loss below the base's, colour distance to the catalogue no larger. Run: ``icg adapt-denoiser --run-date D``.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from icg_tasks.backbones.denoisers.conditioning import Conditioning, join
from icg_tasks.backbones.denoisers.table import open_denoiser
from icg_tasks.backbones.device import choose_compute
from icg_tasks.backbones.images import decode_image, pil_to_pixels
from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.contracts.holdout import is_held_out_item
from icg_tasks.contracts.partitions import ITEMS, reference_image_key
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.lake.partitions import read_partition
from icg_tasks.lake.registry import ModelVersion, champion_as_of, fetch_version, publish_version, set_champion
from icg_tasks.models.icg.colours import colour_distance
from icg_tasks.models.icg.denoiser_lora import DenoiserLora, LoraPlan
from icg_tasks.models.icg.speakers import AdapterSpeaker
from icg_tasks.models.statistics import Interval, mean_interval
from icg_tasks.stage import StageContext

KIND = "denoiser"
_MOST_COVERS = 20_000
_JUDGED, _REPEATS, _BATCH = 64, 4, 16
_READ_SIDE = 448  # of the image a language model reads, as much as is kept in memory


@dataclass(frozen=True, kw_only=True)
class Covers:
    """Own covers as the denoiser sees them: latents [B, N, H, W], what it is told of each, pixels [B, H, W, 3].

    Where there is an adapter, every cover stands there twice: told by the denoiser's text encoder, then by the adapter.
    """

    latents: Tensor
    told: Conditioning
    pixels: NDArray[np.float32]
    num_items: int

    def __len__(self) -> int:
        return len(self.latents)


def run(context: StageContext) -> StageOutcome:
    """Train, judge, publish, decide. Without a step budget nothing is done, and the outcome says so."""
    settings = context.settings.adapter
    champion = champion_as_of(context.store, KIND, context.run_date, strictly_before=True)
    if settings.lora_steps == 0:
        reason = "adapter.lora_steps is 0: the denoiser serves as it is"
        return StageOutcome(figures={"accepted": False, "reason": reason, "champion": champion.version if champion else "base"})
    compute = choose_compute(context.settings.backbones)
    denoiser = open_denoiser(context.settings, compute)
    learned, judged, unreadable = _read_covers(context, denoiser, AdapterSpeaker.of_day(context, denoiser, compute))
    before = _losses(denoiser, judged)
    distance_before = _distance(context, denoiser, judged)
    start = fetch_version(context.store, champion, context.scratch("champion")) if champion else None
    plan = LoraPlan(
        rank=settings.lora_rank,
        steps=settings.lora_steps,
        batch_size=settings.batch_size,
        learning_rate=settings.lora_learning_rate,
        seed=settings.seed,
        checkpoint_every=settings.checkpoint_every,
    )
    lora = DenoiserLora(denoiser, plan, start)
    lora.train(
        learned.latents, learned.told, context.scratch(f"checkpoint-{champion.version if champion else 'base'}"), context.stop
    )
    change = mean_interval(_losses(denoiser, judged) - before, 500, settings.seed)
    figures: dict[str, Any] = {
        "held_out_loss_before": round(float(before.mean()), 5),
        "held_out_loss_change": change.to_json(),
        "colour_distance_before": round(distance_before, 5),
        "colour_distance": round(_distance(context, denoiser, judged), 5),
    }
    accepted, reason = _decide(change, figures["colour_distance_before"], figures["colour_distance"])
    version = _publish(context, lora, figures, champion)
    if accepted:
        set_champion(context.store, version, context.run_date, reason=reason)
    elif champion is not None:
        set_champion(context.store, champion, context.run_date, reason=f"kept: {reason}")
    serving = version if accepted else champion
    context.say(f"{'accepted' if accepted else 'not accepted'}: {reason}")
    figures |= {"accepted": accepted, "reason": reason, "champion": serving.version if serving else "base"}
    counts = {
        "covers_learned": learned.num_items,
        "covers_judged": judged.num_items,
        "unreadable": unreadable,
        "steps": lora.step,
    }
    return StageOutcome(outputs=[version.prefix], counts=counts, figures=figures)


def _read_covers(context: StageContext, denoiser: Any, speaker: AdapterSpeaker | None) -> tuple[Covers, Covers, int]:
    """Covers to learn from and covers of held-out items; one that cannot be read costs that item only."""
    table = read_partition(context.store, ITEMS, context.run_date, ["item_id", "title", "reference_image"])
    rows = sorted(table.to_pylist(), key=lambda row: str(row["item_id"]))[:_MOST_COVERS]
    limits = context.settings.intake
    found: dict[bool, list[tuple[str, Tensor, Image.Image]]] = {False: [], True: []}
    unreadable = 0
    for row in rows:
        try:
            data = context.store.get(reference_image_key(row["reference_image"]))
            image = decode_image(data, max_bytes=limits.max_image_bytes, max_pixels=limits.max_image_pixels)
        except (DataCorrupt, DataMissing) as error:
            context.say(f"item {row['item_id']} is left out: {error}")
            unreadable += 1
            continue
        side = denoiser.size_pixels
        pixels = functional.interpolate(pil_to_pixels(image), size=(side, side), mode="bicubic", antialias=True).clamp(0, 1)
        image.thumbnail((_READ_SIDE, _READ_SIDE))
        found[is_held_out_item(row["item_id"])].append((row["title"], pixels, image.convert("RGB")))
    if not found[False] or not found[True]:
        raise DataMissing(
            f"{len(found[False])} covers to learn from and {len(found[True])} to judge by on {context.run_date}; "
            "adapt-denoiser needs some of both: add items, or set adapter.lora_steps=0"
        )
    return _seen(denoiser, speaker, found[False]), _seen(denoiser, speaker, found[True][:_JUDGED]), unreadable


def _seen(denoiser: Any, speaker: AdapterSpeaker | None, rows: list[tuple[str, Tensor, Image.Image]]) -> Covers:
    titles, images = [title for title, _, _ in rows], [image for _, _, image in rows]
    pixels = torch.cat([seen for _, seen, _ in rows])
    latents = torch.cat([denoiser.encode_images(pixels[at : at + _BATCH]) for at in range(0, len(pixels), _BATCH)])
    told = denoiser.encode_text(titles)
    if speaker is not None:
        told = join([told, speaker.tell(images, titles)])
        latents, pixels = torch.cat([latents, latents]), torch.cat([pixels, pixels])
    return Covers(latents=latents, told=told, pixels=pixels.permute(0, 2, 3, 1).numpy(), num_items=len(rows))


@torch.no_grad()
def _losses(denoiser: Any, covers: Covers) -> NDArray[np.float64]:
    """Denoising loss per held-out cover [B], the same noise and times on every call."""
    total = torch.zeros(len(covers), dtype=torch.float64)
    draws = torch.Generator().manual_seed(1)
    for _ in range(_REPEATS):
        times = torch.randint(denoiser.num_train_timesteps, (len(covers),), generator=draws).to(covers.latents.device)
        noise = torch.randn(covers.latents.shape, generator=draws).to(covers.latents.device)
        for at in range(0, len(covers), _BATCH):
            rows = slice(at, at + _BATCH)
            loss = denoiser.denoising_loss(covers.latents[rows], covers.told.rows(rows), noise[rows], times[rows])
            total[rows] += loss.double().cpu()
    return (total / _REPEATS).numpy()


@torch.no_grad()
def _distance(context: StageContext, denoiser: Any, judged: Covers) -> float:
    """Colour distance of covers drawn for held-out items, as the last that was asked tells them, to their own covers."""
    settings, count = context.settings.covers, min(len(judged), 64)
    drawn, first = [], len(judged) - count
    for at in range(first, len(judged), _BATCH):
        rows = slice(at, min(at + _BATCH, len(judged)))
        noise = denoiser.noise(range(rows.start, rows.stop))
        latents = denoiser.sample(
            judged.told.rows(rows), denoiser.unconditional(), noise, steps=settings.steps, guidance=settings.guidance
        )
        drawn.append(denoiser.decode(latents).clamp(0, 1).permute(0, 2, 3, 1).float().cpu().numpy())
    return colour_distance(np.concatenate(drawn), judged.pixels[first:])


def _decide(change: Interval, distance_before: float, distance: float) -> tuple[bool, str]:
    """Better on held-out covers beyond doubt, and drawn covers no further from the catalogue's colours."""
    if change.high >= 0:
        return False, f"held-out denoising loss changed by {change.mean:+.4f} (at most {change.high:+.4f}): no certain gain"
    if distance > distance_before + 0.01:
        return False, f"colour distance to the catalogue's covers rose from {distance_before:.4f} to {distance:.4f}"
    return True, f"held-out denoising loss {change.mean:+.4f}; colour distance {distance_before:.4f} to {distance:.4f}"


def _publish(context: StageContext, lora: DenoiserLora, figures: dict[str, Any], champion: ModelVersion | None) -> ModelVersion:
    card = {
        "run_date": context.run_date.isoformat(),
        "base": context.settings.backbones.denoiser,
        "continued_from": champion.version if champion else None,
        "plan": asdict(lora.plan),
        "metrics": figures,
        "curves": {"step": list(range(1, len(lora.losses) + 1)), "denoising_loss": lora.losses},
    }
    return publish_version(context.store, KIND, lora.files(), card)
