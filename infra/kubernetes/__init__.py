"""Kubernetes objects around the stages' pods: accounts, rights of Airflow's workers, network, settings."""
