"""What the Dags are built from: run date, operators, stage factories. Imports Airflow and icg_tasks.contracts only."""
