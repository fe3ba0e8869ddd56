"""Makes infra/cloud/icg.template.json, a CloudFormation template: bucket, keys, one role per stage, budget alarm.

CloudFormation, since it can be checked without an account: cfn-lint knows its resources, moto makes the stack and enforces the
roles' policies, so that tests run stages under them. After a change of rights.py: `python -m infra.cloud --write`.
"""

import json
from pathlib import Path
from typing import Any

from infra.cloud.rights import SPARK, TAB, Role, roles

TEMPLATE = Path(__file__).parent / "icg.template.json"
_BUCKET_ARN = {"Fn::GetAtt": ["Store", "Arn"]}
_OLD_VERSION_DAYS = 7  # so long an erased user can still be found in what the store keeps of former versions
_TAGS = [{"Key": "project", "Value": "icg-covers"}]


def template() -> dict[str, Any]:
    """The whole template."""
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "ICG Covers: object store, one role per stage with least rights, budget alarm",
        "Parameters": _parameters(),
        "Conditions": {"HasCluster": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Cluster"}, ""]}]}},
        "Resources": _store() | _roles() | _budget(),
        "Outputs": {"StoreUri": {"Value": {"Fn::Sub": "s3://${Store}"}, "Description": "ICG_STORE"}},
    }


def _roles() -> dict[str, Any]:
    made = {_logical(role.name): _role(role) for role in roles()}
    made |= {
        f"{_logical(role.name)}Pods": _identity(role.name, {"Ref": "Namespace"}, role_name(role.name))
        for role in roles()
        if role.name != TAB
    }
    return made | {
        "RoleSparkDrivers": _identity(SPARK, "airflow", "airflow-worker"),  # Spark's drivers run in Airflow's workers
        f"{_logical(TAB)}Pods": _identity(TAB, "airflow", "airflow-api-server"),
    }


def role_name(name: str) -> str:
    """Name of a role; infra/kubernetes gives the service accounts the same."""
    return f"icg-{name}"


def policy(role: Role) -> dict[str, Any]:
    """What a role may do, as an IAM policy whose ARNs lead to the stack's bucket."""
    key = {"Fn::GetAtt": ["Key", "Arn"]}
    statements: list[dict[str, Any]] = [
        {"Sid": "ListNames", "Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [_BUCKET_ARN]},
        {"Sid": "Read", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": _objects(role.readable())},
        {"Sid": "Decrypt", "Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": [key]},
    ]
    if role.writable():
        write = ["s3:PutObject", "s3:AbortMultipartUpload"]
        statements += [
            {"Sid": "Write", "Effect": "Allow", "Action": write, "Resource": _objects(role.writable())},
            {"Sid": "Encrypt", "Effect": "Allow", "Action": ["kms:GenerateDataKey"], "Resource": [key]},
        ]
    if role.deletable():
        delete = {"Sid": "Delete", "Effect": "Allow", "Action": ["s3:DeleteObject"], "Resource": _objects(role.deletable())}
        statements.append(delete)
    return {"Version": "2012-10-17", "Statement": statements}


def _objects(prefixes: list[str]) -> list[Any]:
    return [{"Fn::Sub": f"${{Store.Arn}}/{prefix}*"} for prefix in prefixes]


def _logical(name: str) -> str:
    return "Role" + "".join(word.capitalize() for word in name.split("-"))


def _role(role: Role) -> dict[str, Any]:
    """A role that pods of the stage's service account take (EKS Pod Identity); without a cluster, this account's principals."""
    pods = {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
    }
    here = {
        "Effect": "Allow",
        "Principal": {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}},
        "Action": ["sts:AssumeRole"],
    }
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": role_name(role.name),
            "Description": f"ICG Covers: {role.name}",
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [{"Fn::If": ["HasCluster", pods, here]}],
            },
            "Policies": [{"PolicyName": "store", "PolicyDocument": policy(role)}],
            "Tags": _TAGS,
        },
    }


