#!/usr/bin/env python3
"""boto3's opinion of the emulator: reads, writes and errors of every operation.

Usage: boto3_emulator.py http://127.0.0.1:4566

The emulator must have been started from examples/store.yaml and be fresh: the
writes change it. Prints a line for each check and leaves with 1 on a mismatch.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid

from client import (
    ACCOUNT, PARTNER, PAYMENTS_ROLE, QUICK, SHARED_ROLE, SHOP_ROLE, URL, check, client, contains, emulator, finish,
    lacks, refused, session, session_of, token)  # the environment comes first

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ConnectionError, HTTPClientError


def secrets_manager_reads():
    sm = client("secretsmanager", session())
    answer = sm.get_secret_value(SecretId="shop/database")
    check("a secret is read by name", json.loads(answer["SecretString"])["username"], "shop")
    check("the answer names the secret", answer["Name"], "shop/database")
    check("the current version is read", answer["VersionStages"], ["AWSCURRENT"])
    check("the created date is a date", answer["CreatedDate"].year > 2020 or answer["CreatedDate"])
    check("the request id is a uuid", len(str(uuid.UUID(answer["ResponseMetadata"]["RequestId"]))), 36)
    arn = answer["ARN"]
    check("by full ARN", sm.get_secret_value(SecretId=arn)["ARN"], arn)
    check("by ARN without its suffix", sm.get_secret_value(SecretId=arn[:-7])["ARN"], arn)
    refused(
        "by name with the suffix",
        lambda: sm.get_secret_value(SecretId=arn.rsplit(":", 1)[1]),
        "ResourceNotFoundException",
        message="Secrets Manager can't find the specified secret.",
    )
    check("a binary secret", sm.get_secret_value(SecretId="shop/keystore")["SecretBinary"],
          base64.b64decode("yv66vgAAADQ="))
    west = client("secretsmanager", session(region="us-west-2"))
    contains("another Region's ARN", west.get_secret_value(SecretId="shop/database")["ARN"], ":us-west-2:")
    refused("a secret of another Region", lambda: west.get_secret_value(SecretId="shop/keystore"),
            "ResourceNotFoundException")

    def rotated(**version):
        return sm.get_secret_value(SecretId="shop/rotated", **version)["SecretString"]

    check("by label AWSPREVIOUS", rotated(VersionStage="AWSPREVIOUS"), "previous")
    check("by label AWSPENDING", rotated(VersionStage="AWSPENDING"), "pending")
    check("by a label of one's own", rotated(VersionStage="blue"), "current")
    check("by version id, even a deprecated one",
          rotated(VersionId="11111111-1111-4111-8111-111111111111"), "oldest")
    check("by id and label of one version",
          rotated(VersionId="33333333-3333-4333-8333-333333333333", VersionStage="blue"), "current")
    refused("id and label of two versions",
            lambda: rotated(VersionId="11111111-1111-4111-8111-111111111111", VersionStage="blue"),
            "InvalidRequestException")
    refused("an unknown label", lambda: rotated(VersionStage="green"), "ResourceNotFoundException",
            message="staging label: green")
    refused("an unknown version id", lambda: rotated(VersionId="9" * 36), "ResourceNotFoundException",
            message="VersionId: 999")
    refused("a secret scheduled for deletion", lambda: sm.get_secret_value(SecretId="shop/deleted"),
            "InvalidRequestException", message="marked for deletion")

    answer = sm.describe_secret(SecretId="shop/rotated")
    check("describe leaves deprecated versions out", sorted(answer["VersionIdsToStages"].values()),
          [["AWSCURRENT", "blue"], ["AWSPENDING"], ["AWSPREVIOUS"]])
    answer = sm.describe_secret(SecretId="shop/deleted")
    contains("describe shows the deletion", answer, "DeletedDate")
    answer = sm.describe_secret(SecretId="shop/database")
    check("describe shows tags", {tag["Key"]: tag["Value"] for tag in answer["Tags"]},
          {"team": "shop", "tier": "gold"})

    answer = sm.batch_get_secret_value(SecretIdList=["shop/rotated", "nowhere", "shop/keystore"])
    check("a batch gives values", [value["Name"] for value in answer["SecretValues"]],
          ["shop/rotated", "shop/keystore"])
    check("a batch gives errors beside them", [error["ErrorCode"] for error in answer["Errors"]],
          ["ResourceNotFoundException"])
    answer = sm.batch_get_secret_value(Filters=[{"Key": "tag-key", "Values": ["team"]}])
    check("a batch by filter", [value["Name"] for value in answer["SecretValues"]],
          ["shop/database", "shop/session-key"])
    refused("a batch by both", lambda: sm.batch_get_secret_value(
        SecretIdList=["a"], Filters=[{"Key": "name", "Values": ["a"]}]), "InvalidParameterException")

    def names(**request):
        pages = sm.get_paginator("list_secrets").paginate(**request)
        return [entry["Name"] for page in pages for entry in page["SecretList"]]

    everything = names()
    lacks("a list leaves the deleted out", everything, "shop/deleted")
    check("a list has all others", len(everything) > 5 or everything)
    check("a list in pages is the same", names(PaginationConfig={"PageSize": 2}), everything)
    contains("a list with what is scheduled for deletion", names(IncludePlannedDeletion=True), "shop/deleted")
    check("a list by name prefix", names(Filters=[{"Key": "name", "Values": ["payments/"]}]),
          ["payments/provider"])


def secrets_manager_writes():
    sm = client("secretsmanager", session())
    answer = sm.create_secret(Name="new/secret", SecretString="one", Description="d",
                              Tags=[{"Key": "k", "Value": "v"}])
    first, arn = answer["VersionId"], answer["ARN"]
    check("a new secret's ARN", arn[:-6], f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:new/secret-")
    refused("a name that is taken", lambda: sm.create_secret(Name="new/secret", SecretString="x"),
            "ResourceExistsException", message="already exists")
    refused("a name that cannot be", lambda: sm.create_secret(Name="no spaces", SecretString="x"),
            "ValidationException")

    def stages():
        return sm.describe_secret(SecretId="new/secret")["VersionIdsToStages"]

    answer = sm.put_secret_value(SecretId="new/secret", SecretString="two")
    second = answer["VersionId"]
    check("a new value is current", answer["VersionStages"], ["AWSCURRENT"])
    check("the old one is previous", stages(), {first: ["AWSPREVIOUS"], second: ["AWSCURRENT"]})
    third = str(uuid.uuid4())
    pending = dict(SecretId="new/secret", SecretString="three", VersionStages=["AWSPENDING"],
                   ClientRequestToken=third)
    check("a pending value", sm.put_secret_value(**pending)["VersionId"], third)
    check("a pending value moves nothing", stages()[second], ["AWSCURRENT"])
    check("a put is idempotent", sm.put_secret_value(**pending)["VersionId"], third)
    refused("a token that is used", lambda: sm.put_secret_value(**{**pending, "SecretString": "x"}),
            "ResourceExistsException")
    refused("no value at all", lambda: sm.put_secret_value(SecretId="new/secret"),
            "InvalidRequestException")

    def move(**request):
        return sm.update_secret_version_stage(SecretId="new/secret", **request)

    refused("moving AWSCURRENT without saying from where",
            lambda: move(VersionStage="AWSCURRENT", MoveToVersionId=third),
            "InvalidParameterException", message=second)
    refused("moving AWSCURRENT from the wrong version",
            lambda: move(VersionStage="AWSCURRENT", MoveToVersionId=third, RemoveFromVersionId=first),
            "InvalidParameterException")
    refused("removing AWSCURRENT", lambda: move(VersionStage="AWSCURRENT", RemoveFromVersionId=second),
            "InvalidParameterException")
    move(VersionStage="AWSCURRENT", MoveToVersionId=third, RemoveFromVersionId=second)
    move(VersionStage="AWSPENDING", RemoveFromVersionId=third)
    check("finishing a rotation", stages(), {third: ["AWSCURRENT"], second: ["AWSPREVIOUS"]})
    check("the rotated value", sm.get_secret_value(SecretId="new/secret")["SecretString"], "three")
    check("the version that lost its labels is still read by id",
          sm.get_secret_value(SecretId="new/secret", VersionId=first)["SecretString"], "one")
    answer = sm.put_secret_value(SecretId="new/secret", SecretBinary=b"\x00\xff")
    check("a binary value", sm.get_secret_value(SecretId="new/secret")["SecretBinary"], b"\x00\xff")

    answer = sm.delete_secret(SecretId="new/secret", RecoveryWindowInDays=7)
    check("a deletion date", (answer["DeletionDate"] - sm.describe_secret(SecretId="new/secret")
                              ["CreatedDate"]).days >= 7 - 1)
    refused("reading what is deleted", lambda: sm.get_secret_value(SecretId="new/secret"),
            "InvalidRequestException")
    refused("writing what is deleted", lambda: sm.put_secret_value(SecretId="new/secret", SecretString="x"),
            "InvalidRequestException")
    refused("creating what is scheduled for deletion",
            lambda: sm.create_secret(Name="new/secret", SecretString="x"), "InvalidRequestException")
    sm.restore_secret(SecretId="new/secret")
    check("a restored secret is read", sm.get_secret_value(SecretId="new/secret")["SecretBinary"], b"\x00\xff")
    sm.delete_secret(SecretId="new/secret", ForceDeleteWithoutRecovery=True)
    refused("reading what is gone", lambda: sm.get_secret_value(SecretId="new/secret"),
            "ResourceNotFoundException")


def parameter_store():
    ssm = client("ssm", session())
    one = ssm.get_parameter(Name="/shop/limits/orders")["Parameter"]
    check("the newest version", (one["Value"], one["Version"], one["Type"]), ("30", 3, "String"))
    check("its ARN", one["ARN"], f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/shop/limits/orders")
    one = ssm.get_parameter(Name="/shop/limits/orders:1")["Parameter"]
    check("a version", (one["Value"], one["Name"], one["Selector"]), ("10", "/shop/limits/orders", ":1"))
    one = ssm.get_parameter(Name="/shop/limits/orders:stable")["Parameter"]
    check("a label", (one["Value"], one["Version"], one["Selector"]), ("20", 2, ":stable"))
    one = ssm.get_parameter(Name=one["ARN"] + ":stable")["Parameter"]
    check("a label behind an ARN", (one["Value"], one["Selector"]), ("20", ":stable"))
    refused("no such parameter", lambda: ssm.get_parameter(Name="/nowhere"), "ParameterNotFound")
    refused("no such version", lambda: ssm.get_parameter(Name="/shop/limits/orders:9"),
            "ParameterVersionNotFound")
    sealed = ssm.get_parameter(Name="/shop/api-token")["Parameter"]
    check("a SecureString's type", sealed["Type"], "SecureString")
    lacks("a SecureString stays sealed", sealed["Value"], "emulated")
    opened = ssm.get_parameter(Name="/shop/api-token", WithDecryption=True)["Parameter"]
    check("a SecureString is opened", opened["Value"], "emulated-token")

    answer = ssm.get_parameters(Names=["shop-flag", "/shop/limits/orders:3", "/nowhere", "/shop/hosts",
                                       "/shop/limits/orders:stable", "/shop/limits/orders:9"])
    check("several in alphabetical order",
          [(one["Name"], one.get("Selector")) for one in answer["Parameters"]],
          [("/shop/hosts", None), ("/shop/limits/orders", ":stable"), ("/shop/limits/orders", ":3"),
           ("shop-flag", None)])
    check("missing ones apart", answer["InvalidParameters"], ["/nowhere", "/shop/limits/orders:9"])
    refused("eleven names", lambda: ssm.get_parameters(Names=[f"/p{n}" for n in range(11)]),
            "ValidationException", message="less than or equal to 10")
    refused("a name twice", lambda: ssm.get_parameters(Names=["/a", "/a"]), "ValidationException")

    for n in range(23):
        ssm.put_parameter(Name=f"/many/p{n:02}", Value=str(n), Type="String")
    page = ssm.get_parameters_by_path(Path="/many")
    check("a page has ten", len(page["Parameters"]), 10)
    contains("a page names the next one", page, "NextToken")
    pages = ssm.get_paginator("get_parameters_by_path")
    names = [one["Name"] for page in pages.paginate(Path="/many") for one in page["Parameters"]]
    check("all pages", names, [f"/many/p{n:02}" for n in range(23)])
    flat = [one["Name"] for one in ssm.get_parameters_by_path(Path="/shop/")["Parameters"]]
    deep = [one["Name"] for one in ssm.get_parameters_by_path(Path="/shop", Recursive=True)["Parameters"]]
    contains("a path has its own parameters", flat, "/shop/hosts")
    lacks("a path is not recursive by itself", flat, "/shop/limits/orders")
    contains("a recursive path", deep, "/shop/limits/orders", "/shop/hosts")
    refused("a path without a slash", lambda: ssm.get_parameters_by_path(Path="shop"), "ValidationException")

    check("a first version", ssm.put_parameter(Name="/new", Value="a", Type="String")["Version"], 1)
    refused("overwriting unasked", lambda: ssm.put_parameter(Name="/new", Value="b", Type="String"),
            "ParameterAlreadyExists")
    check("a second version", ssm.put_parameter(Name="/new", Value="b", Overwrite=True)["Version"], 2)
    refused("a new parameter without a type", lambda: ssm.put_parameter(Name="/newer", Value="b"),
            "ValidationException")
    refused("a reserved name", lambda: ssm.put_parameter(Name="ssm-x", Value="b", Type="String"),
            "ValidationException")
    answer = ssm.label_parameter_version(Name="/new", ParameterVersion=1, Labels=["live", "aws-no"])
    check("a reserved label is returned", answer["InvalidLabels"], ["aws-no"])
    check("a label's version", answer["ParameterVersion"], 1)
    ssm.label_parameter_version(Name="/new", Labels=["live"])
    check("a label moves", ssm.get_parameter(Name="/new:live")["Parameter"]["Value"], "b")


def identities():
    unsigned = Config(signature_version=UNSIGNED, retries=QUICK.retries)
    sts = boto3.Session(region_name="us-east-1").client("sts", endpoint_url=URL, config=unsigned)

    def assume(token, role=SHOP_ROLE, **more):
        return sts.assume_role_with_web_identity(
            RoleArn=role, RoleSessionName="me", WebIdentityToken=token, **more)

    good = token("shop", "cart")
    answer = assume(good, DurationSeconds=900)
    check("IRSA's session", answer["AssumedRoleUser"]["Arn"],
          f"arn:aws:sts::{ACCOUNT}:assumed-role/shop/me")
    check("IRSA's subject", answer["SubjectFromWebIdentityToken"], "system:serviceaccount:shop:cart")
    check("IRSA's access key", answer["Credentials"]["AccessKeyId"][:4], "ASIA")
    refused("a service account that is not trusted", lambda: assume(token("shop", "other")),
            "AccessDenied", 403, "Not authorized to perform sts:AssumeRoleWithWebIdentity")
    refused("a role that is not there", lambda: assume(good, SHOP_ROLE + "x"), "AccessDenied", 403)
    refused("an expired token", lambda: assume(token("shop", "cart", ttl=0)), "ExpiredTokenException",
            message="Token expired")
    refused("a wrong audience", lambda: assume(token("shop", "cart", "pods.eks.amazonaws.com")),
            "InvalidIdentityToken", message="Incorrect token audience")
    refused("a forged token", lambda: assume(good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB")),
            "InvalidIdentityToken")
    refused("no token at all", lambda: assume("nonsense"), "InvalidIdentityToken", message="not a valid JWT")
    refused("too long a session", lambda: assume(good, DurationSeconds=50_000), "ValidationError")

    shop = session_of(answer)
    check("who IRSA is", client("sts", shop).get_caller_identity()["Arn"],
          f"arn:aws:sts::{ACCOUNT}:assumed-role/shop/me")
    sm = client("secretsmanager", shop)
    check("what is allowed", sm.get_secret_value(SecretId="shop/session-key")["SecretString"], "8f1c2a6e5b7d")
    denied = "secretsmanager:GetSecretValue"
    refused("what is not allowed", lambda: sm.get_secret_value(SecretId="payments/provider"),
            "AccessDeniedException",
            message=f"User: arn:aws:sts::{ACCOUNT}:assumed-role/shop/me is not authorized to perform: {denied} "
                    f"on resource: arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:payments/provider-")
    refused("no policy", lambda: sm.get_secret_value(SecretId="payments/provider"), "AccessDeniedException",
            message=f"because no identity-based policy allows the {denied} action")
    refused("an explicit deny", lambda: sm.get_secret_value(SecretId="shop/forbidden"),
            "AccessDeniedException", message="with an explicit deny in an identity-based policy")
    refused("a refusal by KMS", lambda: sm.get_secret_value(SecretId="shop/kms-protected"),
            "AccessDeniedException", message="Access to KMS is not allowed")
    refused("a write without permission", lambda: sm.put_secret_value(SecretId="shop/database", SecretString="x"),
            "AccessDeniedException")
    refused("what is not there, but allowed", lambda: sm.get_secret_value(SecretId="shop/nothing"),
            "ResourceNotFoundException")
    partner = f"arn:aws:secretsmanager:us-east-1:{PARTNER}:secret:partner/api-XyZaBc"
    check("another account's secret", sm.get_secret_value(SecretId=partner)["SecretString"], "partner-key")
    refused("another account's secret without the suffix", lambda: sm.get_secret_value(SecretId=partner[:-7]),
            "AccessDeniedException")
    answer = sm.batch_get_secret_value(SecretIdList=["shop/database", "payments/provider"])
    check("a batch with a denial", [error["ErrorCode"] for error in answer["Errors"]], ["AccessDeniedException"])

    ssm = client("ssm", shop)
    shared = f"arn:aws:ssm:us-east-1:{PARTNER}:parameter/shared/ca-bundle"
    answer = ssm.get_parameters(Names=[shared + ":1", "/shop/log-level"])
    check("a shared parameter", [one["ARN"] for one in answer["Parameters"]],
          [shared, f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/shop/log-level"])
    refused("one denied name refuses all", lambda: ssm.get_parameters(Names=["/shop/hosts", "/payments/currency"]),
            "AccessDeniedException",
            message=f"ssm:GetParameters on resource: arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/payments/currency")
    refused("a parameter sealed by KMS",
            lambda: ssm.get_parameters(Names=["/shop/sealed"], WithDecryption=True), "AccessDeniedException")

    chained = client("sts", shop)
    refused("a role without its external id",
            lambda: chained.assume_role(RoleArn=SHARED_ROLE, RoleSessionName="hop"), "AccessDenied", 403,
            f"is not authorized to perform: sts:AssumeRole on resource: {SHARED_ROLE}")
    answer = chained.assume_role(RoleArn=SHARED_ROLE, RoleSessionName="hop", ExternalId="shop-and-partner")
    partner_sm = client("secretsmanager", session_of(answer))
    check("a second hop", partner_sm.get_secret_value(SecretId="partner/api")["SecretString"], "partner-key")
    refused("another external id", lambda: chained.assume_role(
        RoleArn=SHARED_ROLE, RoleSessionName="hop", ExternalId="another"), "AccessDenied", 403)
    refused("what is no external id", lambda: chained.assume_role(
        RoleArn=SHARED_ROLE, RoleSessionName="hop", ExternalId="a b"), "ValidationError", message="externalId")
    refused("a second hop of more than an hour", lambda: chained.assume_role(
        RoleArn=SHARED_ROLE, RoleSessionName="hop", ExternalId="shop-and-partner", DurationSeconds=3601),
        "ValidationError")

    refused("an unknown key", lambda: client("secretsmanager", session("AKIAUNKNOWN")).list_secrets(),
            "UnrecognizedClientException", message="The security token included in the request is invalid.")
    wrong = session("AKIAEXAMPLEADMIN0001", aws_session_token="made up")
    refused("a static key with a session token", lambda: client("secretsmanager", wrong).list_secrets(),
            "UnrecognizedClientException")
    refused("an unknown key at STS", lambda: client("sts", session("AKIAUNKNOWN")).get_caller_identity(),
            "InvalidClientTokenId", 403)
    nobody = boto3.Session(region_name="us-east-1").client("secretsmanager", endpoint_url=URL, config=unsigned)
    refused("no signature", nobody.list_secrets, "MissingAuthenticationTokenException")
    china = client("sts", session(region="cn-north-1"))
    check("the partition follows the Region", china.get_caller_identity()["Arn"][:10], "arn:aws-cn")


def providers():
    """botocore's own ways to credentials, each in a process with an environment of its own."""
    script = (
        "import boto3, json, sys; s = boto3.Session(region_name='us-east-1');"
        "print(json.dumps([s.get_credentials().method,"
        " s.client('sts').get_caller_identity()['Arn'],"
        " s.client('secretsmanager').get_secret_value(SecretId=sys.argv[1])['SecretString']]))"
    )

    def run(secret, **environment):
        done = subprocess.run(
            [sys.executable, "-c", script, secret], capture_output=True, text=True,
            env={**os.environ, "AWS_ENDPOINT_URL": URL, **environment})
        return json.loads(done.stdout) if done.returncode == 0 else [done.stderr[-600:]] * 3

    method, arn, _ = run(
        "payments/provider", AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{URL}/v1/credentials",
        AWS_CONTAINER_AUTHORIZATION_TOKEN=token("payments", "worker", "pods.eks.amazonaws.com"))
    check("the container provider gets Pod Identity's credentials", method, "container-role")
    check("Pod Identity's session names cluster and pod",
          arn.startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/payments/eks-example-pod-1-") or arn)
    with tempfile.NamedTemporaryFile("w", suffix=".token") as file:
        file.write(token("shop", "checkout"))
        file.flush()
        method, arn, value = run(
            "shop/session-key", AWS_WEB_IDENTITY_TOKEN_FILE=file.name, AWS_ROLE_ARN=SHOP_ROLE,
            AWS_ROLE_SESSION_NAME="irsa")
    check("the web identity provider gets IRSA's credentials",
          (method, arn, value),
          ("assume-role-with-web-identity", f"arn:aws:sts::{ACCOUNT}:assumed-role/shop/irsa", "8f1c2a6e5b7d"))

    def agent(authorization):
        headers = {} if authorization is None else {"Authorization": authorization}
        request = urllib.request.Request(f"{URL}/v1/credentials", headers=headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    status, body = agent(token("payments", "worker", "pods.eks.amazonaws.com"))
    check("the agent's fields", (status, sorted(body)),
          (200, ["AccessKeyId", "AccountId", "Expiration", "SecretAccessKey", "Token"]))
    check("no token", agent(None), (400, "Service account token cannot be empty\n"))
    status, body = agent(token("payments", "worker"))
    check("a token for another audience", status, 400)
    contains("a token for another audience: says why", body, "(InvalidTokenException)")
    status, body = agent(token("payments", "other", "pods.eks.amazonaws.com"))
    check("no association", status, 404)
    contains("no association: says why", body, "(ResourceNotFoundException)", "fault: client")
    status, body = agent(token("payments", "worker", "pods.eks.amazonaws.com", ttl=0))
    check("an expired token at the agent", status, 400)
    contains("an expired token at the agent: says why", body, "token is expired")


def faults_and_calls():
    emulator("DELETE", "/_emulator/calls")
    sm = client("secretsmanager", session())

    def read():
        return sm.get_secret_value(SecretId="shop/session-key")

    def fault(**body):
        emulator("POST", "/_emulator/faults", {"operation": "GetSecretValue", "times": 1, **body})

    fault(kind="throttle")
    refused("a throttled call", read, "ThrottlingException", message="Rate exceeded")
    fault(kind="internalError")
    refused("an internal error", read, "InternalServiceError", 500)
    fault(kind="error", status=503, code="ServiceUnavailable", message="away")
    refused("any other error", read, "ServiceUnavailable", 503, "away")
    fault(kind="kmsDenied", target="shop/*")
    refused("a refusal by KMS on purpose", read, "AccessDeniedException", message="Access to KMS")
    for kind in ["reset", "truncatedBody"]:
        fault(kind=kind)
        try:
            read()
            check(f"a fault of kind {kind}", "an answer", "an error of the connection")
        except (ConnectionError, HTTPClientError) as error:
            check(f"a fault of kind {kind} ({type(error).__name__})", True)
    fault(kind="garbageBody")
    check("a garbage body gives botocore no value", read().get("SecretString"), None)
    fault(kind="delay", milliseconds=50)
    check("a delayed call is answered", read()["Name"], "shop/session-key")
    fault(kind="throttle", region="us-west-2")
    check("a fault of another Region meets nobody here", read()["Name"], "shop/session-key")
    emulator("DELETE", "/_emulator/faults")
    record = json.loads(emulator("GET", "/_emulator/calls"))
    check("calls are counted", record["counts"], {"GetSecretValue": 9})
    statuses = [call["status"] for call in record["calls"]]
    check("calls are recorded in order", statuses, [400, 500, 503, 400, None, 200, 200, 200, 200])
    last = record["calls"][-1]
    check("a call names its target, Region and principal",
          (last["targets"], last["region"], last["principal"]),
          (["shop/session-key"], "us-east-1", f"arn:aws:iam::{ACCOUNT}:user/administrator"))
    contains("a call names the client", last["userAgent"], "Boto3")
    lacks("no value in the record", json.dumps(record), "8f1c2a6e5b7d")
    check("it is healthy", emulator("GET", "/healthz"), "ok\n")


def control():
    sm = client("secretsmanager", session("AKIAEXAMPLESHOP00001"))

    def read():
        return sm.get_secret_value(SecretId="shop/session-key")

    def policy(effect):
        emulator("POST", "/_emulator/policy", {
            "role": SHOP_ROLE, "effect": effect, "actions": ["secretsmanager:GetSecretValue"],
            "resources": ["shop/session-key"]})

    check("a static key with a role may do what the role may", read()["Name"], "shop/session-key")
    policy("deny")
    refused("a permission taken away", read, "AccessDeniedException", message="explicit deny")
    policy("allow")
    check("a permission given back", read()["Name"], "shop/session-key")
    emulator("PUT", "/_emulator/delay", {"operation": "GetSecretValue", "milliseconds": 200})
    before = time.monotonic()
    read()
    took = time.monotonic() - before
    check("a delay", took >= 0.2 or took)
    emulator("PUT", "/_emulator/delay", {"operation": "GetSecretValue", "milliseconds": 0})
    for method, path, body, status in [
        ("GET", "/_emulator/nothing", None, 404), ("PUT", "/_emulator/delay", {"no": 1}, 400),
        ("GET", "/_emulator/token", None, 400), ("POST", "/nowhere", {}, 404),
    ]:
        try:
            emulator(method, path, body)
            check(f"{method} {path}", "an answer", status)
        except urllib.error.HTTPError as error:
            check(f"{method} {path}", error.code, status)


secrets_manager_reads()
secrets_manager_writes()
parameter_store()
identities()
providers()
faults_and_calls()
control()
finish()
