"""Alone every method is the identity; what the launcher asks for in precision is obeyed or refused."""

import pytest
import torch

from icg_tasks.backbones.device import Compute
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.models.training.processes import Processes, launched_precision

COMPUTE = Compute(device=torch.device("cpu"), bfloat16=False)


def test_alone_nothing_changes() -> None:
    alone, rows = Processes(), torch.arange(6.0).view(3, 2)
    assert alone.is_main
    assert alone.own(8) == slice(0, 8)
    assert alone.dealt(3) == [0, 1, 2]
    assert alone.collected(rows, 3) is rows
    assert alone.gather_graded(rows) is rows
    assert alone.any(True)
    assert not alone.any(False)
    assert alone.from_main({"a": 0.1}) == {"a": 0.1}
    assert alone.mean_figures({"a": 0.1}) == {"a": 0.1}


@pytest.mark.parametrize(("count", "total"), [(2, 5), (3, 7), (4, 2)])
def test_every_number_is_dealt_and_found_again(count: int, total: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hands = [Processes(count=count, index=index).dealt(total) for index in range(count)]
    assert len({len(hand) for hand in hands}) == 1
    whole = torch.tensor([float(number) for hand in hands for number in hand])
    monkeypatch.setattr(Processes, "gather", lambda self, rows: whole)  # what the others would have sent
    found = Processes(count=count, index=0).collected(torch.tensor(hands[0]), total)
    assert found.tolist() == list(range(total))


def test_the_launchers_precision_counts_where_settings_leave_it_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    assert launched_precision(COMPUTE, "auto").bfloat16
    assert not launched_precision(COMPUTE, "float32").bfloat16
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    with pytest.raises(SettingsError, match="bf16"):
        launched_precision(COMPUTE, "auto")


def test_a_launcher_that_started_one_of_several_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.setenv("MASTER_PORT", "29500")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(SettingsError, match="--multi_gpu"):
        Processes.join(COMPUTE)
