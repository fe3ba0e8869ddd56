import numpy as np
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil

from icg_tasks.models.rewards.relevance import relevance_reward


def test_a_cover_is_most_relevant_to_its_own_title(images, context):
    with torch.no_grad():
        cosines = context.image_vectors(images) @ context.title_vectors.T
        found = relevance_reward(images, context)
    torch.testing.assert_close(found, cosines.diagonal())
    assert (cosines.argmax(dim=1) == torch.arange(len(images))).float().mean() >= 0.8
    assert cosines.abs().max() <= 1.0 + 1e-5


def test_pixels_are_prepared_as_the_checkpoints_own_processor_does(drawn, context, zoo):
    """Golden: 96 x 80 pictures through transformers' processor and our differentiable one, compared in vectors."""
    pictures = [Image.fromarray(image).resize((96, 80), Image.Resampling.NEAREST) for image in drawn]
    processor = CLIPImageProcessorPil.from_pretrained(zoo / "dual_encoder")
    encoder = context.models.encoder
    pixels = torch.stack([torch.from_numpy(np.array(picture)) for picture in pictures])
    with torch.no_grad():
        wanted = encoder.embed_pixel_values(processor(images=pictures, return_tensors="pt")["pixel_values"])
        found = context.image_vectors(pixels.permute(0, 3, 1, 2).float() / 255)
    assert (wanted * found).sum(dim=-1).min() > 0.999
