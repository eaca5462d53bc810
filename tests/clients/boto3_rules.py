#!/usr/bin/env python3
"""boto3's opinion of what the emulator refuses as AWS does, and of replicas, tiers and references.

Usage: boto3_rules.py http://127.0.0.1:4566

The emulator must have been started from examples/store.yaml and be fresh: the
writes change it. Prints a line for each check and leaves with 1 on a mismatch.
"""

import json
import uuid

from client import ACCOUNT, QUICK, URL, check, client, emulator, finish, lacks, refused, session

from botocore.config import Config


def unchecked(service, of):
    """A client that sends what botocore would refuse itself, so that the emulator must."""
    return of.client(service, endpoint_url=URL, config=QUICK.merge(Config(parameter_validation=False)))


def partial_arns():
    sm = client("secretsmanager", session())
    for name in ["rules/app-config", "rules/db-123456", "rules/db-AbC1eF"]:
        arn = sm.create_secret(Name=name, SecretString="v")["ARN"]
        check(f"{name} by its full ARN", sm.get_secret_value(SecretId=arn)["Name"], name)
        check(f"{name} by its name", sm.get_secret_value(SecretId=name)["Name"], name)
        refused(f"{name} by its ARN without suffix, which looks complete",
                lambda arn=arn: sm.get_secret_value(SecretId=arn[:-7]), "ResourceNotFoundException")
    for name in ["rules/app-conf", "rules/app-configs", "rules/appconfig", "rules/app-con_ig"]:
        arn = sm.create_secret(Name=name, SecretString="v")["ARN"]
        check(f"{name} by its ARN without suffix", sm.get_secret_value(SecretId=arn[:-7])["Name"], name)


def updates():
    sm = client("secretsmanager", session())
    first = sm.create_secret(Name="rules/updated", SecretString="one", Description="before")["VersionId"]
    second = sm.update_secret(SecretId="rules/updated", SecretString="two")["VersionId"]
    answer = sm.get_secret_value(SecretId="rules/updated")
    check("UpdateSecret makes a new current version", (answer["SecretString"], answer["VersionId"]), ("two", second))
    stages = sm.describe_secret(SecretId="rules/updated")["VersionIdsToStages"]
    check("and the old one is previous", stages, {first: ["AWSPREVIOUS"], second: ["AWSCURRENT"]})
    answer = sm.update_secret(SecretId="rules/updated", Description="after", KmsKeyId="alias/other")
    lacks("UpdateSecret without a value makes no version", answer, "VersionId")
    described = sm.describe_secret(SecretId="rules/updated")
    check("but changes the rest", (described["Description"], described["KmsKeyId"]), ("after", "alias/other"))
    sm.update_secret(SecretId="rules/updated", SecretBinary=b"\x00\xff")
    check("UpdateSecret with bytes", sm.get_secret_value(SecretId="rules/updated")["SecretBinary"], b"\x00\xff")
    check("and the description stays", sm.describe_secret(SecretId="rules/updated")["Description"], "after")
    one = dict(SecretId="rules/updated", SecretString="three", ClientRequestToken=str(uuid.uuid4()))
    check("UpdateSecret is idempotent", sm.update_secret(**one)["VersionId"], sm.update_secret(**one)["VersionId"])
    refused("a token that is used", lambda: sm.update_secret(**{**one, "SecretString": "x"}),
            "ResourceExistsException")
    refused("UpdateSecret of nothing", lambda: sm.update_secret(SecretId="nowhere", SecretString="x"),
            "ResourceNotFoundException")
    refused("UpdateSecret of what is deleted", lambda: sm.update_secret(SecretId="shop/deleted", SecretString="x"),
            "InvalidRequestException")
    shop = client("secretsmanager", session("AKIAEXAMPLESHOP00001"))
    refused("UpdateSecret without the permission",
            lambda: shop.update_secret(SecretId="shop/database", SecretString="x"),
            "AccessDeniedException", message="secretsmanager:UpdateSecret")


