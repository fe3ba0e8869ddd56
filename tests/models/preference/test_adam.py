import pytest
import torch

from icg_tasks.models.preference.adam import AdamW


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_it_steps_as_torchs_own_does(decay):
    torch.manual_seed(0)
    ours, theirs = torch.nn.Parameter(torch.randn(7)), torch.nn.Parameter(torch.zeros(7))
    theirs.data.copy_(ours.data)
    still = torch.nn.Parameter(torch.ones(2))
    mine, reference = AdamW([ours, still], 0.01, decay), torch.optim.AdamW([theirs], lr=0.01, weight_decay=decay)
    for pace in (1.0, 0.5, 0.25, 0.5, 1.0):
        for parameter in (ours, theirs):
            ((parameter - 2.0) ** 4).sum().backward()
        reference.param_groups[0]["lr"] = 0.01 * pace
        mine.step(pace)
        reference.step()
        reference.zero_grad()
        torch.testing.assert_close(ours.data, theirs.data)
    assert torch.equal(still, torch.ones(2))
