"""The memory estimate: per backbone, growing with rows and graded steps, less with recomputation, refused with advice."""

from dataclasses import replace

import pytest
import torch

from icg_tasks.backbones.device import choose_compute
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.lake.registry import require_champion
from icg_tasks.models.icg.audience import read_audience
from icg_tasks.models.icg.batch import Batch, draw_batch
from icg_tasks.models.icg.budget import Budget, estimate, require_room
from icg_tasks.models.icg.catalogue import read_catalogue
from icg_tasks.models.icg.ground import choose_start, open_studio
from icg_tasks.models.icg.objective import Objective
from icg_tasks.models.icg.targets import Targets
from icg_tasks.models.icg.train_adapter import run
from icg_tasks.models.preference.model import KIND
from icg_tasks.models.rewards.table import SCALE_FLOORS
from icg_tasks.models.training.running import RunningScale
from icg_tasks.stage import StageContext
from tests.models.icg.planting import again, plant


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> StageContext:
    return plant(tmp_path_factory.mktemp("budget"))


@pytest.fixture(scope="module")
def scene(context: StageContext) -> tuple[Objective, Batch]:
    studio = open_studio(
        context, require_champion(context.store, KIND, context.run_date), choose_compute(context.settings.backbones)
    )
    learned, _, _ = read_catalogue(context)
    settings = replace(context.settings.adapter, batch_size=8)
    start = choose_start(context, studio, 256).adapter
    objective = Objective(studio=studio, start=start, covers=learned, scale=RunningScale(SCALE_FLOORS), settings=settings)
    batch = draw_batch(learned, read_audience(context, 256), Targets(learned, studio.judges.preference), settings, 0, 1000)
    return objective, batch


def of(objective: Objective, batch: Batch, graded: int) -> Budget:
    return estimate(
        replace(objective, settings=replace(objective.settings, reward_gradient_steps=graded)), objective.start, batch
    )


def test_it_grows_with_rows_and_graded_steps_and_changes_nothing(scene: tuple[Objective, Batch]) -> None:
    objective, batch = scene
    adapter = objective.start.requires_grad_(True)
    one, two = of(objective, batch, 1), of(objective, batch, 2)
    assert min(size for name, size in vars(one).items() if name != "policy") > 0
    assert one.policy == 0
    assert 1.2 * one.rewards < two.rewards < 2.2 * one.rewards
    assert two.kept == one.kept
    half = of(objective, batch.part(slice(0, 1)), 1)
    assert one.rewards == pytest.approx(2 * half.rewards, rel=0.01)
    assert one.denoiser > one.adapter > 1e6
    assert one.optimiser == 6 * one.adapter
    assert objective.scale.moments == {}
    assert all(part.grad is None for part in adapter.parameters())


def test_random_steps_of_a_group_count_where_policy_gradient_is_used(scene: tuple[Objective, Batch]) -> None:
    objective, batch = scene
    settings = replace(objective.settings, reward_optimiser="policy", policy_group=2)
    found = of(replace(objective, settings=settings), batch.part(slice(0, 1)), 1)
    assert found.policy > of(objective, batch.part(slice(0, 1)), 1).rewards / 4
    assert "policy" in found.told()


def test_recomputation_keeps_less_and_gives_the_same_gradients(scene: tuple[Objective, Batch]) -> None:
    objective, batch = scene
    adapter, small, found = objective.start.requires_grad_(True), batch.part(slice(0, 1)), []
    for enabled in (False, True):
        objective.studio.denoiser.checkpoint_gradients(enabled)
        fresh = replace(objective, scale=RunningScale(SCALE_FLOORS))
        loss, _ = fresh.loss(adapter, small)
        gradients = torch.autograd.grad(loss, list(adapter.parameters()), allow_unused=True)
        found.append((of(objective, batch, 2).rewards, torch.cat([part.flatten() for part in gradients if part is not None])))
    objective.studio.denoiser.checkpoint_gradients(False)
    assert found[1][0] < 0.7 * found[0][0]
    assert torch.allclose(found[0][1], found[1][1], rtol=1e-4, atol=1e-7)


def test_what_cannot_fit_is_refused_with_advice(context: StageContext) -> None:
    adapter = replace(context.settings.adapter, memory_limit_gb=0.05, reward_gradient_steps=2)
    small = again(context, settings=replace(context.settings, adapter=adapter))
    with pytest.raises(SettingsError, match=r"needs about .*denoiser .*memory_limit_gb allows 0.05 GB") as refusal:
        run(small)
    for advice in ("batch_size=2", "reward_gradient_steps=1", "gradient_checkpointing=true", "size_pixels"):
        assert advice in str(refusal.value)


def test_room_enough_is_no_error(scene: tuple[Objective, Batch]) -> None:
    budget = Budget(language=1, denoiser=1, judges=1, adapter=1, optimiser=1, rewards=1, policy=0, kept=1)
    require_room(budget, scene[0].settings, torch.device("cpu"))