def replicas():
    home, west, eu = (client("secretsmanager", session(region=region))
                      for region in ("us-east-1", "us-west-2", "eu-west-1"))

    def there(client, **version):
        return client.get_secret_value(SecretId="rules/replicated", **version)["SecretString"]

    answer = home.create_secret(Name="rules/replicated", SecretString="one",
                                AddReplicaRegions=[{"Region": "us-west-2"}])
    check("a replica is in sync", [(one["Region"], one["Status"]) for one in answer["ReplicationStatus"]],
          [("us-west-2", "InSync")])
    check("a replica is read in its Region", there(west), "one")
    check("its ARN is the primary's but for the Region", west.describe_secret(SecretId="rules/replicated")["ARN"],
          answer["ARN"].replace("us-east-1", "us-west-2"))
    check("it names its primary", west.describe_secret(SecretId="rules/replicated")["PrimaryRegion"], "us-east-1")
    check("its versions have the same ids",
          west.get_secret_value(SecretId="rules/replicated")["VersionId"], answer["VersionId"])
    home.put_secret_value(SecretId="rules/replicated", SecretString="two")
    check("PutSecretValue reaches the replica", (there(west), there(west, VersionStage="AWSPREVIOUS")), ("two", "one"))
    home.update_secret(SecretId="rules/replicated", SecretString="three", Description="new")
    check("UpdateSecret, too", (there(west), west.describe_secret(SecretId="rules/replicated")["Description"]),
          ("three", "new"))
    for fact, write in {
        "PutSecretValue": lambda: west.put_secret_value(SecretId="rules/replicated", SecretString="x"),
        "UpdateSecret": lambda: west.update_secret(SecretId="rules/replicated", SecretString="x"),
        "DeleteSecret": lambda: west.delete_secret(SecretId="rules/replicated"),
    }.items():
        refused(f"{fact} in a replica's Region", write, "InvalidRequestException", message="replica")
    refused("a replica in the secret's own Region", lambda: home.create_secret(
        Name="rules/here", SecretString="x", AddReplicaRegions=[{"Region": "us-east-1"}]), "InvalidParameterException")
    refused("and nothing was made", lambda: home.describe_secret(SecretId="rules/here"), "ResourceNotFoundException")
    refused("a replica in another partition", lambda: home.create_secret(
        Name="rules/here", SecretString="x", AddReplicaRegions=[{"Region": "cn-north-1"}]),
        "InvalidParameterException")

    eu.create_secret(Name="rules/replicated", SecretString="another")
    regions = [{"Region": "eu-west-1", "KmsKeyId": "alias/eu"}]
    answer = home.replicate_secret_to_regions(SecretId="rules/replicated", AddReplicaRegions=regions)
    status = {one["Region"]: one["Status"] for one in answer["ReplicationStatus"]}
    check("a name that is taken there fails", status, {"eu-west-1": "Failed", "us-west-2": "InSync"})
    check("and what was there stays", there(eu), "another")
    home.replicate_secret_to_regions(SecretId="rules/replicated", AddReplicaRegions=regions,
                                     ForceOverwriteReplicaSecret=True)
    check("unless it is to be overwritten", there(eu), "three")
    check("a replica has its own key", eu.describe_secret(SecretId="rules/replicated")["KmsKeyId"], "alias/eu")
    refused("deleting a secret with replicas", lambda: home.delete_secret(SecretId="rules/replicated"),
            "InvalidRequestException", message="RemoveRegionsFromReplication")
    home.remove_regions_from_replication(SecretId="rules/replicated", RemoveReplicaRegions=["us-west-2"])
    refused("a removed replica", lambda: there(west), "ResourceNotFoundException")
    eu.stop_replication_to_replica(SecretId="rules/replicated")
    eu.put_secret_value(SecretId="rules/replicated", SecretString="on its own")
    check("a replica that is let go is a secret of its own", (there(eu), there(home)), ("on its own", "three"))
    check("and its primary may be deleted",
          home.delete_secret(SecretId="rules/replicated", ForceDeleteWithoutRecovery=True)["Name"],
          "rules/replicated")


