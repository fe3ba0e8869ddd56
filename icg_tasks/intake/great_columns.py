"""Great Expectations on pandas, a column at a time: its own engine copies every column of the frame to look at one.

On ten million rows that, a fingerprint of the frame which nothing here reads, and a mean that looks at each value in Python
take most of a suite's time. What is expected and what is found stay the same. Imports Great Expectations (seconds).
"""

from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

import pandas as pd
from great_expectations.core.batch import BatchMarkers
from great_expectations.datasource.fluent import PandasDatasource
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.execution_engine.pandas_batch_data import PandasBatchData
from great_expectations.expectations.metrics.column_aggregate_metric_provider import (
    ColumnAggregateMetricProvider,
    column_aggregate_value,
)


class ColumnEngine(PandasExecutionEngine):  # type: ignore[misc]  # the library comes without types
    """Metrics of one column see that column alone. Takes frames only."""

    def get_batch_data_and_markers(self, batch_spec: Any) -> tuple[Any, Any]:
        """The frame as it came; no fingerprint among the markers."""
        frame, batch_spec.batch_data = batch_spec.batch_data, "PandasDataFrame"
        loaded = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        return PandasBatchData(execution_engine=self, dataframe=frame), BatchMarkers({"ge_load_time": loaded})

    def get_domain_records(self, domain_kwargs: dict[str, Any]) -> pd.DataFrame:
        """The rows a metric asks for."""
        records = super().get_domain_records(domain_kwargs)
        return records[[domain_kwargs["column"]]] if "column" in domain_kwargs else records


class ColumnDatasource(PandasDatasource):  # type: ignore[misc]
    """``context.data_sources.add_pandas_columns``."""

    type: Literal["pandas_columns"] = "pandas_columns"
    execution_engine_override: ClassVar[Any] = ColumnEngine


class ColumnMean(ColumnAggregateMetricProvider):  # type: ignore[misc]
    """The mean of numbers; Great Expectations first asks each value whether it is a Decimal, which no column here holds."""

    metric_name = "column.mean"

    @column_aggregate_value(engine=ColumnEngine)  # type: ignore[untyped-decorator]
    def _pandas(self, column: pd.Series, **_kwargs: Any) -> Any:
        return column.mean()
