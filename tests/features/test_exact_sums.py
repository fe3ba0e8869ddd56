import numpy as np
import pyarrow as pa
import pytest

from icg_tasks.features.exact_sums import fixed_point, list_column, sums_by_key, vector_array, vector_matrix


def batch(keys, vectors, numbers):
    return pa.RecordBatch.from_arrays(
        [pa.array(keys), pa.array(np.array(numbers, dtype=np.int64)), vector_array(np.array(vectors, dtype=np.float32))],
        ["key", "number", "vector"],
    )


def sums(batches):
    parts = sums_by_key(batches, ("key",), ("number",), lambda rows: fixed_point(list_column(rows, "vector", 2), 20))
    return {key[0]: (vector.tolist(), number.tolist()) for group in parts for key, vector, number in zip(*group, strict=True)}


def test_groups_that_straddle_batches_are_one():
    rng = np.random.default_rng(0)
    keys, vectors, numbers = sorted(rng.integers(5, size=40).tolist()), rng.normal(size=(40, 2)), rng.integers(9, size=40)
    whole = sums([batch(keys, vectors, numbers)])
    split = sums([batch(keys[a:b], vectors[a:b], numbers[a:b]) for a, b in ((0, 1), (1, 13), (13, 13), (13, 40))])
    assert whole == split
    assert whole[3][1] == [int(numbers[np.array(keys) == 3].sum())]


def test_one_key_over_many_batches_and_no_rows_at_all():
    assert sums([batch(["a"], [[0.5, 1]], [1]) for _ in range(3)]) == {"a": ([3 << 19, 3 << 20], [3])}
    assert sums([]) == {}


def test_null_vectors_are_zeros_and_odd_widths_are_refused():
    rows = pa.RecordBatch.from_arrays([pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float32()))], ["vector"])
    assert list_column(rows, "vector", 2).tolist() == [[1, 2], [0, 0], [3, 4]]
    assert list_column(rows.slice(2), "vector", 2).tolist() == [[3, 4]]
    with pytest.raises(ValueError, match="expected 3"):
        list_column(rows, "vector", 3)


def test_matrix_and_array_are_inverse():
    matrix = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert (vector_matrix(pa.chunked_array([vector_array(matrix[:1]), vector_array(matrix[1:])]), 2) == matrix).all()
    assert vector_matrix(pa.chunked_array([], pa.list_(pa.float32())), 2).shape == (0, 2)
