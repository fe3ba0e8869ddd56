"""The fixtures of tests/features, for the jobs that use those functions."""

from tests.features.conftest import encoder_folder, spark, store

__all__ = ["encoder_folder", "spark", "store"]
