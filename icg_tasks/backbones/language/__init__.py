"""Multimodal language models: one family per file, all listed in ``table``."""
