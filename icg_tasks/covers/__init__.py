"""What goes out: plan, make, check and publish covers, and the reader that a recommender uses."""
