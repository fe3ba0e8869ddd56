"""Measurements: each a script that prints ratios and writes its section of RESULTS.md."""
