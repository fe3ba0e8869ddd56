import numpy as np
import pytest
import torch

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.models.preference.model import CONFIG, ITEMS, ONNX, WEIGHTS, PreferenceModel
from icg_tasks.models.preference.network import PreferenceConfig, PreferenceNetwork
from icg_tasks.models.preference.onnx_export import MAX_DIFFERENCE, ParityError, check_parity, export_onnx


def made(seed=0, **changes) -> PreferenceModel:
    torch.manual_seed(seed)
    network = PreferenceNetwork(PreferenceConfig(**({"width": 6, "rank": 4, "num_slots": 3} | changes)))
    network.start(torch.randn(30, 12), np.zeros(network.config.num_slots), -1.4)
    with torch.no_grad():
        network.base_weight.copy_(torch.randn(12))
    return PreferenceModel(
        network=network.eval().requires_grad_(False),
        encoder="e",
        score_mean=-1.0,
        score_deviation=0.5,
        slots=[("home", 0), ("search", 3)],
        item_logits={"x": 0.25, "a": -1.0},
    )


def saved(model, folder):
    for name, data in model.files().items():
        (folder / name).write_bytes(data)
    return folder


def test_a_saved_model_scores_alike(tmp_path):
    model, users, images, titles = made(), torch.randn(5, 12), torch.randn(5, 6), torch.randn(5, 6)
    loaded = PreferenceModel.load(saved(model, tmp_path))
    assert torch.equal(loaded.score(users, images, titles), model.score(users, images, titles))
    assert torch.equal(loaded.base_score(images, titles), model.score(torch.zeros(5, 12), images, titles))
    assert (loaded.slots, loaded.item_logits, loaded.encoder) == (model.slots, model.item_logits, "e")
    assert loaded.files() == model.files()


def test_the_score_can_be_climbed_from_the_image():
    model, images = made(), torch.randn(5, 6, requires_grad=True)
    model.score(torch.randn(5, 12), images, torch.randn(5, 6)).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().min() > 0
    assert all(parameter.grad is None for parameter in model.network.parameters())


def test_no_row_of_a_batch_leaks_into_another():
    model, users, images, titles = made(), torch.randn(9, 12), torch.randn(9, 6), torch.randn(9, 6)
    together = model.score(users, images, titles)
    alone = torch.cat([model.score(users[row : row + 1], images[row : row + 1], titles[row : row + 1]) for row in range(9)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_vectors_of_another_encoder_are_refused():
    with pytest.raises(DataCorrupt, match="takes 6"):
        made().base_score(torch.randn(2, 7), torch.randn(2, 6))


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, ITEMS])
@pytest.mark.parametrize("data", [None, b"", b"{}", b"garbage" * 50])
def test_a_damaged_folder_is_refused_in_words(tmp_path, name, data):
    path = saved(made(), tmp_path) / name
    path.unlink() if data is None else path.write_bytes(data)
    with pytest.raises(DataCorrupt, match="no usable preference model"):
        PreferenceModel.load(tmp_path)


@pytest.mark.parametrize("changes", [{}, {"uses_image": False}, {"uses_base": False}])
def test_the_onnx_graph_computes_the_same_score(changes):
    model = made(**changes)
    users, covers = torch.randn(50, 12).numpy(), torch.randn(50, 12).numpy()
    exported = export_onnx(model)
    assert check_parity(exported, model, users, covers) < MAX_DIFFERENCE / 10
    assert export_onnx(model) == exported
    assert check_parity(exported, model, users[:1], covers[:1]) < MAX_DIFFERENCE


def test_an_export_that_computes_something_else_is_not_let_through():
    users, covers = torch.randn(50, 12).numpy(), torch.randn(50, 12).numpy()
    with pytest.raises(ParityError, match="differs from torch"):
        check_parity(export_onnx(made(seed=1)), made(seed=2), users, covers)


def test_the_file_names_are_what_readers_expect():
    assert {WEIGHTS, CONFIG, ITEMS, ONNX} == {"model.safetensors", "config.json", "items.parquet", "preference.onnx"}
