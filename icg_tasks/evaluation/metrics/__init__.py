"""Image metrics: plain functions of image batches and feature arrays. For judging alone; no training imports them."""
