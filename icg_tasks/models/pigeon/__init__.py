"""Pigeon: history and reference masks, masked preference reconstruction, pairwise preference alignment, over image codes."""
