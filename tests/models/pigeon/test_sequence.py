"""What the token model is asked: hidden history is zeros, hidden reference is left out, the target alone is learned."""

import torch

from icg_tasks.backbones.tokens.janus import Janus
from icg_tasks.models.pigeon.losses import reconstruction_loss
from icg_tasks.models.pigeon.masks import MaskPlan, Masks
from icg_tasks.models.pigeon.model import Pigeon
from icg_tasks.models.pigeon.sequence import Asked, log_chance, personal_prompt, plain_prompt


def whole(asked: Asked) -> Masks:
    return Masks(history_BHN=torch.ones(asked.history_BHN.shape), reference_BN=torch.ones(asked.reference_BN.shape))


def test_hidden_codes_of_a_history_are_zero_vectors_in_their_place(tokens: Janus, asked: Asked) -> None:
    masks = whole(asked)
    masks.history_BHN[0, 2, 7] = 0
    plain, hidden = (personal_prompt(tokens, asked, one).embeds_BTD for one in (whole(asked), masks))
    changed = (plain[0] != hidden[0]).any(dim=-1).nonzero().flatten()
    assert plain.shape == hidden.shape
    assert len(changed) == 1
    assert bool((hidden[0, changed] == 0).all())


def test_hidden_codes_of_a_reference_are_left_out_of_one_soft_token(tokens: Janus, asked: Asked) -> None:
    kept = torch.zeros(asked.reference_BN.shape)
    kept[0, :4] = 1
    masks = Masks(history_BHN=whole(asked).history_BHN, reference_BN=kept)
    found = personal_prompt(tokens, asked, masks).embeds_BTD
    mean = tokens.embed_codes(asked.reference_BN)[0, :4].mean(dim=0)
    places = (found[0] - mean).abs().amax(dim=-1) < 1e-6
    assert int(places.sum()) == 1
    other = Asked(history_BHN=asked.history_BHN, reference_BN=(asked.reference_BN * (kept == 1)).long(), titles=asked.titles)
    assert torch.equal(found[0], personal_prompt(tokens, other, masks).embeds_BTD[0])  # what is hidden cannot be read


def test_nobodys_prompt_knows_no_history(tokens: Janus, asked: Asked) -> None:
    kept = whole(asked).reference_BN
    other = Asked(history_BHN=(asked.history_BHN + 1) % 16, reference_BN=asked.reference_BN, titles=asked.titles)
    first, second = (plain_prompt(tokens, one, kept).embeds_BTD for one in (asked, other))
    assert torch.equal(first, second)
    assert first.shape[1] < personal_prompt(tokens, asked, whole(asked)).embeds_BTD.shape[1]


def test_the_loss_is_of_the_targets_codes_alone(tokens: Janus, asked: Asked) -> None:
    prompt = personal_prompt(tokens, asked, whole(asked))
    with torch.no_grad():
        loss = reconstruction_loss(tokens, prompt, asked.reference_BN)
        chances = torch.log_softmax(tokens.logits(prompt, asked.reference_BN), dim=-1)
        by_hand = [chances[row, place, asked.reference_BN[row, place]] for row in range(3) for place in range(16)]
        assert torch.allclose(loss, -torch.stack(by_hand).mean(), atol=1e-6)
        assert torch.allclose(log_chance(tokens, prompt, asked.reference_BN).sum(), torch.stack(by_hand).sum(), atol=1e-4)


def test_stage_one_teaches_masks_and_lora_and_nothing_else(pigeon: Pigeon, asked: Asked) -> None:
    plan = MaskPlan(reference_ratio_B=torch.tensor([0.3, 0.5, 0.7]), seeds=[1, 2, 3], draws=True)
    masks = pigeon.draw_masks(asked, plan)
    reconstruction_loss(pigeon.tokens, pigeon.prompt(asked, masks), asked.reference_BN).backward()
    learned = pigeon.trained()
    assert {name for name, part in pigeon.named_parameters() if part.grad is not None} == set(learned)
    reached = {name for name, part in learned.items() if float(part.grad.abs().max()) > 0}
    assert any(name.startswith("masks.layer") for name in reached)
    assert any("lora_B" in name and ("q_proj" in name or "v_proj" in name) for name in reached)
    assert not any("k_proj" in name or "o_proj" in name for name in learned)


def test_a_fresh_lora_changes_nothing(tokens: Janus, pigeon: Pigeon, asked: Asked, janus_folder) -> None:
    prompt = personal_prompt(pigeon.tokens, asked, whole(asked))
    bare = Janus.load(str(janus_folder), tokens.compute)
    with torch.no_grad():
        assert torch.equal(pigeon.tokens.logits(prompt, asked.reference_BN), bare.logits(prompt, asked.reference_BN))
