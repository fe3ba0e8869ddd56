"""The report as pages: structure, accessibility, nothing from elsewhere, the same bytes, days compared, garbage escaped."""

import json
import posixpath
import re
from datetime import timedelta

import pytest

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.evaluation.explore_script import SCRIPT
from icg_tasks.evaluation.report import run
from icg_tasks.evaluation.report_frame import POLICY
from tests.evaluation.conftest import DAY, put_json
from tests.evaluation.page_checks import Page
from tests.evaluation.test_report import PREFIX, evaluated, publish, whole_day

GARBAGE = '</script><img src=x onerror="alert(1)"> & \u2028 "quoted" \x07'


def tables(store, prefix=PREFIX) -> dict:
    text = store.get(f"{prefix}/covers.js").decode()
    return json.loads(re.fullmatch(r"icgDay\((.*)\);\n", text, re.DOTALL).group(1))


@pytest.fixture
def told(context, store, settings, lived_day):
    """A whole day, reported."""
    whole_day(store, settings, lived_day)
    return run(context())


def test_both_pages_are_sound_and_ask_nobody_else(told, store):
    for name in ("index.html", "covers.html"):
        html = store.get(f"{PREFIX}/{name}").decode()
        page = Page(html)
        assert page.problems == [], name
        assert "://" not in html
        assert f'content="{POLICY}"' in html
        assert [link for link in page.all("a") if link.get("class") == "skip"] == [{"class": "skip", "href": "#content"}]
        for _, attributes in page.seen:  # the policy allows no handlers, and there are none
            assert not [key for key in attributes if key.startswith("on")]
        assert all(entry.get("aria-label") for entry in page.all("nav"))
        assert not [script for script in page.all("script") if "src" not in script]
    assert "://" not in SCRIPT
    assert "innerHTML" not in SCRIPT


def test_every_address_of_both_pages_and_of_the_tables_is_there(told, store):
    found = set()
    for name in ("index.html", "covers.html"):
        page = Page(store.get(f"{PREFIX}/{name}").decode())
        for tag, attribute in (("img", "src"), ("a", "href"), ("script", "src")):
            found |= {entry[attribute].split("#")[0] for entry in page.all(tag) if attribute in entry}
    body = tables(store)
    found |= {row[3] for row in body["published"]} | {item[2] for item in body["items"] if item[2]}
    found |= {address for row in body["judged"] for address in row[2] if address}
    found.discard("")
    assert len(found) > 60
    missing = [address for address in sorted(found) if not store.exists(posixpath.normpath(f"{PREFIX}/{address}"))]
    assert missing == []


def test_the_tables_hold_what_was_published_and_judged(told, store, lived_day):
    body = tables(store)
    assert len([row for row in body["published"] if row[0] != 0]) == 3 * 10
    assert len([row for row in body["published"] if row[0] == 0]) == 10
    assert body["segments"][0] == ["_all", "Everybody, unpersonalised"]
    first = body["published"][0]
    assert first[4:7] == [0.5, 0.5, 0.5]
    busiest = lived_day["segments"][0]["top_items"]
    shown = {row["item_id"] for row in [{"item_id": body["items"][row[1]][0]} for row in body["published"][:3]]}
    assert shown == {next(item for item in busiest if item in {entry[0] for entry in body["items"]})}
    assert len(body["judged"]) == 3 * 8
    assert [len(row[2]) for row in body["judged"]] == [len(body["arms"])] * 24


def test_a_figure_leads_to_the_covers_behind_it(told, store):
    page = Page(store.get(f"{PREFIX}/index.html").decode())
    links = [link["href"] for link in page.all("a")]
    assert "covers.html#view=judged&arm=personalised&sort=true_click_logit" in links
    assert "covers.html#segment=s00" in links
    assert not [link for link in links if "distinct_looks" in link or "arm=best_achievable" in link]  # no single covers kept
    names = {name for link in links if link.startswith("covers.html#") for name in re.findall(r"(\w+)=", link)}
    assert all(f"{name}: " in SCRIPT for name in names)


