import io
from datetime import date

import numpy as np
from PIL import Image

from icg_tasks.config.settings import Settings
from icg_tasks.evaluation.segment_labels import segment_labels
from icg_tasks.lake.store import open_store
from icg_tasks.stage import StageContext


def test_segments_are_named_by_the_covers_they_like_and_broken_ones_are_left_out(tmp_path, capsys):
    store = open_store(str(tmp_path))
    rng, items = np.random.default_rng(0), {}
    for number in range(40):
        colour = (12, 10, 14) if number < 4 else rng.integers(60, 256, size=3)
        sink = io.BytesIO()
        Image.fromarray(np.broadcast_to(np.array(colour, dtype=np.uint8), (64, 48, 3)).copy()).save(sink, "PNG")
        store.put(f"raw/images/{number}.png", sink.getvalue() if number != 3 else b"no image")
        category = "mystery" if number < 4 else ["romance", "family"][number % 2]
        items[f"i{number}"] = {
            "title": f"Title {number}",
            "category": category,
            "reference_image": f"{number}.png",
            "content_hash": f"{number:03d}",
        }
    settings = Settings(store=store.uri, work_folder=str(tmp_path / "work"))
    context = StageContext(stage="report", run_date=date(2026, 3, 10), settings=settings, store=store)
    labels = segment_labels(context, [{"segment_id": "s000", "history": ["i0", "i1", "i2", "i3", "gone"]}], items)
    assert labels["s000"].topics == ["mystery"]
    assert "dark" in labels["s000"].looks
    assert labels["s000"].icon.startswith("<svg")
    assert "3.png gives its segment no looks" in capsys.readouterr().err
