"""What stands in infra/: it agrees with the code and with itself, and the tools that know its formats find nothing."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from icg_dags.needs import NEEDS, read_pod_settings

from infra.cloud.rights import RIGHTS, SPARK_STAGES
from infra.cloud.template import TEMPLATE, template
from infra.cloud.template import rendered as rendered_template
from infra.images.__main__ import BASE, IMAGES, build_command, main, pinned_base
from infra.kubernetes.objects import MANIFEST, objects
from infra.kubernetes.objects import rendered as rendered_objects

REPOSITORY = Path(__file__).resolve().parents[2]
INFRA = REPOSITORY / "infra"
DIGEST = "sha256:" + "a" * 64
LINTERS = [
    ["hadolint", "infra/images/Dockerfile"],
    ["shellcheck", "--severity=warning", "infra/bootstrap.sh", "infra/images/install.sh", "infra/images/spark-entrypoint.sh"],
    ["yamllint", ".github", "infra"],
    ["zizmor", "--offline", "--no-progress", ".github"],
    ["kubernetes-validate", "--strict", "infra/kubernetes/icg.yaml"],
    ["cfn-lint", "infra/cloud/icg.template.json"],
]


@pytest.fixture(scope="module")
def values():
    return yaml.safe_load((INFRA / "airflow" / "values.yaml").read_text())


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((INFRA / "compose" / "compose.yaml").read_text())


@pytest.mark.parametrize("words", LINTERS, ids=lambda words: words[0])
def test_tool_finds_nothing(words):
    tool = shutil.which(words[0], path=f"{Path(sys.executable).parent}")
    if tool is None:
        pytest.skip(f"{words[0]} is not installed here; CI installs infra/checks.txt")
    done = subprocess.run([tool, *words[1:]], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


@pytest.mark.parametrize(
    "words", [["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]], ids=["check", "test"]
)
def test_alerts_are_sound_and_fire_when_they_should(words):
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed here; CI installs Debian's package prometheus")
    done = subprocess.run([tool, *words], cwd=INFRA / "watch", capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


def test_written_files_follow_from_the_code():
    assert TEMPLATE.read_text() == rendered_template(), "run: python -m infra.cloud --write"
    assert MANIFEST.read_text() == rendered_objects(), "run: python -m infra.kubernetes --write"


def test_every_stage_that_runs_has_rights_an_account_and_an_image():
    accounts = {entry["metadata"]["name"] for entry in objects() if entry["kind"] == "ServiceAccount"}
    assert {f"icg-{stage}" for stage in NEEDS} | {"icg-spark", "icg-reader"} == accounts
    assert set(RIGHTS) == set(NEEDS) | set(SPARK_STAGES)
    assert {needs.image for needs in NEEDS.values()} <= {image.name for image in IMAGES}


def test_nobody_downstream_of_validation_reads_who_somebody_is():
    def readers(*secret: str) -> set[str]:
        return {stage for stage, rights in RIGHTS.items() if any(prefix.startswith(secret) for prefix in rights.reads)}

    assert readers("raw/impressions", "raw/erasures", "raw/") - readers("raw/images") <= {
        "arrived",
        "validate-impressions",
        "erase",
    }
    assert readers("raw/impressions") == {"arrived", "validate-impressions"}
    assert readers("raw/erasures") == {"validate-impressions"}
    # Pseudonyms of who asked to be forgotten: publish-covers leaves them out of the index.
    assert readers("clean/erasures", "certificates") == {"validate-impressions", "erase", "publish-covers"}
    everything = {stage for stage, rights in RIGHTS.items() if "raw/" in rights.reads}
    assert everything == {"erase"}


def test_only_publishing_moves_what_is_up():
    pointer = "covers/v1/current.json"
    may = {stage for stage, rights in RIGHTS.items() if any(pointer.startswith(prefix) for prefix in rights.writes)}
    assert may == {"publish-covers", "erase"}


def test_bucket_is_versioned_encrypted_private_and_tidied():
    bucket = template()["Resources"]["Store"]["Properties"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    rule = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]["ServerSideEncryptionByDefault"]
    assert rule["SSEAlgorithm"] == "aws:kms"
    assert {entry["Id"] for entry in bucket["LifecycleConfiguration"]["Rules"]} >= {"former-versions", "unfinished"}
    for name, resource in template()["Resources"].items():
        for policy in resource["Properties"].get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                assert "*" not in statement["Action"], name
                assert all("*" not in action for action in statement["Action"]), name
                assert "*" not in statement["Resource"], name


def test_chart_values_and_code_agree(values):
    given = {entry["name"]: entry["value"] for entry in values["env"]}
    assert json.loads(given["ICG_PODS"]) == json.loads((INFRA / "airflow" / "pods.json").read_text())
    assert json.loads(given["ICG_SPARK_CONF"]) == json.loads((INFRA / "airflow" / "spark.json").read_text())
    pods = read_pod_settings(given["ICG_PODS"])
    assert values["workers"]["terminationGracePeriodSeconds"] > pods.grace_seconds
    assert values["executor"] == "KubernetesExecutor"
    known = (REPOSITORY / "dags" / "icg_dags" / "defaults.py").read_text()
    known += (REPOSITORY / "dags" / "icg_dags" / "spark_stage.py").read_text()
    known += (REPOSITORY / "dags" / "icg_dags" / "lineage.py").read_text()
    for name in given:
        assert f'"{name}"' in known, f"{name} has no effect"


def test_chart_shows_the_covers_tab_and_every_process_knows_the_same_store(values):
    folder = values["config"]["core"]["plugins_folder"]
    image = (INFRA / "images" / "Dockerfile").read_text().split("AS orchestration")[1]
    assert f"COPY dags/icg_plugins {folder}\n" in image
    assert "!dags/icg_plugins" in (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert list((REPOSITORY / "dags" / "icg_plugins").glob("*.py"))
    settings = next(entry for entry in objects() if entry["kind"] == "ConfigMap")["data"]
    assert {entry["name"]: entry["value"] for entry in values["env"]}["ICG_STORE"] == settings["ICG_STORE"]
    tab = template()["Resources"]["RoleCoversTabPods"]["Properties"]
    assert (tab["Namespace"], tab["ServiceAccount"]) == ("airflow", "airflow-api-server")


def test_chart_and_compose_hold_no_secret(values):
    text = (INFRA / "airflow" / "values.yaml").read_text() + (INFRA / "compose" / "compose.yaml").read_text()
    found = re.findall(r"(?i)^.*(?:password|secret|key|token)\w*: +(\S.*)$", text, re.MULTILINE)
    assert len(found) > 8
    for value in found:
        assert re.match(r"\$\{\w+:\?|airflow-|/work/|\[|\"?\{|icg$", value), value  # icg: the name of a user


def test_compose_services_are_confined_and_watched(compose):
    services = compose["services"]
    assert {"postgres", "store", "scheduler", "api-server", "dag-processor", "triggerer"} <= set(services)
    for name, service in services.items():
        assert not service.get("privileged"), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert "healthcheck" in service or service["restart"] == "no", name
        if name not in {"postgres", "store"}:
            assert service["user"] == "10001:10001", name
            assert service["cap_drop"] == ["ALL"], name
            assert service["read_only"] is True, name


def test_images_hold_known_extras_and_a_release_is_pinned():
    extras = set(tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    for image in IMAGES:
        assert set(image.extras.split(",")) <= extras, image.name
    assert pinned_base({BASE: None}, release=False) == BASE
    assert pinned_base({BASE: DIGEST}, release=True) == f"{BASE}@{DIGEST}"
    with pytest.raises(ValueError, match="by digest"):
        pinned_base({BASE: None}, release=True)
    with pytest.raises(ValueError, match="no digest"):
        pinned_base({BASE: "latest"}, release=False)
    assert f"PYTHON_IMAGE={BASE}@{DIGEST}" in build_command(IMAGES[0], "1", f"{BASE}@{DIGEST}")


def test_release_commands_are_refused_while_a_base_is_not_pinned(capsys):
    pinned = all(json.loads((INFRA / "images" / "pins.json").read_text()).values())
    assert main(["--release"]) == (0 if pinned else 1)
    assert main([]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(IMAGES) * (2 if pinned else 1)


def test_every_image_runs_as_nobody_and_tells_its_health():
    text = (INFRA / "images" / "Dockerfile").read_text()
    targets = dict(re.findall(r"^FROM (\S+) AS (\w+)$(?:.*\n)*?", text, re.MULTILINE))
    sections = re.split(r"^FROM ", text, flags=re.MULTILINE)[2:]
    assert len(targets) >= 2
    assert len(sections) == 3
    for section in sections:
        assert re.findall(r"^USER (\S+)$", section, re.MULTILINE)[-1] == "10001:10001"
    assert "HEALTHCHECK" in sections[0]


def test_workflow_pins_every_action_and_only_reads():
    text = (REPOSITORY / ".github" / "workflows" / "ci.yml").read_text()
    used = re.findall(r"uses: (\S+)", text)
    assert used
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) for action in used)
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