def test_the_same_store_gives_the_same_bytes(told, store, context):
    names = [key for key in store.list(f"{PREFIX}/") if "/evaluation" not in key]
    assert {f"{PREFIX}/{name}" for name in ("index.html", "covers.html", "covers.js", "explore.js", "figures.json")} < set(
        names
    )
    before = {key: store.get(key) for key in names}
    run(context())
    assert {key: store.get(key) for key in names} == before


def test_later_days_show_the_trend_and_earlier_ones_do_not_know_of_it(told, store, context, settings, lived_day):
    assert 'id="trend"' not in store.get(f"{PREFIX}/index.html").decode()
    before = DAY - timedelta(days=1)
    figures = json.loads(store.get(f"{PREFIX}/figures.json"))
    figures["uplift"]["mean"] = 0.123
    for day in (before, DAY + timedelta(days=1)):
        put_json(store, f"reports/ds={day}/figures.json", figures | {"day": day.isoformat()})
    run(context())
    html = store.get(f"{PREFIX}/index.html").decode()
    assert 'id="trend"' in html
    assert f'<a href="../ds={before}/index.html">9 March 2026</a>' in html
    assert "0.123" in html
    assert "11 March" not in html
    assert tables(store)["days"] == [before.isoformat()]
    assert Page(html).problems == []


def test_damaged_figures_of_an_earlier_day_are_named(context, store):
    store.put(f"reports/ds={DAY - timedelta(days=3)}/figures.json", b"[]")
    with pytest.raises(DataCorrupt, match="2026-03-07"):
        run(context())


def test_a_day_without_covers_has_no_covers_page_and_what_was_there_goes(context, store):
    store.put(f"{PREFIX}/covers.html", b"of a former run")
    run(context())
    assert not store.exists(f"{PREFIX}/covers.html")
    html = store.get(f"{PREFIX}/index.html").decode()
    assert "covers.html" not in html
    assert Page(html).problems == []
    assert json.loads(store.get(f"{PREFIX}/figures.json"))["covers"] == 0


def test_a_day_with_judged_covers_only_shows_those(context, store, settings, lived_day):
    evaluated(store, lived_day)
    run(context())
    page = Page(store.get(f"{PREFIX}/covers.html").decode())
    assert page.problems == []
    assert len(page.all("img")) == 24
    assert tables(store)["published"] == []


def test_published_covers_without_an_evaluation_are_shown(context, store, settings, lived_day):
    publish(store, settings, lived_day)
    run(context())
    assert len(Page(store.get(f"{PREFIX}/covers.html").decode()).all("img")) == 30
    assert tables(store)["judged"] == []


def test_garbage_in_titles_is_text_everywhere(context, store, settings, lived_day):
    import pyarrow as pa

    from icg_tasks.contracts import schemas
    from icg_tasks.lake.partitions import read_partition, write_partition

    whole_day(store, settings, lived_day)
    rows = [row | {"title": GARBAGE} for row in read_partition(store, keys.ITEMS, DAY).to_pylist()]
    write_partition(store, keys.ITEMS, DAY, [pa.Table.from_pylist(rows, schema=schemas.ITEMS)], schema=schemas.ITEMS)
    run(context())
    for name in ("index.html", "covers.html"):
        page = Page(store.get(f"{PREFIX}/{name}").decode())
        assert page.problems == []
        assert not [entry for entry in page.all("img") if entry["src"] == "x" or "onerror" in entry]
        assert any('<img src=x onerror="alert(1)"> & ' in words for words in page.words)
    assert tables(store)["items"][0][1] == GARBAGE
    assert store.get(f"{PREFIX}/covers.js").isascii()


def test_segments_too_small_to_be_shown_are_not_listed(context, store, settings, lived_day):
    from dataclasses import replace

    whole_day(store, settings, lived_day)
    sizes = sorted(row["size"] for row in lived_day["segments"])
    strict = replace(settings, privacy=replace(settings.privacy, min_published_users=sizes[-1]))
    run(context("report", strict))
    body = tables(store)
    shown = {body["segments"][row[0]][0] for row in body["published"]}
    assert len(shown - {"_all"}) == sizes.count(sizes[-1])