def secrets_that_cannot_be():
    sm = unchecked("secretsmanager", session())

    def create(**request):
        return lambda: sm.create_secret(**{"Name": "rules/no", "SecretString": "x", **request})

    for fact, call, code in [
        ("a space in a name", create(Name="a b"), "ValidationException"),
        ("an empty name", create(Name=""), "ValidationException"),
        ("a name of 513 characters", create(Name="n" * 513), "ValidationException"),
        ("an empty value", create(SecretString=""), "ValidationException"),
        ("a value of 65,537 bytes", create(SecretString="v" * 65537), "ValidationException"),
        ("a token of 31 characters", create(ClientRequestToken="t" * 31), "InvalidParameterException"),
        ("a description of 2,049 characters", create(Description="d" * 2049), "ValidationException"),
        ("51 tags", create(Tags=[{"Key": str(n), "Value": "v"} for n in range(51)]), "InvalidParameterException"),
        ("a reserved tag", create(Tags=[{"Key": "aws:x", "Value": "v"}]), "InvalidParameterException"),
        ("21 labels", lambda: sm.put_secret_value(
            SecretId="shop/session-key", SecretString="x", VersionStages=[str(n) for n in range(21)]),
         "ValidationException"),
        ("an empty label", lambda: sm.put_secret_value(
            SecretId="shop/session-key", SecretString="x", VersionStages=[""]), "ValidationException"),
    ]:
        refused(fact, call, code)
    refused("nothing of it was made", lambda: sm.describe_secret(SecretId="rules/no"), "ResourceNotFoundException")


def parameters_that_cannot_be():
    ssm = unchecked("ssm", session())

    def put(value="v", **request):
        return lambda: ssm.put_parameter(**{"Name": "/rules/no", "Value": value, "Type": "String", **request})

    for fact, call, code in [
        ("5,000 characters without a tier", put("v" * 5000), "ValidationException"),
        ("5,000 characters in the standard tier", put("v" * 5000, Tier="Standard"), "ValidationException"),
        ("9,000 characters", put("v" * 9000), "ValidationException"),
        ("9,000 characters in the advanced tier", put("v" * 9000, Tier="Advanced"), "ValidationException"),
        ("9,000 characters by Intelligent-Tiering", put("v" * 9000, Tier="Intelligent-Tiering"), "ValidationException"),
        ("an unknown tier", put(Tier="Gold"), "ValidationException"),
        ("an empty value", put(""), "ValidationException"),
        ("16 levels", put(Name="/x" * 16), "HierarchyLevelLimitExceededException"),
        ("a path that is not qualified", put(Name="rules/no"), "ValidationException"),
        ("a slash at the end", put(Name="/rules/no/"), "ValidationException"),
        ("a space in a name", put(Name="/rules/n o"), "ValidationException"),
        ("a name of 1,000 characters", put(Name="n" * 1000), "ValidationException"),
        ("AWS's own names", put(Name="/aws/reference/secretsmanager/x"), "AccessDeniedException"),
        ("a name that begins with aws", put(Name="AwsThing"), "ValidationException"),
        ("a key for a String", put(KeyId="alias/x"), "ValidationException"),
        ("another type for a parameter", put(Name="/shop/log-level", Type="SecureString", Overwrite=True),
         "HierarchyTypeMismatchException"),
        ("filters that GetParametersByPath has not", lambda: ssm.get_parameters_by_path(
            Path="/shop", ParameterFilters=[{"Key": "Name", "Values": ["x"]}]), "InvalidFilterKey"),
    ]:
        refused(fact, call, code)
    refused("nothing of it was made", lambda: ssm.get_parameter(Name="/rules/no"), "ParameterNotFound")

    check("4,096 characters are standard", ssm.put_parameter(Name="/rules/size", Value="v" * 4096, Type="String")["Tier"],
          "Standard")
    check("4,097 are advanced by Intelligent-Tiering", ssm.put_parameter(
        Name="/rules/size", Value="v" * 4097, Overwrite=True, Tier="Intelligent-Tiering")["Tier"], "Advanced")
    check("an advanced parameter stays so", ssm.put_parameter(Name="/rules/size", Value="v" * 8192, Overwrite=True),
          dict(Tier="Advanced", Version=3) | {"ResponseMetadata": any_metadata})
    refused("and does not go back", lambda: ssm.put_parameter(
        Name="/rules/size", Value="v", Overwrite=True, Tier="Standard"), "ValidationException", message="downgrade")
    by_key = ssm.get_parameters_by_path(
        Path="/shop", ParameterFilters=[{"Key": "Type", "Option": "BeginsWith", "Values": ["Sec"]}])
    check("a filter by the beginning of the type", {one["Type"] for one in by_key["Parameters"]}, {"SecureString"})


class Anything:
    def __eq__(self, other):
        return True


any_metadata = Anything()


