"""One way to a Spark session: local by default, a cluster by ``spark.master`` or by spark-submit's own flags.

Knows Spark and its settings; no data set.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PySparkException, PySparkRuntimeError
from pyspark.sql import SparkSession

from icg_tasks.config.settings import SparkSettings
from icg_tasks.contracts.errors import IcgError

_NAMED = re.compile(r"^(Caused by: )?([\w$]+\.)*[A-Z]\w+: ")
_RECORDS_PER_BATCH = 4_096
_BYTES_PER_BATCH = 64 * 1024**2  # blocks of user_blocks are rows of a few MB
_LOOPBACK = "127.0.0.1"
_SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""A stage on one machine lasts seconds: without the optimising compiler the JVM needs two fifths less processor time."""


@contextmanager
def spark_session(settings: SparkSettings, name: str) -> Iterator[SparkSession]:
    """The process's Spark session; one that this call started is stopped at the end, a former one is left alone.

    Under spark-submit the master is what spark-submit was told. Raises IcgError where Java or Spark fails, with the cause.
    """
    former = _running()
    session = former
    try:
        session = former or _started(settings, name)
        yield session
    except Py4JJavaError as error:
        raise IcgError(
            f"Spark failed in {name}: {_cause(str(error.java_exception))}; its log above has the whole story"
        ) from error
    except (PySparkException, Py4JError) as error:
        raise IcgError(f"Spark failed in {name}: {_cause(str(error))}") from error
    finally:
        if session is not None and former is None:
            session.stop()


def _running() -> SparkSession | None:
    """The process's session, whichever thread started it."""
    try:
        return SparkSession.active()
    except PySparkRuntimeError:
        return None


def is_local(session: SparkSession) -> bool:
    """Whether executors run in this process's machine and see its disk."""
    return str(session.sparkContext.master).startswith("local")


def _started(settings: SparkSettings, name: str) -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    carried = Path(sys.prefix) / "icg-java"
    if carried.exists():
        os.environ.setdefault("JAVA_HOME", str(carried))
    builder = (
        SparkSession.builder.appName(name)
        .config("spark.sql.shuffle.partitions", settings.shuffle_partitions)
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.adaptive.enabled", "false")  # its partition counts follow sizes, ours are part of the result
        .config("spark.sql.autoBroadcastJoinThreshold", "-1")  # it knows files' sizes, not what they unfold to: we say which
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", _RECORDS_PER_BATCH)
        .config("spark.sql.execution.arrow.maxBytesPerBatch", _BYTES_PER_BATCH)
        .config("spark.sql.warehouse.dir", str(Path(tempfile.gettempdir()) / "icg-spark-warehouse"))
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.executorEnv.OMP_NUM_THREADS", "1")
    )
    if "PYSPARK_GATEWAY_PORT" not in os.environ:  # spark-submit has decided master and memory already
        builder = builder.master(settings.master).config("spark.driver.memory", settings.driver_memory)
        if settings.master.startswith("local"):
            builder = builder.config("spark.driver.host", _LOOPBACK).config("spark.driver.bindAddress", _LOOPBACK)
            builder = builder.config("spark.driver.extraJavaOptions", _SHORT_LIVED)
    try:
        session = builder.getOrCreate()
    except (PySparkException, FileNotFoundError) as error:
        raise IcgError(
            f"Spark does not start ({_cause(str(error))}); it needs Java 17 or newer: set JAVA_HOME, or run `make setup`"
        ) from error
    session.sparkContext.setLogLevel("ERROR")
    return session


def _cause(text: str) -> str:
    """The first line and, where there is one, the line that names the innermost exception, at a readable length.

    >>> _cause("Job aborted: \\nTraceback (most recent call last):\\n  File x\\nValueError: no\\n\\tat org.apache.Spark")
    'Job aborted: | ValueError: no'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines[1:] if _NAMED.match(line)]
    return " | ".join(line[:400] for line in [*lines[:1], *named[-1:]])
