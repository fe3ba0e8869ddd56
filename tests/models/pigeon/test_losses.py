"""Stage 2's loss beside TRL's DPO trainer, on one tiny language model: the same number and the same gradients.

TRL computes it inside a trainer that runs a model on token ids; Pigeon's prompts are embeddings with masks, so it cannot
serve here, only witness.
"""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from icg_tasks.models.pigeon.losses import LogChances, preference_loss

BETA = 0.3
JANUS = Path(__file__).resolve().parents[3] / "zoo" / "janus"


def tiny(words: int, seed: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=words,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    return LlamaForCausalLM(config)


def log_chances(model: LlamaForCausalLM, batch: dict[str, Tensor]) -> LogChances:
    """Of the completions alone, as Pigeon sums them over the codes of an image."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    each = torch.log_softmax(logits, dim=-1).gather(-1, batch["input_ids"][:, 1:, None])[..., 0]
    chosen, rejected = (each * batch["completion_mask"][:, 1:]).sum(dim=1).chunk(2)
    return LogChances(chosen_B=chosen, rejected_B=rejected)


def test_it_is_trls(tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    words = AutoTokenizer.from_pretrained(JANUS)
    policy, start = tiny(len(words), 1), tiny(len(words), 2)
    pairs = {
        "prompt": ["a cat at night", "a red house"],
        "chosen": [" moon and cat", " roof"],
        "rejected": [" key", " a fish in a cup"],
    }
    arguments = DPOConfig(
        output_dir=str(tmp_path), beta=BETA, report_to=[], use_cpu=True, per_device_train_batch_size=2, disable_dropout=True,
        gradient_checkpointing=False, bf16=False, save_strategy="no",
    )  # fmt: skip
    trainer = DPOTrainer(
        policy, ref_model=start, args=arguments, train_dataset=Dataset.from_dict(pairs), processing_class=words
    )
    batch = next(iter(trainer.get_train_dataloader()))
    theirs = trainer.compute_loss(trainer.model, dict(batch))
    theirs.backward()
    gradients = {name: part.grad.clone() for name, part in trainer.model.named_parameters() if part.grad is not None}
    trainer.model.zero_grad()

    with torch.no_grad():
        reference = log_chances(start, batch)
    ours = preference_loss(log_chances(trainer.model, batch), reference, BETA)
    ours.backward()
    assert float(ours) == pytest.approx(float(theirs), abs=1e-5)
    assert abs(float(ours) - 0.6931) > 1e-3  # policy and start do differ
    for name, part in trainer.model.named_parameters():
        if name in gradients:
            assert torch.allclose(part.grad, gradients[name], atol=1e-5), name
