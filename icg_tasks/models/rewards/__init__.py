"""Rewards: plain functions of images and a context, one file each, listed in ``table.REWARDS``."""
