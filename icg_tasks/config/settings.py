"""The settings tree: nested frozen dataclasses, one per wing. Plain values only, so ``--set section.field=value`` can reach
every leaf. Secrets are never settings: they come from the environment alone.
"""

from dataclasses import dataclass, field

from icg_tasks.config.features import FeatureSettings
from icg_tasks.config.generation import GenerationSettings
from icg_tasks.config.housekeeping import HousekeepingSettings
from icg_tasks.config.intake import IntakeSettings, PrivacySettings
from icg_tasks.config.pigeon import PigeonSettings


@dataclass(frozen=True, kw_only=True)
class WorldSettings:
    """The embedded world (simulation only; production reads real logs)."""

    seed: int = 7
    catalogue: str = "covers"  # covers | stickers (of emotions; no model of the tiny stack was shown any)
    num_items: int = 640
    new_items_per_day: int = 4
    num_users: int = 20_000
    new_users_per_day: int = 60
    impressions_per_day: int = 100_000
    num_days: int = 10
    late_share: float = 0.010
    duplicate_share: float = 0.005
    malformed_share: float = 0.004
    exploration: float = 0.5  # share of impressions that show the item's own cover although a personalised one is up


@dataclass(frozen=True, kw_only=True)
class BackboneSettings:
    """Checkpoints by local folder or pinned hub id (owner/name@revision); ``zoo:`` is the shipped tiny stack's folder."""

    encoder: str = "zoo:dual_encoder"
    language_model: str = "zoo:language_model"
    language_family: str = "qwen2_5_vl"
    denoiser: str = "zoo:denoiser"
    denoiser_family: str = "sdxl"
    aesthetic: str = "zoo:aesthetic"  # a folder, or a safetensors file of the public predictor's shape; empty: none
    judges: str = ""  # of adapter.more_rewards: NAME=CHECKPOINT (or CHECKPOINT+HEAD.safetensors), comma-separated
    warm_adapter: str = "zoo:adapter"  # empty: start from nothing
    precision: str = "auto"  # auto | float32 | bfloat16
    device: str = "auto"  # auto | cpu | cuda
    attention: str = "sdpa"  # of the language model: sdpa | eager | flash_attention_2 | flex_attention


@dataclass(frozen=True, kw_only=True)
class PreferenceSettings:
    """The preference model: click from user vector, cover image features, item, position."""

    train_days: int = 6
    max_rows: int = 2_000_000  # beyond this, a stable share of users learns
    rank: int = 48
    epochs: int = 4
    batch_size: int = 4096
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    item_prior: float = 10.0  # expected clicks that speak against an item's own popularity
    bootstrap_samples: int = 200
    seed: int = 3
    max_canary_calibration: float = 0.05
    min_canary_dispersion: float = 0.01  # of served scores, in logits
    max_canary_dispersion: float = 3.0
    max_inferiority: float = 0.002  # AUC a challenger may lose to the champion, lower end of the interval


@dataclass(frozen=True, kw_only=True)
class AdapterSettings:
    """ICG: meta tokens, connector, gated user refinement, its training."""

    num_meta_tokens: int = 8
    connector_layers: int = 2
    connector_heads: int = 4
    num_user_tokens: int = 4
    user_dropout: float = 0.2
    alignment_steps: int = 0  # a warm start needs none
    search_tastes: int = 288  # user vectors that looks are drawn for before the rewards; 0: no search
    search_steps: int = 160  # to learn which of these looks each user would like best
    reward_steps: int = 40
    batch_size: int = 16
    learning_rate: float = 2.5e-4
    denoising_steps: int = 4  # of a sample in training and checks; served covers take covers.steps
    reward_gradient_steps: int = 3  # of those, the last that carry a gradient
    preference_weight: float = 2.0
    relevance_weight: float = 0.5
    aesthetic_weight: float = 0.2
    more_rewards: str = ""  # beside these three, with judges of their own: NAME=weight, comma-separated
    denoising_weight: float = 0.2
    anchor_weight: float = 0.2
    dispersion_weight: float = 0.1
    reward_cap: float = 3.0
    reward_optimiser: str = "declared"  # declared: back-propagation where a reward is differentiable | policy: never
    policy_group: int = 8  # covers of one item and user that policy gradient compares
    policy_updates: int = 2  # on the same covers
    policy_clip: float = 0.1  # of the likelihood ratio of a denoising step
    policy_noisiness: float = 1.0  # of a random step, in DDPM's own
    policy_divergence_weight: float = 0.04
    gradient_checkpointing: bool = False  # compute activations twice instead of keeping them
    memory_limit_gb: float = 0.0  # a training that would need more is refused; 0: what the device has
    canary_rollback: bool = True  # false shows what happens without it (benchmarks/reward_hacking.py)
    ema_decay: float = 0.98
    checkpoint_every: int = 20
    evaluate_every: int = 20
    images_every: int = 20  # a sheet of covers for the training's record; 0: none
    seed: int = 5
    lora_rank: int = 8
    lora_learning_rate: float = 1e-3
    lora_steps: int = 0  # adapt-denoiser: 0 = the catalogue's covers are what the denoiser already draws


