"""The preference model: would this user click this cover? Trained daily, judged on users it never saw, gated, exported."""