def references():
    ssm = client("ssm", session())
    prefix = "/aws/reference/secretsmanager/"
    one = ssm.get_parameter(Name=f"{prefix}shop/rotated", WithDecryption=True)["Parameter"]
    check("a secret by reference", (one["Name"], one["Value"], one["Type"], one["Version"]),
          (f"{prefix}shop/rotated", "current", "SecureString", 0))
    source = json.loads(one["SourceResult"])
    check("with the secret itself", (source["Name"], source["SecretString"], source["VersionStages"]),
          ("shop/rotated", "current", ["AWSCURRENT", "blue"]))
    check("and its ARN", one["ARN"][:-6], f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:shop/rotated-")
    for selector, value in [("AWSPREVIOUS", "previous"), ("11111111-1111-4111-8111-111111111111", "oldest")]:
        one = ssm.get_parameter(Name=f"{prefix}shop/rotated:{selector}", WithDecryption=True)["Parameter"]
        check(f"a version of a secret by reference ({selector})", one["Value"], value)
    answer = ssm.get_parameters(Names=[f"{prefix}shop/session-key", "/shop/log-level", f"{prefix}nowhere"],
                                WithDecryption=True)
    check("beside parameters", {one["Name"]: one["Value"] for one in answer["Parameters"]},
          {f"{prefix}shop/session-key": "8f1c2a6e5b7d", "/shop/log-level": "info"})
    check("a reference to nothing", answer["InvalidParameters"], [f"{prefix}nowhere"])
    refused("a reference to nothing by itself",
            lambda: ssm.get_parameter(Name=f"{prefix}nowhere", WithDecryption=True), "ParameterNotFound",
            message="Secrets Manager")
    refused("a reference without decryption", lambda: ssm.get_parameter(Name=f"{prefix}shop/rotated"),
            "ValidationException", message="WithDecryption")
    shop = client("ssm", session("AKIAEXAMPLESHOP00001"))
    refused("a reference without the permission at Systems Manager",
            lambda: shop.get_parameter(Name=f"{prefix}shop/session-key", WithDecryption=True),
            "AccessDeniedException", message="ssm:GetParameter")
    emulator("POST", "/_emulator/policy", {
        "role": f"arn:aws:iam::{ACCOUNT}:role/shop", "effect": "allow", "actions": ["ssm:GetParameter"],
        "resources": [f"{prefix}*"]})
    check("a reference with both permissions",
          shop.get_parameter(Name=f"{prefix}shop/session-key", WithDecryption=True)["Parameter"]["Value"],
          "8f1c2a6e5b7d")
    refused("a reference without the permission at Secrets Manager",
            lambda: shop.get_parameter(Name=f"{prefix}shop/forbidden", WithDecryption=True),
            "AccessDeniedException", message="secretsmanager:GetSecretValue")


def what_is_not_there():
    sm, ssm, sts = (client(service, session()) for service in ("secretsmanager", "ssm", "sts"))
    for fact, call, code, says in [
        ("an operation of Secrets Manager", lambda: sm.rotate_secret(SecretId="shop/rotated"),
         "UnknownOperationException", "RotateSecret; it has BatchGetSecretValue, CreateSecret"),
        ("an operation of Systems Manager", lambda: ssm.get_parameter_history(Name="/shop/log-level"),
         "UnknownOperationException", "GetParameterHistory; it has DeleteParameter, GetParameter"),
        ("an operation of STS", lambda: sts.get_session_token(),
         "InvalidAction", "GetSessionToken for version 2011-06-15: the emulator does not have it; it has AssumeRole"),
        ("another service with JSON", lambda: client("kms", session()).list_keys(),
         "UnknownOperationException", "TrentService.ListKeys; it has Secrets Manager"),
        ("another service with queries", lambda: client("iam", session()).list_roles(), "InvalidAction", "ListRoles"),
        ("a member of a request", lambda: ssm.put_parameter(
            Name="/rules/no", Value="v", Type="String", AllowedPattern="^v$"),
         "ValidationException", "AllowedPattern"),
        ("a member of a request to Secrets Manager", lambda: sm.create_secret(
            Name="rules/no", SecretString="x", Type="Salesforce"), "ValidationException", "Type"),
    ]:
        refused(fact, call, code, message=says)
    refused("a request without what it must have", lambda: unchecked("secretsmanager", session()).get_secret_value(),
            "ValidationException", message="null at 'SecretId'")


partial_arns()
updates()
replicas()
secrets_that_cannot_be()
parameters_that_cannot_be()
references()
what_is_not_there()
finish()
