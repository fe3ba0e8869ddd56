"""ICG, reconstructed: meta tokens, connector, gated refinement by the user vector, and how they are trained."""
