"""The losses of both stages of Pigeon (WWW 2025). Pure functions of a token model's answers.

Legend: B samples, N codes of an image.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from icg_tasks.backbones.tokens.writing import Prompt, TokenModel


def reconstruction_loss(model: TokenModel, prompt: Prompt, target_BN: Tensor) -> Tensor:
    """Stage 1: next-code cross-entropy, over the target image's codes only; a scalar."""
    logits = model.logits(prompt, target_BN)
    return functional.cross_entropy(logits.flatten(0, 1), target_BN.flatten())


@dataclass(frozen=True, kw_only=True)
class LogChances:
    """Of two images under the same prompts [B]."""

    chosen_B: Tensor
    rejected_B: Tensor

    @property
    def margin_B(self) -> Tensor:
        """How much likelier the chosen one is."""
        return self.chosen_B - self.rejected_B


def preference_loss(policy: LogChances, start: LogChances, beta: float) -> Tensor:
    """Stage 2: -log sigmoid(beta (policy's margin - start's margin)), the sigmoid form of DPO (arXiv 2305.18290, equation 7).

    >>> from torch import tensor
    >>> policy = LogChances(chosen_B=tensor([-3.0]), rejected_B=tensor([-5.0]))
    >>> start = LogChances(chosen_B=tensor([-4.0]), rejected_B=tensor([-5.0]))
    >>> round(float(preference_loss(policy, start, 0.5)), 4)  # log(1 + exp(-0.5))
    0.4741
    """
    return -functional.logsigmoid(beta * (policy.margin_B - start.margin_B)).mean()
