"""`python -m infra.filemap [--check | --write]`: one line per source file, the first sentence it says of itself.

--write puts the map between the two markers in ARCHITECTURE.md and README.md, --check (CI, pre-commit) tells what is untrue
in it.
"""

import argparse
import ast
import re
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
FOLDERS = ("icg_tasks", "dags", "spark_jobs", "infra", "zoo/recipe")
DOCUMENTS = ("ARCHITECTURE.md", "README.md")
BEGIN, END = "<!-- file map: python -m infra.filemap --write -->", "<!-- end of file map -->"
_SUFFIXES = {".py", ".sh", ""}


def source_files(root: Path) -> list[Path]:
    """Files that the map must name, relative to the root, sorted by folder. Empty package markers are left out."""
    found = []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            relative = path.relative_to(root)
            hidden = any(part.startswith((".", "__pycache__")) for part in relative.parts)
            marker = path.name == "__init__.py" and not path.stat().st_size
            if path.is_file() and path.suffix in _SUFFIXES and not hidden and not marker:
                found.append(relative)
    return sorted(found, key=lambda path: (path.parent.as_posix(), path.name))


def first_line(path: Path) -> str:
    """What a file says it is: the first sentence of its docstring or, for a script, of its first comment; empty if silent.

    >>> first_line(Path(__file__))
    '`python -m infra.filemap [--check | --write]`: one line per source file, the first sentence it says of itself.'
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        words = ast.get_docstring(ast.parse(text)) or ""
    else:
        words = "\n".join(line[1:].strip() for line in text.splitlines() if line.startswith("#") and not line.startswith("#!"))
    paragraph = " ".join(words.partition("\n\n")[0].split())
    return re.split(r"(?<=[.!?])\s", paragraph)[0]


def file_map(root: Path) -> str:
    """The map as Markdown: a heading per folder, a line per file."""
    lines: list[str] = []
    folder = ""
    for path in source_files(root):
        if path.parent.as_posix() != folder:
            folder = path.parent.as_posix()
            lines += ["", f"**{folder}/**", ""]
        lines.append(f"- `{path.name}` {first_line(root / path)}")
    return "\n".join(lines).strip()


def faults(root: Path) -> list[str]:
    """What is not true about the maps in the documents; empty when all is well."""
    silent = [f"{path}: says nothing of itself in its first line" for path in source_files(root) if not first_line(root / path)]
    expected = set(file_map(root).splitlines())
    found = silent
    for document in DOCUMENTS:
        text = (root / document).read_text(encoding="utf-8")
        if BEGIN not in text or END not in text:
            found.append(f"{document} lacks the markers {BEGIN} and {END}")
            continue
        written = set(_between(text).splitlines())
        found += [f"{document}: missing or outdated: {line}" for line in sorted(expected - written)]
        found += [f"{document}: no longer true: {line}" for line in sorted(written - expected)]
    return found


def write_map(root: Path) -> None:
    """Replace what stands between the markers."""
    for name in DOCUMENTS:
        text = (root / name).read_text(encoding="utf-8")
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        (root / name).write_text(f"{before}{BEGIN}\n\n{file_map(root)}\n\n{END}{after}", encoding="utf-8")


def main() -> int:
    """Print, check or write the map; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.filemap")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if given.write:
        write_map(REPOSITORY)
    elif not given.check:
        sys.stdout.write(file_map(REPOSITORY) + "\n")
        return 0
    found = faults(REPOSITORY)
    for fault in found:
        sys.stderr.write(fault + "\n")
    if found:
        sys.stderr.write(f"run: python -m infra.filemap --write (and look at the change in {' and '.join(DOCUMENTS)})\n")
    return 1 if found else 0


def _between(text: str) -> str:
    return text.partition(BEGIN)[2].partition(END)[0].strip()


if __name__ == "__main__":
    sys.exit(main())
