"""The optimiser, its averages, and taking up where it was."""

import copy

import torch
from torch import nn

from icg_tasks.models.training.bench import Bench


def loss_of(module: nn.Linear, step: int) -> torch.Tensor:
    inputs = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
    return (module(inputs) - inputs.sum(1, keepdim=True)).square().mean()


def bench(module: nn.Linear) -> Bench:
    return Bench(module, learning_rate=0.05, average_decay=0.9)


def module() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(3, 1)


def test_it_learns_and_its_steps_are_those_of_torchs_adamw() -> None:
    ours, theirs = module(), module()
    mine = bench(ours)
    reference = torch.optim.AdamW(theirs.parameters(), lr=0.05, betas=(0.9, 0.99), weight_decay=0.01)
    first = loss_of(ours, 0).item()
    for step in range(60):
        mine.step(loss_of(ours, step))
        reference.zero_grad()
        loss_of(theirs, step).backward()
        nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        reference.step()
    assert torch.allclose(ours.weight, theirs.weight, atol=1e-5)
    assert loss_of(ours, 0).item() < 0.1 * first
    assert not torch.equal(mine.average["weight"], ours.weight)


def test_taken_up_it_goes_on_to_the_same_weights() -> None:
    whole = module()
    straight = bench(whole)
    for step in range(6):
        straight.step(loss_of(whole, step))
    half = module()
    first = bench(half)
    for step in range(3):
        first.step(loss_of(half, step))
    saved, steps = copy.deepcopy(first.tensors()), first.steps
    other = nn.Linear(3, 1)
    second = bench(other)
    second.take_up(saved, steps)
    for step in range(3, 6):
        second.step(loss_of(other, step))
    assert torch.equal(other.weight, whole.weight)
    assert torch.equal(second.average["weight"], straight.average["weight"])


def test_a_loss_that_is_no_number_changes_nothing() -> None:
    steady = module()
    before = steady.weight.detach().clone()
    bench(steady).step(steady(torch.full((1, 3), float("nan"))).sum())
    assert torch.equal(steady.weight, before)
