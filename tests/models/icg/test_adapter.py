"""The adapter: nobody special is exactly nobody special, rows do not leak, files come back."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from icg_tasks.backbones.denoisers.conditioning import Conditioning, ConditioningShape
from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.models.icg.adapter import AdapterConfig, IcgAdapter

CONFIG = AdapterConfig(
    language_width=12, num_meta_tokens=3, width=16, layers=1, heads=4, num_user_tokens=2, user_width=8,
    sequence_length=5, sequence_width=10, pooled_width=6,
)  # fmt: skip


def adapter(*, opened: bool = True) -> IcgAdapter:
    torch.manual_seed(0)
    made = IcgAdapter(CONFIG)
    if opened:
        with torch.no_grad():
            made.gate.fill_(1.0)
    return made.eval()


def states(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 3, 12, generator=torch.Generator().manual_seed(1))


def users(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(2))


def test_the_zero_vector_is_bit_for_bit_the_unpersonalised_condition_within_any_batch() -> None:
    vectors = users()
    vectors[1] = 0.0
    plain, personal = adapter()(states(), None), adapter()(states(), vectors)
    assert torch.equal(plain.sequence[1], personal.sequence[1])
    assert torch.equal(plain.pooled[1], personal.pooled[1])
    assert (plain.sequence - personal.sequence).abs().amax(dim=(1, 2))[[0, 2, 3]].min() > 1e-3


def test_an_untrained_gate_lets_nothing_through() -> None:
    closed = adapter(opened=False)
    assert torch.equal(closed(states(), users()).sequence, closed(states(), None).sequence)


def test_the_scale_goes_from_plain_to_personal_row_by_row() -> None:
    made = adapter()
    plain, personal = made(states(), None), made(states(), users())
    mixed = made(states(), users(), torch.tensor([0.0, 0.5, 1.0, 2.0]))
    assert torch.equal(mixed.sequence[0], plain.sequence[0])
    assert torch.allclose(mixed.sequence[1], (plain.sequence[1] + personal.sequence[1]) / 2, atol=1e-6)
    assert torch.allclose(mixed.pooled[2], personal.pooled[2], atol=1e-6)
    assert torch.allclose(mixed.pooled[3], 2 * personal.pooled[3] - plain.pooled[3], atol=1e-5)


def test_rows_do_not_leak_into_each_other() -> None:
    made, vectors = adapter(), users().requires_grad_()
    made(states(), vectors).sequence[0].sum().backward()
    assert vectors.grad[1:].abs().max() == 0
    assert vectors.grad[0].abs().max() > 0
    alone = made(states()[2:3], users()[2:3])
    assert torch.allclose(alone.sequence[0], made(states(), users()).sequence[2], atol=1e-6)


def test_a_short_vector_personalises_by_its_direction_and_a_vanishing_one_hardly() -> None:
    made = adapter()
    plain = made(states(), None).sequence

    def moved(length: float) -> float:
        vectors = torch.nn.functional.normalize(users(), dim=-1) * length
        return float((made(states(), vectors).sequence - plain).detach().norm())

    assert moved(0.4) > 0.95 * moved(1.0)  # a centroid of noisy users counts like a user
    assert moved(0.01) < 0.05 * moved(1.0)


def test_files_come_back_and_are_the_same_bytes(tmp_path: Path) -> None:
    made = adapter()
    for name, data in made.files().items():
        (tmp_path / name).write_bytes(data)
    loaded = IcgAdapter.load(tmp_path)
    assert torch.equal(loaded(states(), users()).sequence, made(states(), users()).sequence)
    assert loaded.files() == made.files()
    assert len(made.files(half=True)["adapter.safetensors"]) < 0.6 * len(made.files()["adapter.safetensors"])


def test_a_denoiser_without_pooled_vector_is_told_none(tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = IcgAdapter(replace(CONFIG, pooled_width=0))
    teacher = Conditioning(sequence=torch.randn(3, 5, 10), pooled=torch.zeros(3, 0))
    made.start_at(teacher)
    told = made(states(), users(), 0.5)
    assert told.pooled.shape == (4, 0)
    told.sequence.sum().backward()
    idle = {name for name, value in made.named_parameters() if value.grad is None}
    assert idle == {"meta_tokens"}  # they reach the adapter through the language model's states
    for name, data in made.files().items():
        (tmp_path / name).write_bytes(data)
    loaded = IcgAdapter.load(tmp_path)
    assert loaded.config.shape == ConditioningShape(length=5, width=10, pooled=0)
    assert torch.equal(loaded(states(), users(), 0.5).sequence, told.sequence)
    with pytest.raises(DataCorrupt, match="pooled_width"):
        replace(CONFIG, pooled_width=-1)


def test_damaged_files_and_absurd_configs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataCorrupt, match="no usable ICG adapter"):
        IcgAdapter.load(tmp_path)
    files = adapter().files()
    (tmp_path / "config.json").write_bytes(files["config.json"].replace(b'"width": 16', b'"width": 20'))
    (tmp_path / "adapter.safetensors").write_bytes(files["adapter.safetensors"])
    with pytest.raises(DataCorrupt):
        IcgAdapter.load(tmp_path)
    for field, value in (("width", 10**9), ("layers", 0), ("width", 15)):
        with pytest.raises(DataCorrupt):
            replace(CONFIG, **{field: value})
