"""Settings of what comes in: validation, quarantine, outside sources; and of privacy."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class IntakeSettings:
    """Validation, quarantine and the failure budget."""

    max_quarantined_share: float = 0.05
    min_volume_ratio: float = 0.4  # against the median of the trailing week
    max_volume_ratio: float = 2.5
    max_click_rate_shift: float = 0.5  # relative change of the click rate against the trailing week
    late_days: int = 3
    catch_up_days: int = 10  # validate also earlier days that have raw data but no clean partition yet
    max_raw_file_bytes: int = 2_000_000_000  # of one raw file, as stored and as decoded
    max_title_characters: int = 300
    max_image_bytes: int = 20_000_000
    max_image_pixels: int = 40_000_000
    rule_budgets: str = "unknown_item=0.03,duplicate_impression=0.03"  # REASON=largest share of the raw rows, comma-separated
    accept_type_changes: bool = False  # a raw column that comes in another type than before is taken as it is
    trailing_days: int = 28  # of which anomalies are told, where there are at least intake.min_trailing_days
    min_trailing_days: int = 5
    anomaly_warning: float = 4.0  # robust z-score from which a figure of the day is a warning; 0: never
    anomaly_refusal: float = 0.0  # and from which the day is refused; 0: never
    engine: str = "auto"  # Great Expectations runs on: pandas | spark | auto: Spark from intake.spark_rows rows on
    spark_rows: int = 12_000_000  # Spark takes several times the time: for days beyond memory (ten million rows: 6 GiB)
    surfaces: str = "home,search,similar"
    max_position: int = 63
    non_clicks_per_click: int = 4  # ingest, where the outside data has no impressions: observed absences sampled per click
    user_share: float = 1.0  # ingest: stable share of the outside data's users that is read
    min_click_rate: float = 0.001
    max_click_rate: float = 0.9


@dataclass(frozen=True, kw_only=True)
class PrivacySettings:
    """Who may be seen in what leaves the features."""

    min_published_users: int = 20  # k: a segment of fewer users gets no covers of its own
    accept_new_key: bool = False  # go on under another ICG_PSEUDONYM_KEY than before: every user becomes a stranger
