"""`make demo`: one whole day through a real, headless Airflow, from nothing to a report page."""
