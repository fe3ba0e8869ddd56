import numpy as np
import pytest

from icg_tasks.features.clustering import assign, k_means, merged_groups, taste_space


def blobs(seed=0, count=300):
    rng = np.random.default_rng(seed)
    centres = np.eye(4)[:3] * 4
    kinds = rng.integers(3, size=count)
    return centres[kinds] + rng.normal(size=(count, 4)) * 0.3, kinds


def settings(**changes):
    return {"seed": 1, "starts": 4, "max_iterations": 30} | changes


def same_partition(left, right):
    return len({(a, b) for a, b in zip(left.tolist(), right.tolist(), strict=True)}) == len(set(right.tolist()))


def test_k_means_finds_separate_groups_and_repeats_itself():
    points, kinds = blobs()
    first = k_means(points, np.ones(300), 3, **settings())
    assert same_partition(assign(points, first), kinds)
    assert (first == k_means(points, np.ones(300), 3, **settings())).all()


def test_weights_decide_where_a_centre_is():
    points = np.array([[1.0, 0.0], [0.0, 1.0]])
    centre = k_means(points, np.array([3.0, 1.0]), 1, **settings())
    assert centre.tolist() == [[0.75, 0.25]]


def test_former_groups_go_on_when_as_good():
    rng = np.random.default_rng(3)
    points = rng.normal(size=(400, 3))  # no structure: every start ends elsewhere
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    former = assign(points, k_means(points, np.ones(400), 5, **settings(seed=9)))
    again = assign(points, k_means(points, np.ones(400), 5, **settings(seed=1), former_N=former))
    fresh = assign(points, k_means(points, np.ones(400), 5, **settings(seed=1, starts=1)))
    assert same_partition(again, former)
    assert not same_partition(fresh, former)


def test_no_more_centres_than_distinct_points():
    assert len(k_means(np.ones((5, 2)), np.ones(5), 3, **settings())) == 1


def test_small_groups_join_their_neighbours_until_none_is_small():
    centres = np.array([[0.0], [1.0], [1.2], [9.0]])
    assert merged_groups(np.array([50, 4, 3, 60]), centres, 10).tolist() == [0, 0, 0, 3]
    assert merged_groups(np.array([2, 3]), np.array([[0.0], [5.0]]), 10).tolist() == [1, 1]
    assert merged_groups(np.array([20, 30]), np.array([[0.0], [5.0]]), 10).tolist() == [0, 1]


def test_space_ignores_how_much_a_user_clicks_and_how_sure_we_are():
    rng = np.random.default_rng(5)
    items = rng.normal(size=(200, 6)) * [3, 2, 1, 1, 1, 1] + 4.0
    users, weight = rng.normal(size=(100, 6)), rng.uniform(1, 9, size=100)
    space = taste_space(items, users, weight, prior_weight=20.0, dimensions=3)
    points = space.points(users, weight)
    assert points.shape == (100, 3)
    assert np.linalg.norm(points, axis=1) == pytest.approx(np.ones(100))
    keener = users + items.mean(axis=0) * rng.normal(size=(100, 1)) * 0.1 / (weight + 20.0)[:, None]
    assert np.abs(space.points(keener, weight) - points).max() < 0.02


def world_vectors(users=4_000, days=3):
    """User vectors and archetypes of the embedded world; a cover's vector is a random projection of what it shows."""
    from datetime import date, timedelta

    from icg_tasks.config.settings import WorldSettings
    from icg_tasks.world.days import cast_of, live

    world = WorldSettings(seed=12, num_users=users, new_users_per_day=1, impressions_per_day=50 * users // days, num_items=300)
    sums, info, kinds, looks = {}, {}, {}, {}
    projection = np.random.default_rng(0).normal(size=(30, 48))
    for age in range(days):
        cast = cast_of(world, date(2026, 3, 10) - timedelta(days=age))
        shown = live(world, date(2026, 3, 10) - timedelta(days=age), cast)
        vectors = cast.shelf.features_IF @ projection
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) + 0.5
        place = shown.surface_N * 100 + shown.position_N
        rate = (np.bincount(place, shown.clicked_N) / np.maximum(np.bincount(place), 1))[place]
        for row, user in enumerate((shown.user_N + cast.readers.first).tolist()):
            sums[user] = sums.get(user, 0) + (shown.clicked_N[row] - rate[row]) * vectors[shown.item_N[row]]
            info[user] = info.get(user, 0) + rate[row] * (1 - rate[row])
            kinds[user] = cast.readers.archetype_U[user - cast.readers.first]
            looks[user] = cast.readers.look_UL[user - cast.readers.first]
    ids = sorted(user for user in sums if info[user] > 0.3)
    weight = np.array([info[user] for user in ids])
    users_UV = np.stack([sums[user] for user in ids]) / (weight + 20.0)[:, None]
    return vectors, users_UV, weight, np.array([kinds[user] for user in ids]), np.stack([looks[user] for user in ids])


def test_segments_hold_people_of_one_kind_in_the_embedded_world():
    vectors, users, weight, kinds, looks = world_vectors()
    space = taste_space(vectors, users, weight, prior_weight=20.0, dimensions=24)
    points = space.points(users, weight)
    group = assign(points, k_means(points, weight, 12, **settings(starts=3)))

    def purity(groups):
        return sum(np.bincount(kinds[groups == one]).max() for one in np.unique(groups)) / len(kinds)

    def explained(groups):
        centred = looks - looks.mean(axis=0)
        means = [(groups == one).sum() * np.square(centred[groups == one].mean(axis=0)).sum() for one in np.unique(groups)]
        return sum(means) / np.square(centred).sum()

    chance = np.random.default_rng(1).permutation(group)
    assert purity(group) > 0.5 > purity(chance) + 0.1
    assert explained(group) > 0.25 > explained(chance) + 0.2
