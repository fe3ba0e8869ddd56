"""Typed settings. ``load_settings(profile, overrides)`` is the one door; a profile is a function returning all of them."""

from icg_tasks.config.load import load_settings
from icg_tasks.config.settings import Settings

__all__ = ["Settings", "load_settings"]
