"""Texts never take more than was told before they are read, whoever wrote the file; nonsense is told as unknown, not raised."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from icg_tasks.intake.parquet_sizes import TextSizes, text_sizes

TEXTS = st.one_of(st.none(), st.text(max_size=40), st.sampled_from(["a" * 3_000, "b", ""]))


def told(path: Path) -> list[TextSizes | None]:
    with pq.ParquetFile(path) as file:
        groups = [file.metadata.row_group(number).column(0) for number in range(file.metadata.num_row_groups)]
        return [text_sizes(path, chunk) for chunk in groups]


def totals(path: Path) -> list[int]:
    found = [sizes.total for sizes in told(path) if sizes is not None and sizes.total is not None]
    assert len(found) == len(told(path))
    return found


def true_bytes(values: list[str | None]) -> int:
    return sum(len(value.encode()) for value in values if value is not None)


@settings(max_examples=80, deadline=None)
@given(
    values=st.lists(TEXTS, min_size=1, max_size=200),
    codec=st.sampled_from(["zstd", "snappy", "gzip", "brotli", "none"]),
    version=st.sampled_from(["1.0", "2.0"]),
    dictionary=st.booleans(),
    encoding=st.sampled_from(["PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"]),
    page=st.sampled_from([64, 1 << 20]),
    group=st.sampled_from([7, 1_000]),
)
def test_no_text_takes_more_than_was_told(tmp_path_factory, values, codec, version, dictionary, encoding, page, group):
    path = tmp_path_factory.mktemp("sizes") / "x.parquet"
    table = pa.table({"x": pa.array(values, pa.string())})
    more = {} if dictionary else {"column_encoding": {"x": encoding}}
    pq.write_table(
        table, path, compression=codec, data_page_version=version, use_dictionary=dictionary, data_page_size=page,
        dictionary_pagesize_limit=256, row_group_size=group, **more,
    )  # fmt: skip
    found = told(path)
    longest = max(len((value or "").encode()) for value in values)
    for number, sizes in enumerate(found):
        mine = [len((value or "").encode()) for value in values[number * group : (number + 1) * group]]
        assert sizes is not None
        assert sizes.longest >= max(mine)
        if dictionary or encoding != "DELTA_BYTE_ARRAY":
            assert sizes.total is not None
            assert sum(mine) <= sizes.total <= len(mine) * (longest + 8) + 700  # what pages need besides
        else:
            assert sizes.total is None


def test_a_dictionary_that_gave_way_to_plain_pages_is_told_closely(tmp_path):
    values = [f"impression-{number:09d}" for number in range(200_000)]
    pq.write_table(pa.table({"x": values}), tmp_path / "x.parquet", compression="zstd")
    (found,) = totals(tmp_path / "x.parquet")
    assert true_bytes(values) <= found <= 1.3 * true_bytes(values)


def test_one_huge_text_often_named_is_told(tmp_path):
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({"x": pa.array(["y" * 1_000_000] * 5_000).dictionary_encode()}), path, compression="zstd")
    assert path.stat().st_size < 10_000
    assert totals(path) == [5_000_000_000]


@settings(max_examples=150, deadline=None)
@given(places=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=20))
def test_damaged_pages_are_told_or_unknown_never_raised(tmp_path_factory, places):
    path = tmp_path_factory.mktemp("damage") / "x.parquet"
    pq.write_table(pa.table({"x": [f"text {number % 50}" for number in range(500)]}), path, data_page_size=256)
    with pq.ParquetFile(path) as file:
        chunk = file.metadata.row_group(0).column(0)
    data = bytearray(path.read_bytes())
    for share, byte in places:
        data[int(share * len(data))] = byte
    path.write_bytes(data)
    found = text_sizes(path, chunk)
    assert found is None or found.longest >= 0


def test_a_file_that_is_gone_is_unknown(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": ["a"]}), path)
    with pq.ParquetFile(path) as file:
        chunk = file.metadata.row_group(0).column(0)
    path.unlink()
    assert text_sizes(path, chunk) is None