@dataclass(frozen=True, kw_only=True)
class CoverSettings:
    """What is generated for whom, and how it is written."""

    items_per_segment: int = 32
    variants: int = 1
    candidates: int = 4  # images drawn per cover; the preference model keeps the best
    steps: int = 8
    guidance: float = 2.0
    personalisation: float = 1.0
    batch_size: int = 32
    shard_size: int = 160
    segment_tolerance: float = 0.02  # cosine drift below which a segment's covers are kept
    webp_quality: int = 92
    size_pixels: int = 64
    seed: int = 17
    min_subject_relevance: float = -1.0  # cosine of cover and title below which any cover is rejected
    candidate_slack: float = 0.2  # share of own relevance a candidate may lack against the most relevant
    max_relevance_loss: float = 0.6  # share of the own cover's relevance that a generated cover may lose before it is rejected
    max_rejected_share: float = 0.5  # of the covers made on a day, beyond which nothing is published
    move_current_backwards: bool = False  # publish-covers of a past date may move current.json back
    parent_distance: float = 0.0  # cosine distance up to which a segment without a cover borrows another one's; 0: never
    near_duplicate_levels: float = 1.0  # of 255, mean difference of small copies below which two items share a cover; 0: none
    safety_checker: str = ""  # checkpoint of diffusers' StableDiffusionSafetyChecker, a folder or a pinned hub id; empty: none
    title_overlay: bool = False  # write the title on the cover
    title_font: str = ""  # TrueType or OpenType file; empty: the one that comes with Pillow
    c2pa_certificate: str = ""  # PEM chain that signs covers (C2PA), with c2pa_key; empty: no signature
    c2pa_key: str = ""  # PEM private key of that certificate
    c2pa_algorithm: str = "es256"  # es256 | es384 | es512 | ps256 | ps384 | ps512 | ed25519
    c2pa_timestamp_url: str = ""  # time-stamping authority (RFC 3161); empty: no time stamp
    retention_dates: int = 30  # icg covers collect keeps the newest so many published dates, and pinned ones
    collect_grace_hours: float = 24.0  # nothing written or replaced so recently is collected


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Arms and the table."""

    num_segments: int = 6
    items_per_segment: int = 22  # times 6 segments: 132 pairs
    best_of: int = 8
    catalogue_covers: int = 1024  # per subject, for best_achievable
    bootstrap_samples: int = 1000
    rivals: str = ""  # other generators as further arms, comma-separated: icg, pigeon, pigeon_stage_1
    tower: str = "zoo:judge"  # vision net that image metrics see by, one that no reward uses; empty: backbones.encoder
    seed: int = 23


@dataclass(frozen=True, kw_only=True)
class SparkSettings:
    """Spark session settings; a cluster is a master URL away."""

    master: str = "local[*]"
    shuffle_partitions: int = 4
    driver_memory: str = "2g"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything. ``store`` is ``file:///folder``, a plain folder, or ``s3://bucket/prefix``."""

    profile: str = "tiny"
    store: str = ".demo/store"
    work_folder: str = ".cache/work"  # local scratch: resumable checkpoints, staging
    generator: str = "icg"  # icg | pigeon; several with commas: covers of the others lie beside as variants
    source: str = "world"  # world | classics | … : what the report may claim about looks
    world: WorldSettings = field(default_factory=WorldSettings)
    intake: IntakeSettings = field(default_factory=IntakeSettings)
    privacy: PrivacySettings = field(default_factory=PrivacySettings)
    backbones: BackboneSettings = field(default_factory=BackboneSettings)
    features: FeatureSettings = field(default_factory=FeatureSettings)
    preference: PreferenceSettings = field(default_factory=PreferenceSettings)
    adapter: AdapterSettings = field(default_factory=AdapterSettings)
    pigeon: PigeonSettings = field(default_factory=PigeonSettings)
    covers: CoverSettings = field(default_factory=CoverSettings)
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    spark: SparkSettings = field(default_factory=SparkSettings)
    housekeeping: HousekeepingSettings = field(default_factory=HousekeepingSettings)
