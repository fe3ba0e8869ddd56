"""Entry points for spark-submit and the icg command: read partitions, call icg_tasks.features, write partitions."""
