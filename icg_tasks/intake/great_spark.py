"""Clean rows as a Spark DataFrame, for suites on days too large for pandas.

The rows travel as one Parquet file on local disk. Uses the process's Spark session where there is one, else starts one on this
machine and stops it. Does not know what is expected.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from icg_tasks.config.settings import SparkSettings
from icg_tasks.contracts.errors import IcgError
from icg_tasks.spark_session import spark_session

_ROWS_PER_GROUP = 250_000


@contextmanager
def spark_frame(table: pa.Table, settings: SparkSettings) -> Iterator[Any]:
    """The table as a DataFrame; raises IcgError where Spark does not start or fails."""
    here = settings if settings.master.startswith("local") else replace(settings, master="local[*]")  # the file lies here
    with tempfile.TemporaryDirectory(prefix="icg-suite-") as folder:
        path = Path(folder) / "clean.parquet"
        pq.write_table(table, path, row_group_size=_ROWS_PER_GROUP)
        try:
            with spark_session(here, "validation-suite") as spark:
                yield spark.read.parquet(str(path))
        except IcgError as error:
            raise IcgError(f"{error}; or set intake.engine=pandas where the day fits into memory") from error
