"""The generator: the same bytes whoever else is drawn, nobody special is the plain cover, users make a difference."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from icg_tasks.contracts.errors import DataCorrupt, DataMissing, SettingsError
from icg_tasks.lake.registry import publish_version, set_champion
from icg_tasks.models.icg.adapter import KIND, AdapterConfig, IcgAdapter
from icg_tasks.models.icg.generator import IcgGenerator
from icg_tasks.stage import StageContext
from tests.models.icg.planting import DAY, plant


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> StageContext:
    """A day with a champion whose gate is open."""
    planted = plant(tmp_path_factory.mktemp("generator"), "covers.steps=2", "covers.batch_size=4")
    torch.manual_seed(1)
    adapter = IcgAdapter(
        AdapterConfig(
            language_width=128, num_meta_tokens=8, width=128, layers=1, heads=4, num_user_tokens=2, user_width=256,
            sequence_length=32, sequence_width=128, pooled_width=128,
        ),
        0.06,
    )  # fmt: skip
    with torch.no_grad():
        adapter.gate.fill_(0.5)
    set_champion(planted.store, publish_version(planted.store, KIND, adapter.files(), {}), DAY, reason="planted")
    return planted


@pytest.fixture(scope="module")
def generator(context: StageContext) -> IcgGenerator:
    return IcgGenerator.load(context)


def states(generator: IcgGenerator) -> torch.Tensor:
    return generator.item_states([Image.new("RGB", (64, 64), "navy")], ["A boat at dawn"])


def test_an_image_does_not_depend_on_how_many_others_are_drawn(generator: IcgGenerator) -> None:
    read = states(generator).expand(6, -1, -1)
    users = torch.randn(6, 256, generator=torch.Generator().manual_seed(4))
    told = generator.conditions(read, users)
    many = generator.sample(told, list(range(6)))
    alone = generator.sample(told.rows(slice(0, 1)), [0])
    assert many.shape == (6, 3, 64, 64)
    assert torch.equal((many[0] * 255).round(), (alone[0] * 255).round())
    assert torch.equal(many, generator.sample(told, list(range(6))))
    assert (many[0] - many[1]).abs().mean() > 1e-3


def test_onnx_runtime_draws_the_same_where_it_is_asked_for(context: StageContext, generator: IcgGenerator) -> None:
    how, backbones = (
        replace(context.settings.generation, runtime="onnx"),
        replace(context.settings.backbones, precision="bfloat16"),
    )
    other = IcgGenerator.load(replace(context, settings=replace(context.settings, generation=how, backbones=backbones)))
    users = torch.randn(6, 256, generator=torch.Generator().manual_seed(4))
    told = generator.conditions(states(generator).expand(6, -1, -1), users)
    found = other.sample(told, list(range(6)))
    assert (
        found - generator.sample(told, list(range(6)))
    ).abs().mean() < 4e-3  # a level of 255; torch may multiply in bfloat16
    assert torch.equal(other.sample(told.rows(slice(0, 1)), [0])[0], found[0])
    strange = replace(context, settings=replace(context.settings, generation=replace(how, runtime="tensorrt")))
    with pytest.raises(SettingsError, match="expected torch or onnx"):
        IcgGenerator.load(strange)


def test_nobody_and_a_scale_of_zero_are_the_plain_condition(generator: IcgGenerator) -> None:
    read = states(generator).expand(2, -1, -1)
    users = torch.stack([torch.zeros(256), torch.ones(256)])
    plain = generator.conditions(read, None)
    personal = generator.conditions(read, users)
    assert torch.equal(plain.sequence[0], personal.sequence[0])
    assert not torch.equal(plain.sequence[1], personal.sequence[1])
    assert torch.equal(generator.conditions(read, users, torch.zeros(2)).sequence, plain.sequence)


def test_a_scale_of_zero_draws_the_unpersonalised_cover_bit_for_bit(generator: IcgGenerator) -> None:
    read, users = states(generator).expand(2, -1, -1), torch.randn(2, 256, generator=torch.Generator().manual_seed(5))
    plain = generator.sample(generator.conditions(read, None), [1, 2])
    assert torch.equal(generator.sample(generator.conditions(read, users, 0.0), [1, 2]), plain)
    assert not torch.equal(generator.sample(generator.conditions(read, users, 0.5), [1, 2]), plain)


def test_what_does_not_fit_is_refused(generator: IcgGenerator, context: StageContext) -> None:
    with pytest.raises(DataCorrupt, match="wide"):
        generator.conditions(states(generator), torch.zeros(1, 8))
    with pytest.raises(DataCorrupt, match="seeds"):
        generator.sample(generator.conditions(states(generator), None), [1, 2])
    narrow = IcgAdapter(replace(generator.adapter.config, sequence_width=64))
    with pytest.raises(DataCorrupt, match="train an adapter"):
        IcgGenerator(narrow, generator.language, generator.denoiser, context.settings.covers, generator.compute)


def test_without_a_champion_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="train-adapter"):
        IcgGenerator.load(plant(tmp_path))
