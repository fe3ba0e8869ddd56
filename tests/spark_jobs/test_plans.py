"""What Spark is asked to do in the two stages: how often rows move, and that rows of users stay where they are.

Every action of a run is caught with its physical plan, so a join that turns cartesian, a function per row in Python, one more
shuffle, or users collected to the driver show here, at any size.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

import spark_jobs.assign_segments as segments_job
import spark_jobs.build_user_embeddings as vectors_job
from icg_tasks.config.features import FactorSettings
from icg_tasks.contracts.stages import ASSIGN_SEGMENTS, BUILD_USER_EMBEDDINGS
from tests.features.small_store import DAY, NUM_USERS
from tests.spark_jobs.test_build_user_embeddings import context

_PER_ROW = ("BatchEvalPython", "ArrowEvalPython", "PythonUDF", "FlatMapGroupsInPandas", "DeserializeToObject")
_SHUFFLE = re.compile(r"(?<![A-Za-z])Exchange (?:hash|range|RoundRobin|Single)", re.IGNORECASE)


@dataclass
class Watched:
    """Physical plans of the actions of a run, and of what came to the driver the columns and how many rows."""

    plans: list[str] = field(default_factory=list)
    came: list[tuple[list[str], int]] = field(default_factory=list)

    def shuffles(self) -> list[int]:
        """Of each action with any."""
        return sorted((count for plan in self.plans if (count := len(_SHUFFLE.findall(plan)))), reverse=True)

    def most_users(self) -> int:
        """The most rows with a user that came at once."""
        return max((rows for columns, rows in self.came if "user_id" in columns), default=0)


@pytest.fixture
def watched(spark, monkeypatch) -> Iterator[Watched]:
    found, kind = Watched(), type(spark.range(1))

    def caught(name: str):
        plain = getattr(kind, name)

        def action(self):
            found.plans.append(self._jdf.queryExecution().executedPlan().toString())
            result = plain(self)
            found.came.append((list(self.columns), len(result)))
            return result

        return action

    for name in ("collect", "toArrow", "toPandas"):
        monkeypatch.setattr(kind, name, caught(name))
    return found


def test_vectors_take_one_shuffle_of_blocks_and_collect_no_user(store, tmp_path, watched):
    vectors_job.run(context(store, tmp_path, BUILD_USER_EMBEDDINGS))
    assert watched.shuffles() == [1]  # blocks to their bucket
    assert len(watched.plans) >= 3  # facts of the days, files of sums, files of vectors
    assert watched.most_users() == 0
    assert no_row_by_row(watched)


def test_segments_take_a_known_number_of_shuffles_and_a_bounded_sample(store, tmp_path, watched):
    vectors_job.run(context(store, tmp_path, BUILD_USER_EMBEDDINGS))
    watched.plans.clear()
    watched.came.clear()
    segments_job.run(context(store, tmp_path, ASSIGN_SEGMENTS, DAY, kmeans_sample_users=20))
    # First two: what segments see, rows joined with their users' segments and summed by item, then ranked and joined. A plan
    # that is kept shows wherever it is used: the first one names it four times.
    assert watched.shuffles() == [20, 5, 1, 1, 1]
    assert any("SortMergeJoin [user_id" in plan for plan in watched.plans)
    assert not any("BroadcastHashJoin [user_id" in plan for plan in watched.plans)  # a row per user: it may not fit
    assert 5 < watched.most_users() < NUM_USERS / 2
    assert no_row_by_row(watched)


def test_collaborative_vectors_move_each_clicked_pair_once(store, tmp_path, watched):
    told = {"segment_vectors": "collaborative", "factors": FactorSettings(rank=4, iterations=2)}
    vectors_job.run(context(store, tmp_path, BUILD_USER_EMBEDDINGS, DAY, **told))
    assert watched.most_users() == 0
    assert no_row_by_row(watched)
    assert watched.shuffles() == [1, 1, 1]  # blocks of either kind; names of items (what ALS does inside is its own)
    watched.plans.clear()
    segments_job.run(context(store, tmp_path, ASSIGN_SEGMENTS, DAY, kmeans_sample_users=20, **told))
    assert watched.most_users() < NUM_USERS / 2
    assert no_row_by_row(watched)


def no_row_by_row(watched: Watched) -> bool:
    """No plan has a cartesian product or a Python function per row; a nested loop only beside a single row."""
    assert watched.plans
    for plan in watched.plans:
        assert "CartesianProduct" not in plan
        assert not [word for word in _PER_ROW if word in plan]
        assert plan.count("BroadcastNestedLoopJoin") <= 1  # ranked_items: the total, one row
    return True
