import numpy as np
import pytest
import torch

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.models.preference.network import PreferenceConfig, PreferenceNetwork


def network(**changes) -> PreferenceNetwork:
    torch.manual_seed(0)
    made = PreferenceNetwork(PreferenceConfig(**({"width": 6, "rank": 4, "num_slots": 5} | changes)))
    made.start(torch.randn(30, 12), np.zeros(made.config.num_slots), -1.4)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made.requires_grad_(False)


def test_the_mean_logit_of_users_is_the_logit_of_their_centroid():
    net, users, cover = network(), torch.randn(40, 12), torch.randn(1, 12)
    scores = net.served(users, cover.expand(40, -1))
    assert scores.std() > 0.1
    torch.testing.assert_close(scores.mean(), net.served(users.mean(0, keepdim=True), cover)[0])


def test_nobody_special_gets_the_base_score():
    net, covers = network(), torch.randn(7, 12)
    torch.testing.assert_close(net.served(torch.zeros(7, 12), covers), net.base(covers))


def test_no_user_shifts_the_scores_of_all_covers():
    net, user = network(), torch.randn(1, 12)
    assert net.taste(user, net.cover_mean[None]).abs().item() < 1e-6


def test_place_and_activity_are_in_the_click_but_not_in_the_score():
    net, user, cover = network(), torch.randn(2, 12), torch.randn(2, 12)
    first, second = (net(user, cover, torch.full((2,), slot)) for slot in (1, 2))
    torch.testing.assert_close(second - first, (net.slot_logits[2] - net.slot_logits[1]).expand(2))
    assert (first - net.slot_logits[1] - net.served(user, cover)).abs().max() > 1e-3


def test_a_network_without_images_ignores_both_image_halves():
    net = network(uses_image=False)
    users, covers = torch.randn(5, 12), torch.randn(5, 12)
    changed_users, changed_covers = users.clone(), covers.clone()
    changed_users[:, :6] += 1.0
    changed_covers[:, :6] += 1.0
    assert torch.equal(net.served(users, covers), net.served(changed_users, changed_covers))
    assert not torch.equal(network().served(users, covers), network().served(changed_users, changed_covers))


def test_centred_places_keep_every_logit_of_rows_and_make_the_unknown_place_average():
    net, users, covers = network(), torch.randn(50, 12), torch.randn(50, 12)
    slots = torch.randint(1, 5, (50,))
    before = net(users, covers, slots)
    net.centre_slots(slots)
    torch.testing.assert_close(net(users, covers, slots), before)
    assert net.slot_logits[slots].mean().abs() < 1e-6
    assert net.slot_logits[0] == 0


@pytest.mark.parametrize("change", [{"width": 0}, {"rank": -1}, {"num_slots": 10**9}, {"width": "6"}])
def test_absurd_shapes_are_refused_before_anything_is_allocated(change):
    with pytest.raises(DataCorrupt, match=next(iter(change))):
        PreferenceConfig(**({"width": 6, "rank": 4, "num_slots": 5} | change))
