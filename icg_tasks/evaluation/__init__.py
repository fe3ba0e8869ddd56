"""What the day's covers are worth: arms by metrics with intervals, and the page that shows it.

``world_truth`` and ``world_judge`` alone know the embedded world; everything else works on any data.
"""
