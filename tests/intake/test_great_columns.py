"""The engine that looks at one column at a time finds what Great Expectations' own engine finds."""

from typing import Any

import great_expectations as gx
import numpy as np
import pandas as pd
import pytest
from great_expectations import expectations as gxe
from great_expectations.expectations.metrics.column_aggregate_metrics.column_mean import ColumnMean as TheirMean

from icg_tasks.intake.great_columns import ColumnEngine, ColumnMean

FRAME = pd.DataFrame(
    {
        "name": ["a", "b", "b", None, "ccc"],
        "number": [1.0, 2.0, np.nan, 4.0, 5.0],
        "other": [1, 0, 1, 1, 0],
    }
)


def suite() -> list[Any]:
    return [
        gxe.ExpectTableColumnsToMatchOrderedList(column_list=["name", "number", "other"]),
        gxe.ExpectTableRowCountToBeBetween(min_value=1, max_value=4),
        gxe.ExpectColumnValuesToNotBeNull(column="name"),
        gxe.ExpectColumnValuesToBeUnique(column="name"),
        gxe.ExpectColumnValuesToMatchRegex(column="name", regex="^[ab]$"),
        gxe.ExpectColumnValueLengthsToBeBetween(column="name", min_value=1, max_value=2),
        gxe.ExpectColumnValuesToBeBetween(column="number", min_value=2, max_value=4, strict_min=True),
        gxe.ExpectColumnValuesToBeInSet(column="other", value_set=[1]),
        gxe.ExpectColumnMeanToBeBetween(column="number", min_value=2.9, max_value=3.1),
        gxe.ExpectColumnMeanToBeBetween(column="other", min_value=0.7, max_value=0.8),
        gxe.ExpectColumnPairValuesToBeEqual(column_A="number", column_B="other", ignore_row_if="either_value_is_missing"),
    ]


def results(kind: str, frame: pd.DataFrame) -> list[Any]:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = getattr(context.data_sources, f"add_{kind}")("x")
    batch = source.add_dataframe_asset("x").add_batch_definition_whole_dataframe("x").get_batch({"dataframe": frame})
    found = batch.validate(gx.ExpectationSuite(name="x", expectations=suite()))
    return [(one.success, one.result, one.exception_info["raised_exception"]) for one in found.results]


@pytest.mark.parametrize("rows", [5, 2, 0])
def test_it_finds_what_the_library_finds(rows):
    ours, theirs = results("pandas_columns", FRAME.head(rows)), results("pandas", FRAME.head(rows))
    assert str(ours) == str(theirs)
    if rows == 5:
        assert {success for success, _, _ in ours} == {True, False}
        assert not any(raised for _, _, raised in ours)


def test_a_metric_of_one_column_sees_that_column():
    engine = ColumnEngine(batch_data_dict={"x": FRAME})
    assert list(engine.get_domain_records({"batch_id": "x", "column": "number"})) == ["number"]
    assert list(engine.get_domain_records({"batch_id": "x"})) == list(FRAME)


def test_the_librarys_own_engine_keeps_its_mean():
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.expectations.registry import get_metric_provider

    own = get_metric_provider("column.mean", PandasExecutionEngine(batch_data_dict={"x": FRAME}))
    ours = get_metric_provider("column.mean", ColumnEngine(batch_data_dict={"x": FRAME}))
    assert own[0] is TheirMean
    assert ours[0] is ColumnMean
