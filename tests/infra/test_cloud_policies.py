"""The stack is made on a local AWS (moto), which enforces its roles' policies: a stage may do its own work and no other's."""

import ast
import json
import os

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core import set_initial_no_auth_action_count

from infra.cloud.rights import roles
from infra.cloud.template import rendered

BUCKET = "icg-policies"
KEYS = ("raw/impressions/ds=2026-03-10/a", "models/adapter/versions/x/w", "models/preference/versions/x/w",
        "covers/v1/current.json", "covers/v1/blobs/00/a.webp", "clean/items/ds=2026-03-10/a")  # fmt: skip
MAY_READ = {
    "validate-impressions": {KEYS[0], KEYS[5]},
    "train-adapter": {KEYS[1], KEYS[2], KEYS[4], KEYS[5]},
    "reader": {KEYS[3], KEYS[4]},
    "covers-tab": {KEYS[4]},
}
MAY_WRITE = {
    "train-adapter": {KEYS[1]},
    "generate-covers": {KEYS[4]},
    "publish-covers": {KEYS[3], KEYS[4]},
    "report": set(),
    "reader": set(),
    "covers-tab": set(),
}


@pytest.fixture(scope="module")
def clients():
    """S3 clients by role, under enforced policies. The bucket holds every key of KEYS."""
    before = dict(os.environ)
    os.environ |= {"AWS_ACCESS_KEY_ID": "owner", "AWS_SECRET_ACCESS_KEY": "owner", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ.pop("AWS_ENDPOINT_URL", None)
    with mock_aws():
        parameters = [{"ParameterKey": name, "ParameterValue": value}
                      for name, value in {"BucketName": BUCKET, "AlarmAddress": "somebody@example.com"}.items()]  # fmt: skip
        boto3.client("cloudformation").create_stack(StackName="icg", TemplateBody=rendered(), Parameters=parameters)
        store = boto3.client("s3")
        for key in KEYS:
            store.put_object(Bucket=BUCKET, Key=key, Body=b"x")
        found = {}
        iam = boto3.client("iam")
        for role in roles():
            arn = iam.get_role(RoleName=f"icg-{role.name}")["Role"]["Arn"]
            # moto keeps a stack's inline policies as Python objects, and its enforcer reads JSON: the same policy once more.
            policy = ast.literal_eval(
                str(iam.get_role_policy(RoleName=f"icg-{role.name}", PolicyName="store")["PolicyDocument"])
            )
            iam.put_role_policy(RoleName=f"icg-{role.name}", PolicyName="store", PolicyDocument=json.dumps(policy))
            given = boto3.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
            found[role.name] = boto3.client(
                "s3", aws_access_key_id=given["AccessKeyId"], aws_secret_access_key=given["SecretAccessKey"],
                aws_session_token=given["SessionToken"],
            )  # fmt: skip
        yield found
    os.environ.clear()
    os.environ.update(before)


def allowed(call, keys, **more) -> list[str]:
    """The keys on which this call is permitted while policies are enforced."""

    def ask() -> list[str]:
        found = []
        for key in keys:
            try:
                call(Bucket=BUCKET, Key=key, **more)
            except ClientError as error:
                if error.response["Error"]["Code"] not in {"AccessDenied", "403"}:
                    raise
            else:
                found.append(key)
        return found

    return set_initial_no_auth_action_count(0)(ask)()


@pytest.mark.parametrize("name", sorted(MAY_READ))
def test_role_reads_what_it_needs_and_no_more(clients, name):
    assert set(allowed(clients[name].get_object, KEYS)) == MAY_READ[name]


@pytest.mark.parametrize("name", sorted(MAY_WRITE))
def test_role_writes_what_is_its_own_and_no_more(clients, name):
    assert set(allowed(clients[name].put_object, KEYS, Body=b"y")) == MAY_WRITE[name]


def test_closing_line_is_each_stages_own(clients):
    own, other = "runs/ds=2026-03-10/report.json", "runs/ds=2026-03-10/evaluate.json"
    assert allowed(clients["report"].put_object, (own, other), Body=b"{}") == [own]


def test_training_deletes_nothing_but_its_own_scratch(clients):
    own, other = "carried/ds=2026-03-10/train-adapter/a", KEYS[1]
    assert allowed(clients["train-adapter"].delete_object, (own, other)) == [own]
