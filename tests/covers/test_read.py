"""The reader: who sees what, what happens while it changes, and what it needs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataCorrupt, SettingsError
from icg_tasks.contracts.pseudonym import KEY_VARIABLE, pseudonym
from icg_tasks.covers import plan, publish
from icg_tasks.covers.command import covers_command
from icg_tasks.covers.read import CoverReader
from tests.covers.conftest import DAY, KEY, NEXT, House, fill_inputs


@pytest.fixture
def up(house: House) -> House:
    publish_day(house, DAY)
    return house


def publish_day(house: House, day, **inputs) -> None:
    fill_inputs(house, day, **inputs)
    plan.run(house.context("plan-covers", day))
    house.fill_shards(day)
    publish.run(house.context("publish-covers", day))


def test_own_segment_then_everybody_then_none(up: House) -> None:
    reader = CoverReader(up.store)
    own = reader.cover("ann", "i0")
    assert (own.segment_id, own.personalised, own.day) == ("s0", True, DAY)
    assert reader.cover("bob", "i0").cover_id != own.cover_id
    assert reader.cover(pseudonym("ann", KEY.encode()), "i0", hashed=True) == own
    for stranger in ("cyd", "nobody-knows"):  # cyd's segment is not among the top ones
        plain = reader.cover(stranger, "i0")
        assert (plain.segment_id, plain.personalised) == ("_all", False)
    assert reader.cover("ann", "i3") is None
    assert reader.cover("ann", "i0", variant=7) is None


def test_image_bytes_are_checked(up: House) -> None:
    reader = CoverReader(up.store)
    cover = reader.cover("ann", "i0")
    assert reader.image(cover)[:4] == b"RIFF"
    up.store.put(cover.blob, b"something else")
    with pytest.raises(DataCorrupt, match=cover.cover_id):
        reader.image(cover)


def test_nothing_published_is_none(house: House) -> None:
    reader = CoverReader(house.store)
    assert reader.cover("ann", "i0") is None
    assert reader.day is None


def test_reloads_when_another_day_is_up(up: House) -> None:
    reader, slow = CoverReader(up.store, refresh_seconds=0), CoverReader(up.store, refresh_seconds=3600)
    before = reader.cover("ann", "i0")
    assert slow.cover("ann", "i0") == before
    publish_day(up, NEXT, turn=1.0)
    after = reader.cover("ann", "i0")
    assert (after.day, after.cover_id != before.cover_id) == (NEXT, True)
    assert slow.cover("ann", "i0") == before
    assert slow.refresh()
    assert slow.cover("ann", "i0") == after


def test_never_torn_when_a_day_is_published_again_or_damaged(up: House) -> None:
    reader = CoverReader(up.store, refresh_seconds=0)
    before = reader.cover("ann", "i0")
    # the day's segments and manifest are replaced, but current.json still names the files of before
    up.users(DAY, {"ann": "s1", "bob": "s0"})
    up.store.put(f"covers/v1/manifests/ds={DAY}/_manifest.json", b"half wri")
    assert CoverReader(up.store).cover("ann", "i0") == before
    current = up.store.get(keys.COVERS_CURRENT)
    up.store.put(keys.COVERS_CURRENT, b"half wri")
    assert reader.cover("ann", "i0") == before
    with pytest.raises(DataCorrupt, match=r"current\.json"):
        CoverReader(up.store).cover("ann", "i0")
    up.store.put(keys.COVERS_CURRENT, current.replace(b"part-00000", b"part-00009"))
    assert reader.cover("ann", "i0") == before


def test_a_raw_id_needs_the_key(up: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(SettingsError, match=KEY_VARIABLE):
        CoverReader(up.store).cover("ann", "i0")


def test_get_command(up: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "cover.webp"
    store = ["--set", f"store={up.store.uri}"]
    assert covers_command(["get", "--user", "ann", "--item", "i0", "--out", str(out), *store]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["segment"], answer["cover"]["personalised"], answer["bytes"]) == ("s0", True, out.stat().st_size)
    assert Path(answer["cover"]["address"]).read_bytes() == out.read_bytes()
    assert covers_command(["get", "--user", "ann", "--item", "i3", *store]) == 0
    assert json.loads(capsys.readouterr().out)["cover"] is None


def test_reader_and_command_import_nothing_heavy() -> None:
    heavy = ["torch", "pandas", "transformers", "diffusers", "PIL", "icg_tasks.models", "icg_tasks.backbones"]
    code = (
        "import sys, icg_tasks.covers.read, icg_tasks.covers.command\n"
        "from icg_tasks.lake.store import open_store\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
