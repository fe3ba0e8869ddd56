"""What trainings share: checkpoints that survive a kill, averaged weights, running normalisation."""
