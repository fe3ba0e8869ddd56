"""Outside formats, one file each; ``icg_tasks.intake.ingest`` names them in one table."""