def _identity(name: str, namespace: Any, account: str) -> dict[str, Any]:
    return {
        "Type": "AWS::EKS::PodIdentityAssociation",
        "Condition": "HasCluster",
        "Properties": {
            "ClusterName": {"Ref": "Cluster"},
            "Namespace": namespace,
            "ServiceAccount": account,
            "RoleArn": {"Fn::GetAtt": [_logical(name), "Arn"]},
        },
    }


def _parameters() -> dict[str, Any]:
    return {
        "BucketName": {"Type": "String", "Description": "name of the bucket that holds everything"},
        "Cluster": {"Type": "String", "Default": "", "Description": "EKS cluster whose pods take the roles; empty: none"},
        "Namespace": {"Type": "String", "Default": "icg", "Description": "namespace of the stages' pods"},
        "MonthlyBudget": {
            "Type": "Number",
            "Default": 1000,
            "Description": "US dollars a month for what is tagged icg-covers",
        },
        "AlarmAddress": {"Type": "String", "Description": "e-mail address that hears of spending"},
    }


def _store() -> dict[str, Any]:
    rules = [
        {"Id": "former-versions", "Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": _OLD_VERSION_DAYS}},
        {"Id": "unfinished", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}},
        {"Id": "deletion-marks", "Status": "Enabled", "ExpiredObjectDeleteMarker": True},
        {"Id": "carried", "Status": "Enabled", "Prefix": "carried/", "ExpirationInDays": _OLD_VERSION_DAYS},
    ]
    encryption = {
        "BucketKeyEnabled": True,
        "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"Fn::GetAtt": ["Key", "Arn"]}},
    }
    bucket = {
        "Type": "AWS::S3::Bucket",
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "BucketName": {"Ref": "BucketName"},
            "VersioningConfiguration": {"Status": "Enabled"},
            "LifecycleConfiguration": {"Rules": rules},
            "BucketEncryption": {"ServerSideEncryptionConfiguration": [encryption]},
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": True,
                "BlockPublicPolicy": True,
                "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            },
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "Tags": _TAGS,
        },
    }
    return {"Key": _key(), "Store": bucket, "StorePolicy": _only_encrypted_connections()}


def _key() -> dict[str, Any]:
    owner = {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}
    statement = {"Sid": "Owner", "Effect": "Allow", "Principal": owner, "Action": "kms:*", "Resource": "*"}
    return {
        "Type": "AWS::KMS::Key",
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "Description": "ICG Covers: everything in the store",
            "EnableKeyRotation": True,
            "KeyPolicy": {"Version": "2012-10-17", "Statement": [statement]},
        },
    }


def _only_encrypted_connections() -> dict[str, Any]:
    statement = {
        "Sid": "OnlyTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [_BUCKET_ARN, {"Fn::Sub": "${Store.Arn}/*"}],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {"Bucket": {"Ref": "Store"}, "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}},
    }


def _budget() -> dict[str, Any]:
    subscriber = [{"SubscriptionType": "EMAIL", "Address": {"Ref": "AlarmAddress"}}]
    alarms = [
        {"NotificationType": kind, "ComparisonOperator": "GREATER_THAN", "Threshold": threshold, "ThresholdType": "PERCENTAGE"}
        for kind, threshold in (("ACTUAL", 80), ("FORECASTED", 100))
    ]
    budget = {
        "BudgetName": "icg-covers",
        "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": {"Ref": "MonthlyBudget"}, "Unit": "USD"},
        "CostFilters": {"TagKeyValue": ["user:project$icg-covers"]},
    }
    return {
        "Spending": {
            "Type": "AWS::Budgets::Budget",
            "Properties": {
                "Budget": budget,
                "NotificationsWithSubscribers": [{"Notification": alarm, "Subscribers": subscriber} for alarm in alarms],
            },
        }
    }


def rendered() -> str:
    """The template as the file's text."""
    return json.dumps(template(), indent=1) + "\n"
