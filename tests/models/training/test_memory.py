"""Bytes are those of weights and of what a backward pass keeps, each storage once."""

import torch
from torch import nn

from icg_tasks.models.training.bench import Bench
from icg_tasks.models.training.memory import available_bytes, bytes_of, kept_for_backward, modules_of, tensors_of


def test_modules_are_found_wherever_an_object_of_ours_holds_them() -> None:
    one, two = nn.Linear(2, 3), nn.Linear(3, 1)
    bench = Bench(one, learning_rate=0.1, average_decay=0.9)
    assert modules_of({"a": [bench, (two,)], "b": one, "c": "text"}) in ([one, two], [two, one])
    assert bytes_of(tensors_of([one, one])) == 4 * (2 * 3 + 3)


def test_activations_count_once_and_weights_not_at_all() -> None:
    first, second = nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False)
    inputs = torch.randn(10, 64)
    with kept_for_backward(tensors_of([first, second])) as tally:
        kept = second(torch.relu(first(inputs))).square().sum()
    assert tally.bytes == 4 * 10 * 64 * 3  # the input, the rectified state (kept by two), the last state
    with kept_for_backward([]) as nothing, torch.no_grad():
        second(first(inputs))
    assert nothing.bytes == 0
    kept.backward()
    assert first.weight.grad is not None


def test_this_machine_has_some_memory() -> None:
    assert available_bytes(torch.device("cpu")) > 2**28
