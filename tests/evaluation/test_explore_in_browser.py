"""covers.html in a real browser: choosing, comparing, looking closely, by mouse and by keyboard, without a complaint."""

import shutil

import pytest

from benchmarks.chromium import Chromium
from benchmarks.report import DAY, SEGMENTS, make_store
from icg_tasks.config import load_settings
from icg_tasks.evaluation.report import run
from icg_tasks.lake.store import open_store
from icg_tasks.stage import StageContext

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on PATH"),
]
STATUS = "document.getElementById('status').textContent"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A reported store of 200 covers, with a day before whose first cover was another one."""
    root = tmp_path_factory.mktemp("reported")
    store = open_store(str(root / "store"))
    make_store(store, 200)
    settings = load_settings("tiny", [f"features.num_top_segments={SEGMENTS}", f"work_folder={root / 'work'}"])
    context = StageContext(stage="report", run_date=DAY, settings=settings, store=store)
    run(context)
    text = store.get(f"reports/ds={DAY}/covers.js").decode()
    addresses = sorted({part.split('"')[0] for part in text.split('"') if part.startswith("../../covers")})
    first = text[text.index('"published"') :].split('"')[3]
    other = next(address for address in addresses if address != first)
    earlier = text.replace(f'"day":"{DAY}"', '"day":"2026-03-09"').replace(f'"{first}"', f'"{other}"', 1)
    store.put("reports/ds=2026-03-09/covers.js", earlier.encode())
    figures = store.get(f"reports/ds={DAY}/figures.json").decode()
    store.put("reports/ds=2026-03-09/figures.json", figures.replace(str(DAY), "2026-03-09").encode())
    run(context)
    return root / "store" / "reports" / f"ds={DAY}"


@pytest.fixture
def page(folder):
    with Chromium() as browser:
        browser.send("Log.enable")
        browser.open(f"file://{folder}/covers.html")
        browser.wait_for("document.getElementById('filters')?.hidden === false")
        yield browser
        complaints = [event for event in browser.events if event["method"] in {"Runtime.exceptionThrown", "Log.entryAdded"}]
        assert complaints == []


def choose(page: Chromium, name: str, value: str) -> None:
    found = page.value(
        f"(() => {{ const field = document.getElementById('filters').elements['{name}']; field.value = '{value}';"
        "field.dispatchEvent(new Event('input', {bubbles: true})); return field.value; })()"
    )
    assert found == value


def test_choosing_sorting_and_paging(page):
    assert page.value(STATUS) == "1 to 60 of 200 covers"
    page.value("document.getElementById('after').click()")
    page.wait_for(f"{STATUS} === '61 to 120 of 200 covers'")
    assert page.value("document.activeElement.id") == "status"  # a reader of the screen hears where they are
    choose(page, "segment", "s003")
    page.wait_for(f"{STATUS} === '1 to 10 of 10 covers'")
    choose(page, "sort", "preference")
    values = (
        "[...document.querySelectorAll('.figure')].map((node) => parseFloat(node.textContent.split(' ')[1].replace('−', '-')))"
    )
    page.wait_for("document.querySelectorAll('.figure').length === 10")
    assert page.value(values) == sorted(page.value(values), reverse=True)
    assert page.value("location.hash") == "#segment=s003&sort=preference"
    choose(page, "q", "no such title")
    page.wait_for(f"{STATUS} === 'No covers'")


def test_comparing_with_another_day_segment_and_the_own_cover(page):
    choose(page, "against", "day:2026-03-09")
    page.wait_for(f"{STATUS}.endsWith('right: 9 March 2026')")
    page.value("document.querySelector('[name=different]').click()")
    page.wait_for(f"{STATUS}.startsWith('1 to 1 of 1 covers')")
    choose(page, "against", "segment:s004")
    page.wait_for(f"{STATUS}.includes('of 19')")
    choose(page, "against", "own")
    page.wait_for("[...document.querySelectorAll('.pair img')].some((image) => image.src.includes('/images/'))")


def test_a_closer_look_opens_and_closes_by_keyboard(page):
    page.value("document.querySelector('.open').focus()")
    for kind in ("keyDown", "keyUp"):
        page.send("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")
    page.wait_for("document.getElementById('detail').open")
    first = page.value("document.getElementById('detail-for').textContent")
    assert page.value("document.querySelectorAll('#detail img').length") == 3
    for kind in ("keyDown", "keyUp"):
        page.send("Input.dispatchKeyEvent", type=kind, key="ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39)
    page.wait_for(f"document.getElementById('detail-for').textContent !== {first!r}")
    for kind in ("keyDown", "keyUp"):
        page.send("Input.dispatchKeyEvent", type=kind, key="Escape", code="Escape", windowsVirtualKeyCode=27)
    page.wait_for("!document.getElementById('detail').open")
    assert page.value("document.activeElement.className") == "open"


def test_a_link_leads_to_the_same_covers_and_nonsense_to_all(page, folder):
    page.open(f"file://{folder}/covers.html#segment=s005&against=plain")
    page.wait_for(f"document.getElementById('status') && {STATUS}.includes('of 10 covers; right')")
    page.open(f"file://{folder}/covers.html#segment=<b>&sort=nothing&page=-5&view=judged&__proto__=x")
    page.wait_for(f"document.getElementById('status') && {STATUS} === '1 to 60 of 200 covers'")
