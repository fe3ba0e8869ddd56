"""Settings of Pigeon: its token model, masks, both training stages, inference. The defaults of figures that the paper names are
the paper's (WWW 2025, arXiv 2410.14170)."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PigeonSettings:
    """The second generator; nothing of it runs unless ``train-pigeon`` is called."""

    token_family: str = "janus"  # noqa: S105 -- a family of models
    token_model: str = ""  # a folder, or a pinned hub id (owner/name@revision)
    history_length: int = 5  # covers somebody liked; with the target, windows of six
    history_mask: str = "learned"  # learned | random | none
    history_mask_ratio: float = 0.2
    mask_heads: int = 4
    mask_temperature: float = 1.0
    lora_rank: int = 8
    lora_alpha: int = 16
    reconstruction_steps: int = 400  # stage 1
    reconstruction_learning_rate: float = 1e-5
    preference_steps: int = 200  # stage 2; 0: stage 1 alone
    preference_learning_rate: float = 5e-6
    preference_beta: float = 0.1
    pair_windows: int = 64  # windows that candidates are written for, one per reference ratio
    pair_min_margin: float = 0.02  # in similarity; closer candidates teach nothing
    batch_size: int = 8
    evaluate_every: int = 50
    patience: int = 3  # checks of stage 1 without a better one, after which it ends
    checkpoint_every: int = 20
    ema_decay: float = 0.98
    max_windows: int = 4_000
    check_windows: int = 16
    max_loss: float = 0.02  # of both similarities together, that a challenger may lose against its start (low end)
    ratios: int = 11  # of the reference, from 0 to 1: candidates of a cover
    lone_ratio: float = -1.0  # of a cover that is drawn once; below 0: by chance, told by its seed
    stage: int = 2  # whose weights draw: 2, or 1 to leave pairwise alignment out
    reference_weight: float = 0.5  # of similarity to the reference, the rest to the history
    top_k: int = 50
    temperature: float = 1.0
    guidance: float = 1.0  # above 1: away from the prompt that says nothing
    memory_limit_gb: float = 0.0  # a training that would need more is refused; 0: what the device has
    seed: int = 29
