"""What keeps the house in order, checked only: ruff, mypy --strict, the floors. The same tools as the pre-commit hooks."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
TOOLS = Path(sys.executable).parent


@pytest.mark.parametrize(
    "words",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["lint-imports"], ["mypy"]],
    ids=["ruff check", "ruff format", "import-linter", "mypy"],
)
def test_tool_finds_nothing(words):
    done = subprocess.run(
        [TOOLS / words[0], *words[1:]], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-2000:]}"


def test_no_file_is_too_long_for_its_reader():
    """About 250 lines; training loops and tables may pass that, nothing may pass 400."""
    folders = ("icg_tasks", "spark_jobs", "infra", "dags", "zoo/recipe")
    lengths = {path: len(path.read_text().splitlines()) for folder in folders for path in (REPOSITORY / folder).rglob("*.py")}
    assert len(lengths) > 50
    assert {str(path): length for path, length in lengths.items() if length > 400} == {}


def test_nothing_is_ever_unpickled():
    sources = [path for folder in ("icg_tasks", "spark_jobs", "infra", "zoo") for path in (REPOSITORY / folder).rglob("*.py")]
    assert len(sources) > 50
    for path in sources:
        text = path.read_text()
        for word in ("import pickle", "torch.load(", "allow_pickle=True", "joblib"):
            assert word not in text, f"{path} has {word}"
