"""The Covers tab: which files it serves to whom, and that a real Airflow shows it."""

import hashlib
import os
import re
import shutil
import time
from datetime import date
from pathlib import Path

import pytest
from fastapi import HTTPException, Request
from fastapi.testclient import TestClient
from icg_plugins.icg_covers_tab import DAG_ID, MAX_BYTES, PREFIX, CoversTab, covers_app, media_type

from icg_tasks.lake.store import open_store

DAY = date(2026, 3, 10)
RUN = f"/{DAG_ID}/manual__2026-03-10T00:00:00+00:00"
BLOB = hashlib.sha256(b"a cover").hexdigest()
PAGE = f"{RUN}/reports/ds=2026-03-10/index.html"


@pytest.fixture
def store(tmp_path):
    found = open_store(str(tmp_path / "store"))
    for day in ("2026-03-09", "2026-03-10", "2026-03-11"):
        for name in ("index.html", "covers.js", "images/0a-small.png", "evaluation/0b.png", "evaluation_detail.json"):
            found.put(f"reports/ds={day}/{name}", f"{name} of {day}".encode())
        found.put(f"reports/data_docs/ds={day}/items/index.html", b"docs")
    found.put(f"covers/v1/blobs/{BLOB[:2]}/{BLOB}.webp", b"a cover")
    for key in ("clean/items/ds=2026-03-10/_manifest.json", "covers/v1/current.json", "raw/impressions/a.jpg"):
        found.put(key, b"secret")
    (tmp_path / "secret.html").write_text("secret")
    return found


def client(store, let_in=lambda: None, day=DAY) -> TestClient:
    def date_of(dag_id: str, run_id: str) -> date | None:
        assert dag_id == DAG_ID
        return day if run_id == RUN.rpartition("/")[2] else None

    return TestClient(covers_app(lambda: store, date_of, let_in), follow_redirects=False)


