"""What learns: preference, rewards, ICG, Pigeon, and their training loops."""
