"""The environment that Airflow, Spark and the stages run in: folders, ports, secrets that stay the same from day to day."""

import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from infra.demo.options import REPOSITORY, TOOLS, Options

# Of a surrounding shell: another Spark, another Airflow, another Python would be used instead of the pinned ones.
_FOREIGN = ("AIRFLOW", "ICG_", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "SPARK_", "HADOOP_")


def kept_secret(home: Path, name: str, num_bytes: int) -> str:
    """A random hex secret, made once and kept in a file only its owner reads: another pseudonym key makes users strangers."""
    folder = home / "secrets"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / name
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(handle, "w") as sink:
        sink.write(secrets.token_hex(num_bytes))
    return path.read_text().strip()


def stage_environment(options: Options, store_uri: str, s3: Mapping[str, str]) -> dict[str, str]:
    """What `icg` and spark-submit need. ``s3`` holds the AWS_ variables, empty for a local folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    environment |= {
        "PATH": f"{TOOLS}:{os.environ.get('PATH', '')}",
        "PYSPARK_PYTHON": sys.executable,
        "GX_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "ICG_STORE": store_uri,
        "ICG_WORK_FOLDER": str(options.home / "work" / f"{options.world_name}-{options.store}"),
        "ICG_PSEUDONYM_KEY": os.environ.get("ICG_PSEUDONYM_KEY") or kept_secret(options.home, "pseudonym_key", 32),
        "ICG_PROFILE": os.environ.get("ICG_PROFILE", "tiny"),
        "ICG_SET": " ".join(options.all_settings),
        "ICG_GENERATOR": options.generator,
        "ICG_REUSE": "" if options.fresh else "1",
    }
    java = TOOLS.parent / "icg-java"
    if java.exists():
        environment["JAVA_HOME"] = str(java)
    return environment | dict(s3)


def airflow_environment(options: Options, stages: Mapping[str, str], port: int) -> dict[str, str]:
    """The stages' environment plus Airflow's own. ``port``: where the api-server listens."""
    home = options.home / "airflow"
    home.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}"
    spark_conf = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "2g",
        "spark.sql.warehouse.dir": str(options.home / "work" / "spark-warehouse"),
    }
    return dict(stages) | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "dags" / "icg_plugins"),  # the Covers tab
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__FERNET_KEY": "",
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": kept_secret(options.home, "jwt_secret", 64),
        "AIRFLOW__API__SECRET_KEY": kept_secret(options.home, "api_secret", 32),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=60",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        # What a dead scheduler had begun is taken up within a minute; a server that starts again is waited for, and found soon.
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "60",
        "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "15",
        "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "10",
        "AIRFLOW_CONN_SPARK_DEFAULT": os.environ.get("AIRFLOW_CONN_SPARK_DEFAULT")
        or json.dumps({"conn_type": "spark", "host": "local[2]"}),
        "ICG_SPARK_CONF": os.environ.get("ICG_SPARK_CONF") or json.dumps(spark_conf),
        "ICG_HOUSEKEEPING_SCHEDULE": "",
        "ICG_SCHEDULE": "",  # by hand only: with a schedule, Airflow would start yesterday's run at once
        "ICG_RETRY_DELAY_SECONDS": "5",
    }
