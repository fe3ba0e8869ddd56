"""What covers are worth to a recommender that reads them: readers and days held out, baselines beside it (ICG, section 5)."""
