"""Profiles: each a function returning all settings. Add one here and one line in PROFILES."""

from collections.abc import Callable

from icg_tasks.config.features import FeatureSettings
from icg_tasks.config.intake import IntakeSettings, PrivacySettings
from icg_tasks.config.pigeon import PigeonSettings
from icg_tasks.config.settings import (
    AdapterSettings,
    BackboneSettings,
    CoverSettings,
    EvaluationSettings,
    PreferenceSettings,
    Settings,
    SparkSettings,
)


def tiny() -> Settings:
    """The embedded default: the shipped tiny stack on two CPU cores, a local folder as object store."""
    return Settings(
        profile="tiny",
        pigeon=PigeonSettings(
            token_model="zoo:janus",  # noqa: S106 -- a checkpoint
            reconstruction_steps=100,
            reconstruction_learning_rate=3e-4,
            preference_steps=60,
            preference_learning_rate=1e-4,
            pair_windows=96,
            ratios=5,
            evaluate_every=20,
            patience=2,
            max_windows=800,
            check_windows=48,
            max_loss=0.1,  # so few single samples tell no less: their interval is 0.05 to either side
            reference_weight=0.2,  # at a half, the candidate most like the item's own cover wins: no taste is in its looks
            temperature=0.6,
            guidance=3.0,
        ),
    )


def production() -> Settings:
    """Public checkpoints on GPU nodes, S3, Spark on a cluster. Override store and spark.master for your platform."""
    return Settings(
        profile="production",
        store="s3://icg-covers/prod",
        work_folder="/var/lib/icg",
        source="platform",
        intake=IntakeSettings(catch_up_days=3),
        privacy=PrivacySettings(min_published_users=100),
        backbones=BackboneSettings(
            encoder="openai/clip-vit-large-patch14@32bd64288804d66eefd0ccbe215aa642df71cc41",
            language_model="Qwen/Qwen2.5-VL-3B-Instruct@66285546d2b821cf421d4f5eb2576359d3770cd3",
            denoiser="stabilityai/stable-diffusion-xl-base-1.0@462165984030d82259a11f4367a4eed129e94a7b",
            aesthetic="",
            warm_adapter="",
        ),
        features=FeatureSettings(
            window_days=60,
            profile_days=7,
            half_life_days=21.0,
            carry_window=True,
            num_segments=512,
            min_segment_users=200,
            num_top_segments=128,
            kmeans_dimensions=64,
        ),
        preference=PreferenceSettings(train_days=14, rank=128, batch_size=16_384),
        adapter=AdapterSettings(
            num_meta_tokens=77,
            num_user_tokens=8,
            connector_layers=6,
            connector_heads=16,
            aesthetic_weight=0.0,
            alignment_steps=2_000,
            reward_steps=400,
            learning_rate=1e-4,
            denoising_steps=12,
            gradient_checkpointing=True,
            images_every=50,
            lora_steps=500,
        ),
        covers=CoverSettings(
            items_per_segment=1_000, candidates=4, steps=25, guidance=5.0, size_pixels=1024, batch_size=4, shard_size=512
        ),
        evaluation=EvaluationSettings(tower=""),
        spark=SparkSettings(master="yarn", shuffle_partitions=400, driver_memory="8g"),
    )


PROFILES: dict[str, Callable[[], Settings]] = {"tiny": tiny, "production": production}