def test_the_tab_leads_to_the_report_of_the_runs_date(store):
    answer = client(store).get(f"{RUN}/")
    assert answer.status_code == 307
    assert answer.headers["location"] == "reports/ds=2026-03-10/index.html"
    page = client(store).get(PAGE)
    assert (page.status_code, page.text) == (200, "index.html of 2026-03-10")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("reports/ds=2026-03-10/covers.js", "text/javascript; charset=utf-8"),
        ("reports/ds=2026-03-09/covers.js", "text/javascript; charset=utf-8"),
        ("reports/ds=2026-03-10/images/0a-small.png", "image/png"),
        ("reports/ds=2026-03-10/evaluation/0b.png", "image/png"),
        ("reports/data_docs/ds=2026-03-10/items/index.html", "text/html; charset=utf-8"),
        (f"covers/v1/blobs/{BLOB[:2]}/{BLOB}.webp", "image/webp"),
    ],
)
def test_what_a_page_needs_is_served(store, path, kind):
    answer = client(store).get(f"{RUN}/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert answer.content == store.get(path)


@pytest.mark.parametrize(
    "path",
    [
        "reports/ds=2026-03-11/index.html",  # later than the run
        "reports/ds=2026-03-10/evaluation_detail.json",
        "reports/ds=2026-03-10/../ds=2026-03-11/index.html",
        "reports/ds=2026-03-10/%2e%2e/ds=2026-03-11/index.html",
        "reports/ds=2026-03-10/images/..%2f..%2f..%2fclean%2fitems%2fds=2026-03-10%2f_manifest.json",
        "..%2fsecret.html",
        "%2e%2e/secret.html",
        "/etc/passwd",
        "covers/v1/current.json",
        "clean/items/ds=2026-03-10/_manifest.json",
        "raw/impressions/a.jpg",
        f"covers/v1/blobs/00/{BLOB}.webp" if not BLOB.startswith("00") else "x",
        "reports/ds=2026-03-10/index.html%00.png",
        "reports/ds=9999-99-99/index.html",
        "",
    ],
)
def test_anything_else_is_not_there(store, path):
    answer = client(store).get(f"{RUN}/{path}") if path else client(store).get(f"/other_dag/{RUN.rpartition('/')[2]}/")
    assert answer.status_code == 404
    assert b"secret" not in answer.content
    assert b"2026-03-11" not in answer.content


def test_reading_is_all_that_can_be_done(store):
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert client(store).request(method, PAGE).status_code == 405


def test_who_may_not_see_the_run_sees_nothing_of_it(store):
    def guard(request: Request) -> None:
        assert request.path_params["dag_id"] == DAG_ID
        raise HTTPException(403, "Forbidden")

    for path in (f"{RUN}/", PAGE, f"{RUN}/covers/v1/blobs/{BLOB[:2]}/{BLOB}.webp"):
        assert client(store, guard).get(path).status_code == 403


def test_a_run_without_a_date_and_a_day_without_a_report_are_said(store):
    assert "not settled" in client(store, day=None).get(f"{RUN}/").text
    assert "last task" in client(store, day=date(2026, 3, 7)).get(f"{RUN}/").text


def test_what_no_report_wrote_is_not_sent(store, monkeypatch):
    monkeypatch.setattr("icg_plugins.icg_covers_tab.MAX_BYTES", 10)
    assert client(store).get(PAGE).status_code == 404
    assert MAX_BYTES > 10_000_000


def test_every_file_of_a_real_report_is_served(tmp_path):
    from benchmarks.report import make_store
    from icg_tasks.config import load_settings
    from icg_tasks.evaluation.report import run
    from icg_tasks.stage import StageContext

    store = open_store(str(tmp_path / "real"))
    make_store(store, 60)
    settings = load_settings("tiny", [f"work_folder={tmp_path / 'work'}"])
    outcome = run(StageContext(stage="report", run_date=DAY, settings=settings, store=store))
    written = [key for key in store.list("reports/") if not key.endswith("figures.json")]
    assert set(outcome.outputs) - set(written) == {"reports/ds=2026-03-10/figures.json"}
    assert [key for key in written if media_type(key, DAY) is None] == []
    assert all(media_type(key, DAY) for key in store.list("covers/v1/blobs/"))


def test_airflow_s_own_log_in_guards_it(airflow_database):
    """As the api-server mounts it; the demo alone lets everybody in, by a middleware of the simple auth manager."""
    from airflow.api_fastapi.app import create_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    manager = create_auth_manager()
    nobody, viewer = (manager.generate_jwt(SimpleAuthManagerUser(username="x", role=role)) for role in (None, "viewer"))
    [entry] = CoversTab().fastapi_apps
    assert entry["url_prefix"] == PREFIX
    inside = TestClient(entry["app"], follow_redirects=False)
    for path in (f"{RUN}/", PAGE, f"{RUN}/covers/v1/blobs/{BLOB[:2]}/{BLOB}.webp"):
        assert inside.get(path).status_code == 401
        for token, status in (("forged", 403), (nobody, 403), (viewer, 404)):  # no such run in this Airflow
            assert inside.get(path, headers={"Authorization": f"Bearer {token}"}).status_code == status, (path, token)


def test_airflow_is_told_of_the_tab():
    [view] = CoversTab.external_views
    assert view["destination"] == "dag_run"
    assert view["href"] == f"{PREFIX[1:]}/{{DAG_ID}}/{{RUN_ID}}/"  # relative: Airflow may stand below a path


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on PATH")
def test_a_real_airflow_shows_the_tab(tmp_path, commands):
    from benchmarks.chromium import Chromium
    from benchmarks.report import make_store
    from icg_tasks.config import load_settings
    from icg_tasks.evaluation.report import run
    from icg_tasks.stage import StageContext
    from infra.demo.airflow import Airflow
    from infra.demo.environment import airflow_environment, stage_environment
    from infra.demo.options import read_options
    from infra.demo.processes import free_ports, stop

    folder = Path(os.environ.get("COVERS_TEST_STORE", tmp_path / "store"))  # another store, to take pictures of
    store = open_store(str(folder))
    if not store.exists("reports/ds=2026-03-10/index.html"):
        make_store(store, 60)
        settings = load_settings("tiny", [f"work_folder={tmp_path / 'work'}"])
        run(StageContext(stage="report", run_date=DAY, settings=settings, store=store))
    options = read_options(["--home", str(tmp_path / "home")])
    options.home.mkdir()
    environment = airflow_environment(options, stage_environment(options, str(folder), {}), free_ports(1)[0])
    airflow = Airflow(options, environment | {"PATH": os.environ["PATH"]})
    try:
        airflow.migrate()
        airflow.start()
        airflow.wait_ready(lambda: None)
        run_id, _ = airflow.trigger(DAY)
        until = time.monotonic() + 300
        while not any(task.stage == "resolve-run-date" and task.state == "success" for task in airflow.tasks(run_id)):
            assert time.monotonic() < until
            time.sleep(1)
        with Chromium(width=1440, height=960) as browser:
            browser.open(f"{airflow.url}/auth/token/login")  # leaves the session's cookie
            browser.wait_for("location.pathname.indexOf('/auth') < 0 && document.body && document.body.innerText.length > 40")
            browser.open(f"{airflow.url}/dags/{DAG_ID}/runs/{run_id}/plugin/icg_covers")
            frame = "document.querySelector('iframe[title=Covers]')"
            browser.wait_for(f"{frame} && {frame}.contentDocument && {frame}.contentDocument.images.length")
            assert "Covers of 10 March 2026" in browser.value(f"{frame}.contentDocument.body.innerText")
            browser.wait_for("[...document.querySelectorAll('a')].some((tab) => tab.textContent.trim() === 'Covers')")
            browser.picture(tmp_path / "report.png")
            browser.value(f"{frame}.contentDocument.querySelector('nav a[href=\"covers.html\"]').click()")
            shown = f"[...{frame}.contentDocument.images].filter((image) => image.naturalWidth).length"
            browser.wait_for(f"{frame}.contentDocument.title.startsWith('All covers') && {shown} > 3")
            browser.value(f"{frame}.contentDocument.getElementById('filters').scrollIntoView()")
            time.sleep(3)  # until what came into view is loaded and drawn
            browser.picture(tmp_path / "tab.webp", kind="webp", quality=80)
    finally:
        stop(airflow.services)
    assert (tmp_path / "tab.webp").stat().st_size > 20_000
    assert re.match(r"demo__2026-03-10__", run_id)
