"""What one impression says about its reader: importance x (reward - expected reward of its place), in whole numbers.

reward r: 1 for a click (less for one left at once, where dwell counts), else 0. importance m: by event type, position, age
and propensity; 1 unless settings say otherwise. rate of a place (surface, position) on a day: sum(m r) / sum(m), pulled
towards the day's own by a prior. An impression adds m (r - rate) x vector, and m rate (1 - rate) of information. With m = 1 /
propensity (clipped) these are the inverse propensity estimates of what the user would have done had covers been shown at
random. Sums of m and m r are exact, so a rate does not depend on the order of rows. Knows Arrow tables; neither files nor
Spark. Legend: N rows, P places.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from icg_tasks.config.features import EventSettings
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.features.exact_sums import WEIGHT_BITS, Ints, numbers_of

RATE_PRIOR_IMPRESSIONS = 100.0
"""A place's rate is pulled towards the day's overall rate as if by this much importance."""
MAX_IMPORTANCE = 1024.0
UNIT = 2.0**WEIGHT_BITS
PLACE_SUMS = pa.schema([("surface", pa.string()), ("position", pa.int64()), ("importance", pa.int64()), ("reward", pa.int64())])

Floats = NDArray[np.float64]
Place = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """Per row, in units of 2^-20: what multiplies the shown vector, and the information; and whether it was clicked."""

    residual_N: Ints
    information_N: Ints
    click_N: Ints


def checked(events: EventSettings) -> EventSettings:
    """The settings themselves; raises SettingsError where importances could be negative or pass MAX_IMPORTANCE."""
    largest = max(events.click_weight, events.skip_weight) * max(events.max_propensity_weight, 1.0)
    values = (events.click_weight, events.skip_weight, events.full_dwell_seconds, events.position_discount)
    if min(*values, events.recency_half_life_hours, events.max_propensity_weight) < 0 or not 0 < largest <= MAX_IMPORTANCE:
        raise SettingsError(
            f"features.events gives importances up to {largest:g}: weights must be 0 or more, one of them more, and type weight"
            f" times propensity weight at most {MAX_IMPORTANCE:g}"
        )
    if not 0 <= events.least_dwell_reward <= 1:
        raise SettingsError(f"features.events.least_dwell_reward={events.least_dwell_reward:g}: expected a share from 0 to 1")
    return events


def columns_needed(events: EventSettings) -> list[str]:
    """Columns of clean/impressions that importance, reward and place are told from."""
    extra = {
        "dwell_seconds": events.full_dwell_seconds > 0,
        "propensity": events.max_propensity_weight > 0,
        "shown_at": events.recency_half_life_hours > 0,
    }
    return ["surface", "position", "clicked", *(name for name, wanted in extra.items() if wanted)]


def place_sums(table: pa.Table, day: date, events: EventSettings) -> pa.RecordBatch:
    """Sums of importance and of importance x reward by place (PLACE_SUMS), in units of 2^-20."""
    places, place_N = _places(table)
    importance_N, reward_N = _importance(table, day, events), _reward(table, events)
    weight_N = np.rint(importance_N * UNIT)
    gained_N = np.rint(importance_N * reward_N * UNIT)
    columns = [pa.array([place[number] for place in places], kind) for number, kind in enumerate((pa.string(), pa.int64()))]
    columns += [pa.array(_sums(values, place_N, len(places))) for values in (weight_N, gained_N)]
    return pa.RecordBatch.from_arrays(columns, schema=PLACE_SUMS)


def rates_of(sums: Mapping[Place, tuple[int, int]]) -> dict[Place, float]:
    """Expected reward of each place of one day, from whole sums of importance and importance x reward.

    >>> rates_of({("home", 0): (300 << 20, 60 << 20), ("home", 1): (100 << 20, 0)})[("home", 1)]
    0.075
    """
    importance = sum(shown for shown, _ in sums.values()) / UNIT
    overall = RATE_PRIOR_IMPRESSIONS * (sum(gained for _, gained in sums.values()) / UNIT) / importance if importance else 0.0
    return {
        place: (gained / UNIT + overall) / (shown / UNIT + RATE_PRIOR_IMPRESSIONS) for place, (shown, gained) in sums.items()
    }


def weigh(table: pa.Table, day: date, events: EventSettings, rates: Mapping[Place, float]) -> Weighed:
    """Residual and information of each row. KeyError where a row's place is not among the day's ``rates``."""
    places, place_N = _places(table)
    rate_N = np.array([rates[place] for place in places], dtype=np.float64)[place_N]
    click_N = _clicks(table)
    if events == EventSettings():  # two values of each per place: looked up instead of computed
        return Weighed(residual_N=_rounded(click_N - rate_N), information_N=_rounded(rate_N * (1.0 - rate_N)), click_N=click_N)
    importance_N, reward_N = _importance(table, day, events), _reward(table, events)
    return Weighed(
        residual_N=_rounded(importance_N * (reward_N - rate_N)),
        information_N=_rounded(importance_N * rate_N * (1.0 - rate_N)),
        click_N=click_N,
    )


def _importance(table: pa.Table, day: date, events: EventSettings) -> Floats:
    importance_N = np.where(_clicks(table) == 1, events.click_weight, events.skip_weight)
    if events.position_discount > 0:
        importance_N = importance_N * (1.0 + np.maximum(_positions(table), 0)) ** -events.position_discount
    if events.recency_half_life_hours > 0:
        end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
        shown_N = table["shown_at"].cast(pa.int64()).fill_null(int(end.timestamp() * 1e3)).to_numpy()
        hours_N = np.maximum(end.timestamp() * 1e3 - shown_N, 0.0) / 3.6e6
        importance_N = importance_N * 0.5 ** (hours_N / events.recency_half_life_hours)
    if events.max_propensity_weight > 0:
        propensity_N = np.maximum(table["propensity"].fill_null(1.0).to_numpy(), 1e-9)
        importance_N = importance_N * np.minimum(1.0 / propensity_N, events.max_propensity_weight)
    return np.asarray(importance_N, dtype=np.float64)


def _reward(table: pa.Table, events: EventSettings) -> Floats:
    click_N = _clicks(table).astype(np.float64)
    if events.full_dwell_seconds <= 0:
        return click_N
    dwell_N = table["dwell_seconds"].fill_null(events.full_dwell_seconds).to_numpy()
    share_N = np.clip(dwell_N / events.full_dwell_seconds, 0.0, 1.0)
    return np.asarray(click_N * (events.least_dwell_reward + (1.0 - events.least_dwell_reward) * share_N))


def _clicks(table: pa.Table) -> Ints:
    return numbers_of(table["clicked"], 0)


def _positions(table: pa.Table) -> Ints:
    return numbers_of(table["position"], -1)


def _places(table: pa.Table) -> tuple[list[Place], NDArray[np.intp]]:
    """The places that occur, and each row's number among them."""
    surfaces = table["surface"].combine_chunks()
    if isinstance(surfaces, pa.ChunkedArray):  # an empty column stays chunked
        surfaces = pa.array([], pa.string())
    encoded = surfaces if pa.types.is_dictionary(surfaces.type) else pc.dictionary_encode(surfaces)
    names = [*(name or "" for name in encoded.dictionary.to_pylist()), ""]
    surface_N = numbers_of(encoded.indices, len(names) - 1)
    position_N = _positions(table)
    low, high = int(position_N.min(initial=0)), int(position_N.max(initial=0))
    width = high - low + 1
    code_N = surface_N * width + (position_N - low)
    if len(names) * width <= 1_000_000:
        seen_P = np.flatnonzero(np.bincount(code_N, minlength=len(names) * width))
        number = np.zeros(len(names) * width, dtype=np.intp)
        number[seen_P] = np.arange(len(seen_P))
        place_N = number[code_N]
    else:
        seen_P, place_N = np.unique(code_N, return_inverse=True)
    places = [(str(names[code // width]), int(code % width) + low) for code in seen_P.tolist()]
    return places, place_N


def _sums(values_N: Floats, place_N: NDArray[np.intp], num_places: int) -> Ints:
    """Exact sums by place: bincount adds doubles, so values go in two halves whose sums stay below 2^53."""
    high_N = np.floor(values_N / UNIT)
    high = np.bincount(place_N, weights=high_N, minlength=num_places).astype(np.int64)
    low = np.bincount(place_N, weights=values_N - high_N * UNIT, minlength=num_places).astype(np.int64)
    return np.asarray((high << WEIGHT_BITS) + low, dtype=np.int64)


def _rounded(values_N: Floats) -> Ints:
    """Nearest multiples of 2^-20, halves away from zero."""
    return np.asarray(np.copysign(np.floor(np.abs(values_N) * UNIT + 0.5), values_N), dtype=np.int64)
