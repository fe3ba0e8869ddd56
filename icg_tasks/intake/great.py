"""Runs a Great Expectations suite on clean rows, on pandas or on Spark, and keeps its Data Docs as plain HTML in the store.

Pages: ``reports/data_docs/ds=D/<data set>/index.html``, ``expectations/…``, ``validations/…``; links between them are relative
and nothing is loaded from elsewhere, so they work from a folder too. Does not know what is expected or what a failure means.
"""

import importlib
import os
import re
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa

from icg_tasks.config.intake import IntakeSettings
from icg_tasks.config.settings import SparkSettings
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.contracts.partitions import DATA_DOCS, partition_prefix
from icg_tasks.intake.great_pages import standing_alone
from icg_tasks.lake.store import ObjectStore

os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")

_SITE = "docs"
_LIMITS = ("min_value", "max_value", "value_set", "regex", "column_list")
_KEPT = re.compile(r"\.html$|/favicon\.ico$")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One expectation's outcome: what was asked of which column, what was seen."""

    label: str
    column: str
    success: bool
    critical: bool
    observed: str
    limit: str
    advice: str


def run_suite(
    store: ObjectStore,
    dataset: str,
    day: date,
    table: pa.Table,
    expectations: Sequence[Any],
    *,
    version: int,
    spark: SparkSettings | None = None,
) -> tuple[list[Finding], str]:
    """Findings in suite order, and the store key of the Data Docs' first page. On Spark where ``spark`` says how."""
    if spark is None:
        with _arrow_strings():
            return _run(store, dataset, day, _pandas_frame(table, expectations), expectations, version=version, engine="pandas")
    from icg_tasks.intake.great_spark import spark_frame

    with spark_frame(table, spark) as frame:
        return _run(store, dataset, day, frame, expectations, version=version, engine="spark")


def on_spark(settings: IntakeSettings, rows: int) -> bool:
    """Which engine judges a day of so many rows; raises SettingsError.

    >>> on_spark(IntakeSettings(), 1_000), on_spark(IntakeSettings(), 50_000_000), on_spark(IntakeSettings(engine="spark"), 1)
    (False, True, True)
    """
    if settings.engine not in {"auto", "pandas", "spark"}:
        raise SettingsError(f"intake.engine={settings.engine!r}: expected auto, pandas or spark")
    return settings.engine == "spark" or (settings.engine == "auto" and rows >= settings.spark_rows)


def _arrow_strings() -> AbstractContextManager[None]:
    """Texts stay in Arrow, and patterns are matched there: Great Expectations' own way makes a Python object per value."""
    import pandas as pd

    found: AbstractContextManager[None] = pd.option_context("future.infer_string", True)
    return found


def _pandas_frame(table: pa.Table, expectations: Sequence[Any]) -> Any:
    """The rows for pandas: texts of a set as categories, so that each is looked at once; whole numbers as 64 bits, since bounds
    of narrower ones are compared value by value in Python.
    """
    sets = {one.column for one in expectations if one.expectation_type == "expect_column_values_to_be_in_set"}
    columns = {}
    for name in table.schema.names:
        column = table.column(name)
        if pa.types.is_string(column.type) and name in sets:
            columns[name] = column.dictionary_encode()
        else:
            columns[name] = column.cast(pa.int64()) if pa.types.is_integer(column.type) else column
    return pa.table(columns).to_pandas()


def _run(
    store: ObjectStore, dataset: str, day: date, frame: Any, expectations: Sequence[Any], *, version: int, engine: str
) -> tuple[list[Finding], str]:
    import great_expectations as gx
    from great_expectations.core.run_identifier import RunIdentifier

    importlib.import_module("icg_tasks.intake.great_columns")  # which tells Great Expectations of add_pandas_columns
    with tempfile.TemporaryDirectory() as scratch:
        context = gx.get_context(mode="ephemeral")
        for name in list(context.get_site_names()):
            context.delete_data_docs_site(name)
        context.add_data_docs_site(site_name=_SITE, site_config=_site(Path(scratch)))
        context.variables.progress_bars = {"globally": False}
        sources = context.data_sources
        source = sources.add_pandas_columns("clean") if engine == "pandas" else sources.add_spark("clean", persist=False)
        batch = source.add_dataframe_asset(dataset).add_batch_definition_whole_dataframe(day.isoformat())
        made = gx.ExpectationSuite(name=dataset, expectations=list(expectations), meta={"version": version})
        suite = context.suites.add(made)
        places = {expectation.id: place for place, expectation in enumerate(suite.expectations)}
        definition = context.validation_definitions.add(gx.ValidationDefinition(name=dataset, data=batch, suite=suite))
        run_id = RunIdentifier(run_name=day.isoformat(), run_time=datetime.combine(day, time(), UTC))
        result = context.checkpoints.add(gx.Checkpoint(name=dataset, validation_definitions=[definition])).run(
            batch_parameters={"dataframe": frame}, run_id=run_id
        )
        context.build_data_docs()
        index = _keep_docs(store, dataset, day, Path(scratch))
    (validation,) = result.run_results.values()
    ordered = sorted(validation.results, key=lambda entry: places.get(entry.expectation_config.id, len(places)))
    return [_finding(entry) for entry in ordered], index


def _site(folder: Path) -> dict[str, Any]:
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
    }


def _finding(entry: Any) -> Finding:
    config = entry.expectation_config
    meta = config.meta or {}
    limits = {name: config.kwargs[name] for name in _LIMITS if name in config.kwargs}
    return Finding(
        label=str(meta.get("label", config.type)),
        column=str(config.kwargs.get("column", "")),
        success=bool(entry.success),
        critical=str(getattr(config.severity, "value", config.severity)) == "critical",
        observed=_observed(entry),
        limit=", ".join(f"{name}={value}" for name, value in limits.items()),
        advice=str(meta.get("advice", "")),
    )


def _observed(entry: Any) -> str:
    result = entry.result or {}
    if result.get("observed_value") is not None:
        return str(result["observed_value"])
    if "unexpected_count" in result:
        examples = result.get("partial_unexpected_list", [])[:3]
        return f"{result['unexpected_count']} of {result.get('element_count')} values fail, for example {examples}"
    raised = entry.exception_info if isinstance(entry.exception_info, dict) else {}
    return str(raised.get("exception_message") or raised or "nothing")[:300]


def _keep_docs(store: ObjectStore, dataset: str, day: date, folder: Path) -> str:
    """Copy the pages into the store (only what they link to), replacing those of an earlier run."""
    prefix = f"{partition_prefix(DATA_DOCS, day)}/{dataset}"
    pages = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    kept = {name: path for name, path in pages.items() if _KEPT.search(name)}
    for name, path in kept.items():
        data = path.read_bytes()
        store.put(
            f"{prefix}/{name}", standing_alone(name, data.decode(), sorted(kept)).encode() if name.endswith(".html") else data
        )
    for key in list(store.list(f"{prefix}/")):
        if key[len(prefix) + 1 :] not in kept:
            store.delete(key)
    return f"{prefix}/index.html"
