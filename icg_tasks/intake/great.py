"""Runs a Great Expectations suite on a frame and keeps its Data Docs as plain HTML in the store.

Pages: ``reports/data_docs/ds=D/<data set>/index.html``, ``expectations/…``, ``validations/…``; links between them are relative,
so they work from a folder too. Does not know what is expected or what a failure means.
"""

import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pandas as pd

from icg_tasks.contracts.partitions import DATA_DOCS, partition_prefix
from icg_tasks.lake.store import ObjectStore

os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")

_SITE = "docs"
_LIMITS = ("min_value", "max_value", "value_set", "regex", "column_list")
_KEPT = re.compile(r"\.html$|/favicon\.ico$")
_REMOTE_LOGO = re.compile(r'<img[^>]*src="https?://[^"]*"[^>]*/?>')
_FAVICON = re.compile(r'href="[./]*static/images/favicon\.ico"')


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
    store: ObjectStore, dataset: str, day: date, frame: pd.DataFrame, expectations: Sequence[Any]
) -> tuple[list[Finding], str]:
    """Findings in suite order, and the store key of the Data Docs' first page."""
    import great_expectations as gx
    from great_expectations.core.run_identifier import RunIdentifier

    with tempfile.TemporaryDirectory() as scratch:
        context = gx.get_context(mode="ephemeral")
        for name in list(context.get_site_names()):
            context.delete_data_docs_site(name)
        context.add_data_docs_site(site_name=_SITE, site_config=_site(Path(scratch)))
        context.variables.progress_bars = {"globally": False}
        asset = context.data_sources.add_pandas("clean").add_dataframe_asset(dataset)
        batch = asset.add_batch_definition_whole_dataframe(day.isoformat())
        suite = context.suites.add(gx.ExpectationSuite(name=dataset, expectations=list(expectations)))
        definition = context.validation_definitions.add(gx.ValidationDefinition(name=dataset, data=batch, suite=suite))
        run_id = RunIdentifier(run_name=day.isoformat(), run_time=datetime.combine(day, time(), UTC))
        result = context.checkpoints.add(gx.Checkpoint(name=dataset, validation_definitions=[definition])).run(
            batch_parameters={"dataframe": frame}, run_id=run_id
        )
        context.build_data_docs()
        index = _keep_docs(store, dataset, day, Path(scratch))
    return [_finding(entry) for validation in result.run_results.values() for entry in validation.results], index


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
        store.put(f"{prefix}/{name}", _mended(name, data.decode(), sorted(kept)).encode() if name.endswith(".html") else data)
    for key in list(store.list(f"{prefix}/")):
        if key[len(prefix) + 1 :] not in kept:
            store.delete(key)
    return f"{prefix}/index.html"


def _mended(name: str, text: str, names: Sequence[str]) -> str:
    """Links that work without a server or a network: the index names its pages outright (its own table needs scripts from
    elsewhere), the icon's path fits the page's depth, the remote logo goes.
    """
    text = _REMOTE_LOGO.sub("", text)
    text = _FAVICON.sub(f'href="{"../" * name.count("/")}static/images/favicon.ico"', text)
    if name != "index.html":
        return text
    links = "".join(f'<li><a href="{page}">{page}</a></li>' for page in names if page.endswith(".html") and page != name)
    return text.replace("<body>", f'<body><ul class="pages">{links}</ul>', 1)
