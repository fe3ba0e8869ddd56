"""ICG Covers: personalised cover images, produced in a daily batch. Never imports Airflow."""

__version__ = "0.1.0"
