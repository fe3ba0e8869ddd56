"""The documentation: links lead somewhere, alerts have their run-book, every command block is run here or says why not."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
PAGES = sorted(DOCS.glob("*.md"))
_BLOCK = re.compile(r"(?:<!-- (.+?) -->\n)?```(\w*)\n(.*?)```", re.DOTALL)
_SHELLS = {"bash", "sh", "console", "shell", "python", ""}
WITH_README = [REPOSITORY / "README.md", *PAGES]


def blocks(page: Path) -> list[tuple[str, str]]:
    """(mark, text) of every command block."""
    return [(mark, text) for mark, language, text in _BLOCK.findall(page.read_text()) if language in _SHELLS]


RUN = [(page.name, text) for page in WITH_README for mark, text in blocks(page) if mark == "run"]


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as the site makes them."""
    found = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in found}


def test_every_command_block_is_marked():
    marked = [(page.name, mark) for page in WITH_README for mark, _ in blocks(page)]
    assert len(marked) > 15
    unmarked = [page for page, mark in marked if not re.match(r"run$|not run: .{8,}", mark)]
    assert unmarked == []
    named = [path for _, mark in marked for path in re.findall(r"tests/[\w/.]+\w", mark)]
    assert len(named) > 5
    assert [path for path in named if not (REPOSITORY / path).exists()] == []


def test_no_block_of_commands_hides_behind_another_language():
    """A block may be of a language only if nobody would type it; every fence is closed."""
    for page in WITH_README:
        text = page.read_text()
        assert text.count("```") % 2 == 0, page.name
        others = {language for language in re.findall(r"^```(\w+)$", text, re.MULTILINE) if language not in _SHELLS}
        assert others <= {"text", "json", "yaml"}, page.name


def test_every_command_of_ours_in_the_docs_exists():
    """`icg <stage>` and `make <target>` in blocks and in running text: a renamed one would be a lie."""
    from icg_tasks.cli import STAGES

    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    found = 0
    for page in WITH_README:
        text = page.read_text()
        for stage in re.findall(r"(?:^|`)icg ([a-z][a-z-]+)", text, re.MULTILINE):
            assert stage in {*STAGES, "covers"}, f"{page.name}: icg {stage}"
            found += 1
        for target in re.findall(r"(?:^|`)make ([a-z][a-z-]+)", text, re.MULTILINE):
            assert target in targets, f"{page.name}: make {target}"
            found += 1
    assert found > 30


@pytest.mark.parametrize(("page", "text"), RUN, ids=[f"{page}-{text.split(chr(10))[0][:40]}" for page, text in RUN])
def test_command_block_runs(page, text, tmp_path):
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False,
        timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def test_links_lead_somewhere():
    checked = 0
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)", text):
            if re.match(r"https?://", target):
                continue
            path, _, anchor = target.partition("#")
            there = (page.parent / path).resolve() if path else page
            assert there.exists(), f"{page.name}: {target}"
            if anchor and there.suffix == ".md":
                assert anchor in anchors(there), f"{page.name}: {target}; there are {sorted(anchors(there))}"
            checked += 1
    assert checked > 20


def test_site_shows_every_page():
    site = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text())
    shown = set(re.findall(r"[\w-]+\.md", yaml.safe_dump(site["nav"])))
    assert {page.name for page in PAGES} == shown


def test_every_alert_has_its_section_in_the_run_book():
    rules = yaml.safe_load((REPOSITORY / "infra" / "watch" / "alerts.yaml").read_text())["groups"][0]["rules"]
    assert len(rules) > 4
    known = anchors(DOCS / "run-book.md")
    for rule in rules:
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/run-book.md"
        assert anchor == rule["alert"].lower()
        assert anchor in known
        assert re.search(r"airflow_icg_\w+|airflow_icg_\.\+_", rule["expr"])
