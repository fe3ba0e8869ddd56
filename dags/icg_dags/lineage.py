"""What OpenLineage is told of a stage: the data sets it reads and writes, their schemas, and how many rows it wrote.

Airflow's provider asks operators for it and sends it where Airflow's configuration says (docs/operating.md); without a
transport nobody asks. Names follow OpenLineage's rules for object stores and folders, so that the lineage of whoever writes
``raw/`` and of whoever reads covers joins ours. Knows contracts alone; what is heavy is imported when a task runs.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from icg_dags.data_sets import DataSet

NOWHERE = "icg-covers"
"""Namespace where the worker is not told the store."""


class TellsLineage:
    """For operators of stages: answers the provider. ``closing`` is the stage's closing line once it has ended well."""

    stage: str
    run_date: str
    settings: str
    closing: dict[str, Any] | None = None

    def get_openlineage_facets_on_start(self) -> "OperatorLineage[Any, Any]":
        """What it is going to read and write."""
        return lineage_of(self.stage, str(self.run_date), store_uri(self.settings, os.environ), {})

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> "OperatorLineage[Any, Any]":
        """What it has read and written; nothing where it was skipped."""
        if self.closing is None:
            from airflow.providers.openlineage.extractors import OperatorLineage

            return OperatorLineage()
        return lineage_of(self.stage, str(self.run_date), store_uri(self.settings, os.environ), self.closing)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> "OperatorLineage[Any, Any]":
        """What it was reading; a partition is seen whole or not at all, so nothing was written."""
        found = self.get_openlineage_facets_on_start()
        found.outputs = []
        return found


def lineage_of(stage: str, run_date: str, uri: str, line: Mapping[str, Any]) -> "OperatorLineage[Any, Any]":
    """Of one run of a stage. ``line``: its closing line, empty before there is one."""
    from airflow.providers.openlineage.extractors import OperatorLineage

    from icg_dags.data_sets import FLOWS

    flow, names = FLOWS[stage], [entry.name for entry in FLOWS[stage].writes]
    found: OperatorLineage[Any, Any] = OperatorLineage()
    for entry in flow.reads:
        found.inputs.append(_input(uri, entry, f"/ds={run_date}" if entry.by_day else "", _count(line, entry)))
    for entry in flow.writes:
        for part in partitions_written(entry, run_date, line.get("outputs", ()), names):
            found.outputs.append(_output(uri, entry, part, _count(line, entry) if part == f"/ds={run_date}" else None))
    return found


def partitions_written(entry: "DataSet", run_date: str, outputs: Iterable[str], names: list[str]) -> list[str]:
    """What stands behind a data set's name for each of its partitions among a closing line's outputs; else the run date's.

    >>> from icg_dags.data_sets import DataSet
    >>> outputs = ["clean/items/ds=2026-03-09", "clean/items/ds=2026-03-10", "reports/data_docs/ds=2026-03-10/items/index.html"]
    >>> partitions_written(DataSet(name="clean/items"), "2026-03-10", outputs, ["clean/items"])
    ['/ds=2026-03-09', '/ds=2026-03-10']
    >>> partitions_written(DataSet(name="models/adapter", by_day=False), "2026-03-10", outputs, ["models/adapter"])
    ['']
    """
    from icg_dags.data_sets import data_set_of

    if not entry.by_day:
        return [""]
    mine = [key.removeprefix(entry.name) for key in outputs if data_set_of(key, names) == entry.name]
    cut = {f"{before}/ds={behind[:10]}" for before, found, behind in (key.partition("/ds=") for key in mine) if found}
    return sorted(cut) or [f"/ds={run_date}"]


def store_uri(settings: str, environ: Mapping[str, str]) -> str:
    """The store of this run as the worker knows it: the run's settings, ``ICG_SET``, ``ICG_STORE``; empty where none says.

    >>> store_uri("covers.steps=4 store=s3://bucket/other", {"ICG_STORE": "s3://bucket/covers"})
    's3://bucket/other'
    """
    words = [*environ.get("ICG_SET", "").split(), *str(settings).split()]
    said = [word.removeprefix("store=") for word in words if word.startswith("store=")]
    return said[-1] if said else environ.get("ICG_STORE", "")


def place_of(uri: str) -> tuple[str, str]:
    """Namespace and the beginning of names of what lies in a store, as OpenLineage spells them.

    >>> place_of("s3://bucket/covers"), place_of("file:///data/store"), place_of("")
    (('s3://bucket', 'covers/'), ('file', '/data/store/'), ('icg-covers', ''))
    """
    if not uri:
        return NOWHERE, ""
    parts = urlsplit(uri)
    if parts.scheme in {"", "file"}:
        return "file", f"{Path(parts.path).absolute()}/"
    folder = parts.path.strip("/")
    return f"{parts.scheme}://{parts.netloc}", f"{folder}/" if folder else ""


def _input(uri: str, entry: "DataSet", part: str, rows: int | None) -> Any:
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import input_statistics_input_dataset as statistics

    namespace, name, facets = _described(uri, entry.name, part)
    told = {} if rows is None else {"inputStatistics": statistics.InputStatisticsInputDatasetFacet(rowCount=rows)}
    return InputDataset(namespace=namespace, name=name, facets=facets, inputFacets={**told})


def _output(uri: str, entry: "DataSet", part: str, rows: int | None) -> Any:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

    namespace, name, facets = _described(uri, entry.name, part)
    told = {} if rows is None else {"outputStatistics": statistics.OutputStatisticsOutputDatasetFacet(rowCount=rows)}
    return OutputDataset(namespace=namespace, name=name, facets=facets, outputFacets={**told})


def _described(uri: str, data_set: str, part: str) -> tuple[str, str, dict[str, Any]]:
    """Namespace, name and facets: columns by contract, and of a partition the data set it is one of."""
    from openlineage.client.facet_v2 import schema_dataset, symlinks_dataset

    from icg_dags.data_sets import SCHEMAS

    namespace, before = place_of(uri)
    facets: dict[str, Any] = {}
    if data_set in SCHEMAS:
        columns = [
            schema_dataset.SchemaDatasetFacetFields(name=field.name, type=str(field.type)) for field in SCHEMAS[data_set]
        ]
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields=columns)
    if part:
        whole = symlinks_dataset.Identifier(namespace=namespace, name=f"{before}{data_set}", type="TABLE")
        facets["symlinks"] = symlinks_dataset.SymlinksDatasetFacet(identifiers=[whole])
    return namespace, f"{before}{data_set}{part}", facets


def _count(line: Mapping[str, Any], entry: "DataSet") -> int | None:
    return line.get("counts", {}).get(entry.rows) if entry.rows else None
