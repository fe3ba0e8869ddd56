"""Clean rows as a Spark DataFrame, for suites on days too large for pandas.

The rows travel as one Parquet file on local disk. Uses the process's Spark session where there is one, else starts a small one
and stops it. Does not know what is expected.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from icg_tasks.config.settings import SparkSettings
from icg_tasks.contracts.errors import IcgError

_ROWS_PER_GROUP = 250_000


@contextmanager
def spark_frame(table: pa.Table, settings: SparkSettings) -> Iterator[Any]:
    """The table as a DataFrame; raises IcgError where Spark does not start or fails."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    former = SparkSession.getActiveSession()
    session = former
    with tempfile.TemporaryDirectory(prefix="icg-suite-") as folder:
        path = Path(folder) / "clean.parquet"
        pq.write_table(table, path, row_group_size=_ROWS_PER_GROUP)
        try:
            session = former or _started(settings, SparkSession)
            yield session.read.parquet(str(path))
        except (PySparkException, Py4JError, FileNotFoundError) as error:
            raise IcgError(
                f"Great Expectations on Spark failed: {str(error)[:400]}; it needs Java 17 or newer (make setup), or "
                "--set intake.engine=pandas where the day fits into memory"
            ) from error
        finally:
            if session is not None and former is None:
                session.stop()


def _started(settings: SparkSettings, kind: Any) -> Any:
    """A session on this machine: the file lies on its disk."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    carried = Path(sys.prefix) / "icg-java"
    if carried.exists():
        os.environ.setdefault("JAVA_HOME", str(carried))
    master = settings.master if settings.master.startswith("local") else "local[*]"
    session = (
        kind.builder.appName("validate")
        .master(master)
        .config("spark.driver.memory", settings.driver_memory)
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")  # it lives for a minute
        .config("spark.sql.adaptive.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", settings.shuffle_partitions)
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    return session
