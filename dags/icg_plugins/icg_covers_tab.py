"""Airflow plugin: a *Covers* tab on every run of the daily Dag, which shows the report of the run's date.

The api-server serves the report and the covers it shows from the object store (``ICG_STORE``), for reading only, to those who
may see the Dag's runs. Served are pages of the run's date and of earlier ones, which it compares with, their pictures, and
covers by the hash of their content; any other path is answered with 404. Knows keys by their form; no stage, no model.

Airflow finds it where ``AIRFLOW__CORE__PLUGINS_FOLDER`` names this folder. Every process of Airflow loads plugins, so what the
api-server alone needs is imported when it asks for it.
"""

import os
import re
from collections.abc import Callable
from datetime import date
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any, Final

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from fastapi import FastAPI

    from icg_tasks.lake.store import ObjectStore

DAG_ID: Final = "icg_daily"
RUN_DATE_TASK: Final = "resolve-run-date"
PREFIX: Final = "/icg-covers"
MAX_BYTES: Final = 32_000_000
"""Of one file; what is larger is not what a report wrote."""
_DAY: Final = r"ds=(?P<day>\d{4}-\d{2}-\d{2})"
_NAME: Final = r"[A-Za-z0-9_][A-Za-z0-9._=+-]*"
_SERVED: Final = (
    re.compile(
        rf"reports/{_DAY}/(?:(?:index|covers|evaluation)\.html|(?:covers|explore)\.js|six_by_eight\.png|evaluation\.json)"
    ),
    re.compile(rf"reports/{_DAY}/(?:images|evaluation)/[A-Za-z0-9-]+\.(?:png|webp|jpg)"),
    re.compile(rf"reports/data_docs/{_DAY}/(?:{_NAME}/)+{_NAME}\.(?:html|png|ico)"),
    re.compile(r"covers/v1/blobs/(?P<fan>[0-9a-f]{2})/(?P=fan)[0-9a-f]{62}\.(?:webp|png|jpg)"),
)
_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "png": "image/png",
    "webp": "image/webp",
    "jpg": "image/jpeg",
    "ico": "image/x-icon",
}
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # No code but the report's own two files, no request elsewhere, no forms, and in no frame but Airflow's.
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; script-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
}


def media_type(path: str, run_date: date) -> str | None:
    """How a path below the store's root is served to a run of this date; None where it is not.

    >>> media_type("reports/ds=2026-03-09/covers.html", date(2026, 3, 10))
    'text/html; charset=utf-8'
    >>> media_type("reports/ds=2026-03-11/covers.html", date(2026, 3, 10))
    >>> media_type("reports/ds=2026-03-10/../../clean/items.png", date(2026, 3, 10))
    """
    found = next((match for pattern in _SERVED if (match := pattern.fullmatch(path))), None)
    if found is None or len(path) > 400 or ".." in path:
        return None
    day = found.groupdict().get("day")
    if day is not None and day > run_date.isoformat():
        return None
    return _TYPES[path.rpartition(".")[2]]


def covers_app(
    store_of: Callable[[], "ObjectStore"], date_of: Callable[[str, str], date | None], guard: Callable[..., Any]
) -> "FastAPI":
    """The application behind the tab. ``date_of`` tells a run's date, None where it has none; ``guard`` lets in or raises."""
    from fastapi import Depends, FastAPI
    from fastapi.responses import RedirectResponse, Response

    app = FastAPI(title="ICG Covers", docs_url=None, redoc_url=None, openapi_url=None)

    def absent(words: str) -> Response:
        return Response(_page(words), status_code=404, media_type=_TYPES["html"], headers=_HEADERS)

    @app.get("/{dag_id}/{run_id}/", dependencies=[Depends(guard)])
    def first_page(dag_id: str, run_id: str) -> Response:
        day = date_of(dag_id, run_id) if dag_id == DAG_ID else None
        if day is None:
            return absent(f"No covers here: this is no run of {DAG_ID}, or it has not settled on its date yet.")
        key = f"reports/ds={day.isoformat()}/index.html"
        if not store_of().exists(key):
            return absent(f"The report of {day.isoformat()} is not written yet. It is the last task of the run.")
        return RedirectResponse(key, headers={"Cache-Control": "no-store"})

    @app.get("/{dag_id}/{run_id}/{path:path}", dependencies=[Depends(guard)])
    def file(dag_id: str, run_id: str, path: str) -> Response:
        day = date_of(dag_id, run_id) if dag_id == DAG_ID else None
        kind = media_type(path, day) if day is not None else None
        if kind is None:
            return absent("There is no such page.")
        store = store_of()
        if not store.exists(path) or store.size(path) > MAX_BYTES:
            return absent("There is no such file. It may have been cleared away.")
        kept = "private, max-age=86400, immutable" if path.startswith("covers/") else "private, no-cache"
        return Response(store.get(path), media_type=kind, headers=_HEADERS | {"Cache-Control": kept})

    return app


def _page(words: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Covers</title>'
        '<meta name="color-scheme" content="light dark"><style>body{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;'
        f"max-width:52ch;padding:0 20px}}</style></head><body><main><h1>Covers</h1><p>{escape(words)}</p></main></body></html>"
    )


@cache
def _store() -> "ObjectStore":
    from fastapi import HTTPException

    from icg_tasks.lake.store import open_store

    uri = os.environ.get("ICG_STORE")
    if not uri:
        raise HTTPException(503, "the api-server does not know the store: set ICG_STORE in its environment")
    return open_store(uri)


def _date_of(dag_id: str, run_id: str) -> date | None:
    """What the run's first task resolved; None before that."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    asked = select(XComModel.value).where(
        XComModel.dag_id == dag_id,
        XComModel.run_id == run_id,
        XComModel.task_id == RUN_DATE_TASK,
        XComModel.key == "return_value",
    )
    with create_session() as session:
        found = session.scalar(asked)
    if found is None:
        return None
    try:
        return date.fromisoformat(str(found).strip('"'))
    except ValueError:
        return None


def _airflow_app() -> "FastAPI":
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag

    return covers_app(_store, _date_of, requires_access_dag("GET", DagAccessEntity.RUN))


class CoversTab(AirflowPlugin):
    """The tab, and the application behind it."""

    name = "icg_covers_tab"
    external_views: list[Any] = [  # noqa: RUF012  Airflow reads and cleans this list
        {
            "name": "Covers",
            "href": f"{PREFIX[1:]}/{{DAG_ID}}/{{RUN_ID}}/",
            "destination": "dag_run",
            "url_route": "icg_covers",
        }
    ]

    @property
    def fastapi_apps(self) -> list[Any]:  # type: ignore[override]  # Airflow asks for it in the api-server alone
        """Made when the api-server asks."""
        return [{"app": _airflow_app(), "url_prefix": PREFIX, "name": "ICG Covers"}]
