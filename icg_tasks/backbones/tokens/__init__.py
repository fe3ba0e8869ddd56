"""Models that write images as discrete tokens: one family per file, all listed in ``table``."""
