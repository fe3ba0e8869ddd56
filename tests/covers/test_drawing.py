"""``generator`` is one setting: Pigeon's covers through the same engine, named and seeded as ICG's are."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.tokens.janus import Janus
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataMissing, SettingsError
from icg_tasks.covers import generate, plan, publish
from icg_tasks.covers.engine import CoverEngine, CoverRequest
from icg_tasks.covers.read import CoverReader
from icg_tasks.covers.versions import model_versions
from icg_tasks.lake.partitions import read_partition
from icg_tasks.lake.registry import publish_version, set_champion
from icg_tasks.models.pigeon.liked import LikedCovers
from icg_tasks.models.pigeon.model import KIND, Pigeon, PigeonShape
from icg_tasks.stage import StageContext
from tests.covers.conftest import DAY, picture, png
from tests.covers.studio import USER_WIDTH, build_studio
from tests.models.pigeon.planting import tiny_token_model

CPU = Compute(device=torch.device("cpu"), bfloat16=False)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> StageContext:
    """A house whose covers are Pigeon's: random weights that listen to the history."""
    house = build_studio(tmp_path_factory.mktemp("house"))
    model = tiny_token_model(tmp_path_factory.mktemp("tokens"))
    context = house.context("generate-covers")
    pigeon = replace(context.settings.pigeon, token_model=str(model), top_k=8)
    context = replace(context, settings=replace(context.settings, generator="pigeon", pigeon=pigeon))
    with pytest.raises(DataMissing, match="no champion of pigeon"):
        model_versions(context)
    tokens = Janus.load(str(model), CPU)
    made = Pigeon(tokens, PigeonShape.of(tokens, pigeon), seed=1)
    draws = torch.Generator().manual_seed(2)
    vectors = torch.nn.functional.normalize(torch.randn(20, 2, USER_WIDTH // 2, generator=draws), dim=-1).flatten(1)
    liked = LikedCovers(codes_IN=torch.randint(16, (20, 16), generator=draws), vectors_IV=vectors)
    version = publish_version(context.store, KIND, made.files() | liked.files(), {"note": "random"})
    set_champion(context.store, version, DAY, reason="test")
    return context


@pytest.fixture(scope="module")
def engine(context: StageContext) -> CoverEngine:
    return CoverEngine.load(context)


def request(item: str = "a", user: int | None = None, seed: int = 1, **more) -> CoverRequest:
    vector = None if user is None else np.random.default_rng(user).normal(0, 0.1, USER_WIDTH).astype(np.float32)
    image = png(picture(sum(item.encode()), 64))
    return CoverRequest(item_id=item, title=f"The {item}", image_bytes=image, user_vector=vector, seed=seed, **more)


def test_covers_have_the_size_that_settings_ask_for_and_hang_on_user_and_seed(engine: CoverEngine) -> None:
    one, two, other_seed, plain = engine.generate([request(user=1), request(user=2), request(user=1, seed=2), request()])
    assert one.image.shape == (64, 64, 3)
    images = [cover.image for cover in (one, two, other_seed, plain)]
    assert len({image.tobytes() for image in images}) == 4


def test_a_cover_does_not_hang_on_who_else_is_made(engine: CoverEngine) -> None:
    requests = [request(user=1, candidates=3), request(user=2), request("b", user=3), request()]
    together = engine.generate(requests)
    for cover, asked in zip(together, requests, strict=True):
        alone = engine.generate([asked])[0]
        assert np.array_equal(cover.image, alone.image)
        assert cover.candidate == alone.candidate


def test_scale_zero_and_the_zero_vector_are_the_plain_cover(engine: CoverEngine) -> None:
    plain, scaled = engine.generate([request(), request(user=1, scale=0.0)])
    assert np.array_equal(plain.image, scaled.image)
    with pytest.raises(SettingsError, match=r"personalisation of 0.5 means nothing to generator=pigeon"):
        engine.generate([request(user=1, scale=0.5)])


def test_versions_name_what_decides_a_cover(context: StageContext, engine: CoverEngine) -> None:
    versions = engine.versions
    assert versions.generator == "pigeon"
    icg = model_versions(replace(context, settings=replace(context.settings, generator="icg")))
    assert icg.generator == "icg"
    assert {versions.adapter, versions.denoiser, versions.backbones}.isdisjoint({icg.adapter, icg.denoiser, icg.backbones})
    other = replace(context.settings, pigeon=replace(context.settings.pigeon, top_k=9))
    assert model_versions(replace(context, settings=other)).backbones != versions.backbones
    learning = replace(context.settings, pigeon=replace(context.settings.pigeon, reconstruction_steps=9))
    assert model_versions(replace(context, settings=learning)) == versions


def test_a_day_of_covers_is_planned_made_and_published(context: StageContext) -> None:
    def stage(name: str, **arguments: object) -> StageContext:
        return replace(context, stage=name, arguments=arguments)

    plan.run(stage("plan-covers"))
    shards = {row["shard"] for row in read_partition(context.store, keys.COVER_PLANS, DAY).to_pylist()}
    for shard in sorted(shards):
        generate.run(stage("generate-covers", shard=shard))
    publish.run(stage("publish-covers"))
    manifest = read_partition(context.store, keys.COVER_MANIFESTS, DAY).to_pylist()
    assert {row["generator"] for row in manifest} == {"pigeon"}
    assert {row["adapter_version"] for row in manifest} == {model_versions(context).adapter}
    assert {row["segment_id"] for row in manifest} > {"_all"}
    assert len({row["cover_id"] for row in manifest}) > 1


def test_two_generators_publish_side_by_side_as_variants(context: StageContext) -> None:
    day = replace(context, run_date=DAY, settings=replace(context.settings, generator="pigeon,icg"))
    plan.run(replace(day, stage="plan-covers", arguments={}))
    planned = read_partition(context.store, keys.COVER_PLANS, DAY).to_pylist()
    assert {(row["variant"], row["generator"]) for row in planned} == {(0, "pigeon"), (1, "icg")}
    made_by: dict[int, set[str]] = {}
    for row in planned:
        if row["shard"] is not None:
            made_by.setdefault(row["shard"], set()).add(row["generator"])
    assert all(len(names) == 1 for names in made_by.values())
    for shard in sorted(made_by):
        generate.run(replace(day, stage="generate-covers", arguments={"shard": shard}))
    publish.run(replace(day, stage="publish-covers", arguments={}))
    manifest = read_partition(context.store, keys.COVER_MANIFESTS, DAY).to_pylist()
    assert {(row["variant"], row["generator"]) for row in manifest} == {(0, "pigeon"), (1, "icg")}
    reader = CoverReader(context.store)
    item = manifest[0]["item_id"]
    covers = [reader.cover("nobody-known", item, variant=variant) for variant in (0, 1)]
    assert all(cover is not None for cover in covers)
    assert len({cover.cover_id for cover in covers if cover is not None}) == 2


def test_what_one_generator_drew_is_kept_when_another_joins(context: StageContext) -> None:
    plan.run(replace(context, stage="plan-covers", arguments={}))
    alone = {row["request_hash"] for row in read_partition(context.store, keys.COVER_PLANS, DAY).to_pylist()}
    both = replace(context, stage="plan-covers", settings=replace(context.settings, generator="pigeon,icg"), arguments={})
    plan.run(both)
    rows = read_partition(context.store, keys.COVER_PLANS, DAY).to_pylist()
    assert {row["request_hash"] for row in rows if row["variant"] == 0} == alone
    assert {row["request_hash"] for row in rows if row["variant"] == 1}.isdisjoint(alone)


def test_an_unknown_generator_is_refused(context: StageContext) -> None:
    with pytest.raises(SettingsError, match=r"generator='dall-e'; expected one of icg, pigeon"):
        CoverEngine.load(replace(context, settings=replace(context.settings, generator="dall-e")))
