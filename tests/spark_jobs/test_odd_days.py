import pytest

from tests.spark_jobs.odd_days import PAGE, page


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_table_of_odd_days_still_holds(spark):
    found = page()
    assert "DIFFERENT" not in found
    assert "NO" not in found.replace("NOT", "")
    assert "ROWS" not in found  # are lost, are twice, are missing from the sums
    assert found == PAGE.read_text()
