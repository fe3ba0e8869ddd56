"""How well an image shows what its title says."""

from torch import Tensor

from icg_tasks.models.rewards.context import RewardContext


def relevance_reward(images_BCHW: Tensor, context: RewardContext) -> Tensor:
    """Cosine of image and title vectors [B] in [-1, 1], of images [B, 3, H, W] in [0, 1]; differentiable."""
    return (context.image_vectors(images_BCHW) * context.title_vectors).sum(dim=-1)
