"""Images: which there are, and the commands that build them."""
