"""Settings of user vectors and segments, and of what one event counts."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class EventSettings:
    """What one impression counts. The defaults: a click is a click, everything else counts the same."""

    click_weight: float = 1.0  # importance of an impression that was clicked
    skip_weight: float = 1.0  # and of one that was not
    full_dwell_seconds: float = 0.0  # a click's reward grows with dwell up to here; 0: every click is a whole one
    least_dwell_reward: float = 0.25  # reward of a click left at once, where dwell counts
    position_discount: float = 0.0  # importance falls by (1 + position)^-this: covers further down are seen less surely
    recency_half_life_hours: float = 0.0  # importance halves by this age at the end of the partition's day; 0: whole days only
    max_propensity_weight: float = 0.0  # importance times 1 / propensity, clipped here; 0: propensities do not count


@dataclass(frozen=True, kw_only=True)
class FactorSettings:
    """Collaborative item vectors: factors of who clicked what (ALS)."""

    rank: int = 64
    regularisation: float = 0.05
    alpha: float = 10.0  # confidence of a click is 1 + alpha
    iterations: int = 10
    seed: int = 7


@dataclass(frozen=True, kw_only=True)
class FeatureSettings:
    """User vectors and segments."""

    window_days: int = 10
    half_life_days: float = 7.0
    prior_weight: float = 20.0  # shrinks users with few impressions towards zero
    carry_window: bool = False  # keep each day's window sums, so that a day adds itself to yesterday's instead of all days
    events: EventSettings = field(default_factory=EventSettings)
    segment_vectors: str = "content"  # segments are told by: content | collaborative (who clicked what, whatever it shows)
    factors: FactorSettings = field(default_factory=FactorSettings)
    factor_days: int = 7  # collaborative item vectors are learned anew on every so many-th date, and hold in between
    num_segments: int = 12
    segment_counts: str = ""  # counts to choose among instead, such as 6,8,12: the most that agree when looked for twice
    min_segment_agreement: float = 0.6  # of two halves of the users, above chance, for a count to be chosen
    min_segment_users: int = 50
    num_top_segments: int = 6
    profile_days: int = 0  # days of rows that a segment's traffic and history are told from; 0: the whole window
    history_length: int = 8
    num_top_items: int = 64
    kmeans_seed: int = 11
    kmeans_dimensions: int = 24
    kmeans_max_iterations: int = 30
    kmeans_starts: int = 8
    kmeans_sample_users: int = 60_000  # centroids are learned on so many users (chosen by hash), then applied to all
    min_user_weight: float = 0.3  # information (sum of p(1 - p)) below which a user stays without a segment
