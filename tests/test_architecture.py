"""ARCHITECTURE.md's file map is true, in both directions."""

from pathlib import Path

import pytest

from infra import filemap

REPOSITORY = Path(__file__).resolve().parents[1]


def test_every_source_file_has_its_line_and_every_line_its_file():
    assert len(filemap.source_files(REPOSITORY)) > 50
    assert filemap.faults(REPOSITORY) == []


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "icg_tasks").mkdir()
    (tmp_path / "icg_tasks" / "one.py").write_text('"""The first.\n\nMore."""\n')
    for name in filemap.DOCUMENTS:
        (tmp_path / name).write_text(f"before\n{filemap.BEGIN}\n{filemap.END}\nafter\n")
    filemap.write_map(tmp_path)
    return tmp_path


def test_written_map_is_true_and_keeps_what_stands_around_it(small):
    assert filemap.faults(small) == []
    text = (small / "ARCHITECTURE.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "- `one.py` The first." in text


@pytest.mark.parametrize("change", ["new", "gone", "renamed docstring", "silent"])
def test_untrue_map_is_noticed(small, change):
    path = small / "icg_tasks" / "one.py"
    if change == "new":
        (path.parent / "two.py").write_text('"""The second."""\n')
    elif change == "gone":
        path.unlink()
    else:
        path.write_text('"""Another job."""\n' if change != "silent" else "x = 1\n")
    assert filemap.faults(small)
