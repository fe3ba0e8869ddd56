"""The `icg` command as a person or Airflow meets it: fast, one JSON line on stdout, exit codes, errors in plain words."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from icg_tasks import cli
from icg_tasks.contracts.errors import GateRefused, Interrupted
from icg_tasks.contracts.stages import StageOutcome

SMALL = "world.num_users=60 world.num_items=12 world.new_items_per_day=1 world.impressions_per_day=300"


def icg(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "icg_tasks.cli", *words],
        env=os.environ | environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_help_names_every_stage_and_loads_nothing_heavy():
    """Half a second of processor time; what is loaded is checked by name, so that a busy machine does not count."""
    code = """
import json, sys, time
started = time.process_time()
from icg_tasks.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
loaded = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"seconds": time.process_time() - started, "loaded": loaded}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["seconds"] < 0.5
    heavy = {
        "torch",
        "numpy",
        "pandas",
        "pyarrow",
        "boto3",
        "pyspark",
        "great_expectations",
        "transformers",
        "diffusers",
        "PIL",
    }
    assert heavy.isdisjoint(found["loaded"])
    for stage in cli.STAGES:
        assert stage in done.stdout


@pytest.mark.parametrize("stage", sorted(cli.STAGES))
def test_every_stage_in_the_table_has_a_module_with_a_run_function(stage):
    module = cli.STAGES[stage].module
    path = Path(cli.__file__).resolve().parents[1] / (module.replace(".", "/") + ".py")
    assert path.is_file(), f"{stage} names {module}, which does not exist"
    assert "def run(context: StageContext) -> StageOutcome:" in path.read_text()


def test_stage_prints_one_json_line_and_keeps_it_in_the_store(tmp_path):
    done = icg("simulate", "--run-date", "2026-03-10", ICG_STORE=str(tmp_path), ICG_SET=SMALL)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    line = json.loads(done.stdout)
    assert list(line) == ["stage", "run_date", "seconds", "outputs", "counts", "figures"]
    assert line["run_date"] == "2026-03-10"
    assert (tmp_path / "runs/ds=2026-03-10/simulate.json").read_text() == done.stdout.strip()
    assert done.stderr, "progress belongs on stderr"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["simulate", "--run-date", "2026-03-10", "--set", "world.sead=1"], "no setting 'sead'"),
        (["simulate", "--run-date", "2026-03-10", "--profile", "huge"], "unknown profile"),
        (["simulate", "--run-date", "10.03.2026"], "--run-date"),
        (["simulate"], "--run-date"),
        (["no-such-stage", "--run-date", "2026-03-10"], "no-such-stage"),
    ],
)
def test_wrong_words_exit_2_and_say_which(words, says, tmp_path):
    done = icg(*words, ICG_STORE=str(tmp_path))
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(("error", "code"), [(GateRefused("too many bad rows"), 3), (Interrupted("saved at step 20"), 75)])
def test_refusal_and_interruption_have_exit_codes_of_their_own(error, code, tmp_path, monkeypatch, capsys):
    class Module:
        @staticmethod
        def run(context):
            raise error

    monkeypatch.setattr(cli.importlib, "import_module", lambda name: Module)
    monkeypatch.setenv("ICG_STORE", str(tmp_path))
    assert cli.main(["report", "--run-date", "2026-03-10"]) == code
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.strip() == f"icg: {error}"
    assert not (tmp_path / "runs").exists()


def test_stage_with_the_same_state_is_reused_only_where_asked(tmp_path, monkeypatch, capsys):
    calls = []

    class Module:
        @staticmethod
        def run(context):
            calls.append(context.settings.covers.steps)
            context.store.put("reports/x.json", b"1")
            return StageOutcome(outputs=["reports/x.json"], counts={"calls": len(calls)})

    monkeypatch.setattr(cli.importlib, "import_module", lambda name: Module)
    monkeypatch.setenv("ICG_STORE", str(tmp_path))
    words = ["evaluate", "--run-date", "2026-03-10"]

    def counted(*more: str) -> int:
        assert cli.main([*words, *more]) == 0
        return int(json.loads(capsys.readouterr().out)["counts"]["calls"])

    assert [counted(), counted()] == [1, 2]
    monkeypatch.setenv("ICG_REUSE", "1")
    assert [counted(), counted()] == [3, 3]
    assert counted("--set", "covers.steps=3") == 4
    assert [counted("--set", "covers.steps=3"), len(calls)] == [4, 4]
    (tmp_path / "features/users/ds=2026-03-09").mkdir(parents=True)
    (tmp_path / "features/users/ds=2026-03-09/_manifest.json").write_text("{}")
    assert [counted(), counted()] == [5, 5]
    (tmp_path / "reports/x.json").unlink()
    assert counted() == 6
