import io
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.config.intake import IntakeSettings
from icg_tasks.config.settings import BackboneSettings, Settings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataMissing, GateRefused, Interrupted
from icg_tasks.contracts.schemas import ITEMS
from icg_tasks.features import embed_items
from icg_tasks.features.exact_sums import vector_matrix
from icg_tasks.lake.partitions import find_partition, read_partition, write_partition
from icg_tasks.lake.store import open_store
from icg_tasks.stage import StageContext
from tests.features.small_store import DAY
from tests.features.tiny_encoder import make_encoder

NEXT = DAY + timedelta(days=1)


@pytest.fixture
def shelf(tmp_path, encoder_folder):
    return Shelf(tmp_path, str(encoder_folder))


class Shelf:
    """A store with a catalogue of pictures, and the stage on it."""

    def __init__(self, folder, encoder):
        self.folder, self.encoder = folder, encoder
        self.store = open_store(str(folder / "store"))

    def put(self, day: date, contents: dict[str, tuple[str, str]]) -> None:
        """Item id to (title, content hash); a picture per content hash."""
        rows = []
        for number, (item_id, (title, content)) in enumerate(sorted(contents.items())):
            key = f"raw/images/{content}.png"
            if not self.store.exists(key):
                sink = io.BytesIO()
                Image.fromarray(np.random.default_rng(number).integers(256, size=(20, 16, 3), dtype=np.uint8)).save(sink, "PNG")
                self.store.put(key, sink.getvalue())
            row = {"item_id": item_id, "title": title, "content_hash": content, "reference_image": key}
            rows.append(dict.fromkeys(ITEMS.names) | row)
        write_partition(self.store, keys.ITEMS, day, [pa.Table.from_pylist(rows, schema=ITEMS)], schema=ITEMS)

    def run(self, day: date = DAY, encoder: str | None = None, stopped: bool = False):
        settings = Settings(
            store=self.store.uri,
            work_folder=str(self.folder / "work"),
            backbones=BackboneSettings(encoder=encoder or self.encoder, device="cpu"),
            intake=IntakeSettings(max_image_bytes=5_000),
        )
        context = StageContext(stage="embed-items", run_date=day, settings=settings, store=self.store)
        context.stop.raised = stopped
        return embed_items.run(context)

    def bytes_of(self, day: date) -> dict[str, bytes]:
        return {key: self.store.get(key) for key in self.store.list(f"features/items/ds={day}")}


THREE = {"b": ("the quiet moon", "h1"), "a": ("sea of the tree", "h2"), "c": ("moon", "h3")}


def test_vectors_are_those_of_the_encoder_and_a_second_run_changes_nothing(shelf):
    shelf.put(DAY, THREE)
    outcome = shelf.run()
    assert outcome.counts == {"items": 3, "embedded": 3, "unreadable_images": 0, "reused": 0, "rows": 3}
    assert outcome.figures["max_abs_difference"] < 1e-3
    assert outcome.figures["provider"] == "CPUExecutionProvider"
    table = read_partition(shelf.store, keys.ITEM_FEATURES, DAY)
    assert table["item_id"].to_pylist() == ["a", "b", "c"]
    encoder = DualEncoder.load(shelf.encoder)
    image = encoder.preprocess_pil([Image.open(io.BytesIO(shelf.store.get("raw/images/h2.png")))])
    expected = [*encoder.embed_pixel_values(image)[0].tolist(), *encoder.embed_texts(["sea of the tree"])[0].tolist()]
    assert vector_matrix(table["vector"], 16)[0] == pytest.approx(expected, abs=1e-5)
    assert find_partition(shelf.store, keys.ITEM_FEATURES, DAY).metadata == {"encoder": encoder.identity, "width": 16}

    first = shelf.bytes_of(DAY)
    again = shelf.run()
    assert again.counts["embedded"] == 0
    assert again.counts["reused"] == 3
    assert shelf.bytes_of(DAY) == first
    for key in first:
        shelf.store.delete(key)
    shelf.run()
    assert shelf.bytes_of(DAY) == first


def test_only_new_and_changed_items_are_computed_and_gone_ones_leave(shelf):
    shelf.put(DAY, THREE)
    shelf.run()
    shelf.put(NEXT, {"a": THREE["a"], "b": ("the sea", "h9"), "d": ("tree", "h4")})
    outcome = shelf.run(NEXT)
    assert outcome.counts == {"items": 3, "embedded": 2, "unreadable_images": 0, "reused": 1, "rows": 3}
    today, before = (read_partition(shelf.store, keys.ITEM_FEATURES, day).to_pylist() for day in (NEXT, DAY))
    assert [row["item_id"] for row in today] == ["a", "b", "d"]
    assert today[0] == before[0]
    assert today[1]["vector"] != before[1]["vector"]


def test_another_encoder_computes_all_anew(shelf, tmp_path):
    shelf.put(DAY, THREE)
    shelf.run()
    other = make_encoder(tmp_path / "other", seed=3)
    assert shelf.run(encoder=str(other)).counts["embedded"] == 3


def test_an_unreadable_image_costs_its_item_alone(shelf):
    whole = {**THREE, "d": ("sea", "h4"), "e": ("sea", "h5"), "f": ("sea", "h6")}
    shelf.put(DAY, whole)
    shelf.store.put("raw/images/h1.png", shelf.store.get("raw/images/h1.png")[:90])
    shelf.store.put("raw/images/h4.png", b"\0" * 6_000)
    shelf.store.delete("raw/images/h5.png")
    outcome = shelf.run()
    assert outcome.counts["unreadable_images"] == 3
    assert outcome.counts["rows"] == outcome.counts["embedded"] == 3
    reasons = " ".join(outcome.figures["unreadable_examples"])
    assert all(word in reasons for word in ("b: image cannot be decoded", "d: image of 6000 bytes", "e: no object"))
    assert read_partition(shelf.store, keys.ITEM_FEATURES, DAY)["item_id"].to_pylist() == ["a", "c", "f"]


def test_when_no_image_can_be_read_the_day_is_refused(shelf):
    shelf.put(DAY, {"a": THREE["a"]})
    shelf.store.put("raw/images/h2.png", b"no image")
    with pytest.raises(GateRefused, match="not one of 1 items"):
        shelf.run()
    assert find_partition(shelf.store, keys.ITEM_FEATURES, DAY) is None


def test_a_stopped_run_goes_on_where_it_was(shelf, monkeypatch):
    monkeypatch.setattr(embed_items, "_CHUNK", 2)
    shelf.put(DAY, THREE)
    with pytest.raises(Interrupted, match="2 item vectors are kept"):
        shelf.run(stopped=True)
    assert find_partition(shelf.store, keys.ITEM_FEATURES, DAY) is None
    assert shelf.run().counts["embedded"] == 1


def test_no_catalogue_no_vectors(shelf):
    with pytest.raises(DataMissing, match="clean/items"):
        shelf.run()
