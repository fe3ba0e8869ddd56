"""What a source of outside data hands over: raw data sets of a window of days, as ``icg ingest`` writes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class OutsideData:
    """``items``: one snapshot (schema RAW_ITEMS) for every day; ``impressions``: rows by day of arrival (RAW_IMPRESSIONS).

    ``images``: key below raw/images/ → file; ``provenance``: JSON that goes into every partition's metadata, free of clocks;
    ``attribution``: licences and credits, printed on every ingest; ``counts``: whole numbers for the closing line.
    """

    items: pa.Table
    impressions: Mapping[date, pa.Table]
    images: Mapping[str, Path]
    provenance: Mapping[str, Any]
    attribution: str
    counts: Mapping[str, int]
