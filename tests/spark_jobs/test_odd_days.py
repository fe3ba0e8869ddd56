import pytest

from tests.spark_jobs.odd_days import PAGE, page


@pytest.mark.slow
def test_the_table_of_odd_days_still_holds(spark):
    found = page()
    assert "DIFFERENT" not in found
    assert "NO" not in found.replace("NOT", "")
    assert found == PAGE.read_text()
