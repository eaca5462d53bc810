#!/usr/bin/env python3
"""boto3's opinion of the emulator's queues, and of the events that rules send to them.

Usage: boto3_queues.py http://127.0.0.1:4566

The emulator must have been started from examples/store.yaml and be fresh: the
writes change it. Prints a line for each check and leaves with 1 on a mismatch.
"""

import hashlib
import json
import time

from client import ACCOUNT, PARTNER, QUICK, SHOP_ROLE, URL, check, client, contains, emulator, finish, refused, session

from botocore.config import Config

HOST = "https://sqs.us-east-1.amazonaws.com"
NAMES = ["All"]


def unchecked(of):
    """A client that sends what botocore would refuse itself, so that the emulator must."""
    return of.client("sqs", endpoint_url=URL, config=QUICK.merge(Config(parameter_validation=False)))


def legacy(code):
    return f"AWS.SimpleQueueService.{code}"


def queues():
    sqs = client("sqs", session())
    url = sqs.create_queue(QueueName="mine", Attributes={"VisibilityTimeout": "5"}, tags={"a": "b"})["QueueUrl"]
    check("a queue's URL is AWS's, whatever the endpoint", url, f"{HOST}/{ACCOUNT}/mine")
    check("the same queue again", sqs.create_queue(QueueName="mine")["QueueUrl"], url)
    refused("the same queue with other attributes",
            lambda: sqs.create_queue(QueueName="mine", Attributes={"VisibilityTimeout": "6"}), "QueueAlreadyExists")
    refused("a name that cannot be", lambda: sqs.create_queue(QueueName="a b"), "InvalidParameterValue")
    refused("an attribute out of bounds",
            lambda: sqs.create_queue(QueueName="x", Attributes={"DelaySeconds": "901"}), "InvalidAttributeValue")
    refused("an attribute that the emulator does not have",
            lambda: sqs.create_queue(QueueName="x", Attributes={"FifoQueue": "true"}), "InvalidAttributeName")
    check("the URL by name", sqs.get_queue_url(QueueName="mine")["QueueUrl"], url)
    check("and account", sqs.get_queue_url(QueueName="mine", QueueOwnerAWSAccountId=ACCOUNT)["QueueUrl"], url)
    refused("no such queue", lambda: sqs.get_queue_url(QueueName="none"), legacy("NonExistentQueue"),
            message="does not exist")
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=NAMES)["Attributes"]
    check("its ARN", attributes["QueueArn"], f"arn:aws:sqs:us-east-1:{ACCOUNT}:mine")
    check("its attributes", [attributes[name] for name in ("VisibilityTimeout", "MessageRetentionPeriod")],
          ["5", "345600"])
    check("only what is asked", list(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["DelaySeconds"])
                                     ["Attributes"]), ["DelaySeconds"])
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "30"})
    check("a changed attribute", sqs.get_queue_attributes(
        QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"], {"VisibilityTimeout": "30"})
    check("the list", sqs.list_queues()["QueueUrls"], [f"{HOST}/{ACCOUNT}/changes", url])
    check("the list by prefix", sqs.list_queues(QueueNamePrefix="mi")["QueueUrls"], [url])
    pages = sqs.get_paginator("list_queues").paginate(PaginationConfig={"PageSize": 1})
    check("the list in pages", [one for page in pages for one in page["QueueUrls"]], sqs.list_queues()["QueueUrls"])
    local = f"{URL}/{ACCOUNT}/mine"
    check("a URL of the emulator's own address", sqs.get_queue_attributes(
        QueueUrl=local, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"], attributes["QueueArn"])
    west = client("sqs", session(region="us-west-2"))
    refused("a queue of another Region than the signature's", lambda: west.purge_queue(QueueUrl=url),
            "InvalidAddress")
    refused("what is no URL", lambda: sqs.purge_queue(QueueUrl="mine"), "InvalidAddress")
    sqs.delete_queue(QueueUrl=url)
    refused("a deleted queue", lambda: sqs.purge_queue(QueueUrl=url), legacy("NonExistentQueue"))


def messages():
    sqs = client("sqs", session())
    url = sqs.create_queue(QueueName="mine")["QueueUrl"]

    def receive(**request):
        return sqs.receive_message(QueueUrl=url, **request).get("Messages", [])

    sent = sqs.send_message(QueueUrl=url, MessageBody="{\"ä\": 1}")
    check("a body's digest", sent["MD5OfMessageBody"], hashlib.md5("{\"ä\": 1}".encode()).hexdigest())
    [got] = receive(MessageSystemAttributeNames=NAMES, VisibilityTimeout=1)
    check("the body", got["Body"], "{\"ä\": 1}")
    check("its id and digest", (got["MessageId"], got["MD5OfBody"]), (sent["MessageId"], sent["MD5OfMessageBody"]))
    check("its attributes", sorted(got["Attributes"]),
          ["ApproximateFirstReceiveTimestamp", "ApproximateReceiveCount", "SenderId", "SentTimestamp"])
    check("it is invisible", receive(), [])
    before = time.monotonic()
    [again] = receive(WaitTimeSeconds=3, AttributeNames=["ApproximateReceiveCount"])
    took = time.monotonic() - before
    check("a long poll ends when it is visible again", 0.5 < took < 2 or took)
    check("received twice", again["Attributes"], {"ApproximateReceiveCount": "2"})
    check("with another handle", again["ReceiptHandle"] != got["ReceiptHandle"])

    def visibility(handle, seconds):
        return sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=seconds)

    visibility(again["ReceiptHandle"], 0)
    refused("the visibility of what is visible", lambda: visibility(again["ReceiptHandle"], 5),
            legacy("MessageNotInflight"))
    refused("an invalid handle", lambda: visibility("nonsense", 5), "ReceiptHandleIsInvalid")
    refused("an invalid timeout", lambda: visibility(again["ReceiptHandle"], 43201), "InvalidParameterValue")
    [third] = receive()
    sqs.delete_message(QueueUrl=url, ReceiptHandle=third["ReceiptHandle"])
    sqs.delete_message(QueueUrl=url, ReceiptHandle=third["ReceiptHandle"])
    refused("the visibility of what is deleted", lambda: visibility(third["ReceiptHandle"], 5),
            "InvalidParameterValue")
    refused("deleting by an invalid handle", lambda: sqs.delete_message(QueueUrl=url, ReceiptHandle="x"),
            "ReceiptHandleIsInvalid")
    for request in ({"MaxNumberOfMessages": 11}, {"MaxNumberOfMessages": 0}, {"WaitTimeSeconds": 21}):
        refused(f"{request}", lambda request=request: receive(**request), "InvalidParameterValue")
    refused("an empty body", lambda: sqs.send_message(QueueUrl=url, MessageBody=""), "MissingParameter")
    refused("a control character", lambda: sqs.send_message(QueueUrl=url, MessageBody="\x01"),
            "InvalidMessageContents")
    refused("a body that is too long", lambda: sqs.send_message(QueueUrl=url, MessageBody="x" * 1_048_577),
            "InvalidParameterValue")
    check("nothing was sent", receive(), [])

    entries = [{"Id": str(n), "MessageBody": f"body {n}"} for n in range(10)]
    answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    check("a batch", [one["Id"] for one in answer["Successful"]], [one["Id"] for one in entries])
    check("a batch fails by entry", [(one["Id"], one["Code"]) for one in sqs.send_message_batch(
        QueueUrl=url, Entries=[{"Id": "bad", "MessageBody": "\x02"}])["Failed"]], [("bad", "InvalidMessageContents")])
    for fact, batch, code in [
        ("eleven entries", entries + [{"Id": "x", "MessageBody": "x"}], "TooManyEntriesInBatchRequest"),
        ("no entry", [], "EmptyBatchRequest"),
        ("an id twice", entries[:1] * 2, "BatchEntryIdsNotDistinct"),
        ("an id that cannot be", [{"Id": "a b", "MessageBody": "x"}], "InvalidBatchEntryId"),
    ]:
        refused(fact, lambda batch=batch: unchecked(session()).send_message_batch(QueueUrl=url, Entries=batch),
                legacy(code))
    got = receive(MaxNumberOfMessages=10)
    check("ten at once, in order", [one["Body"] for one in got], [one["MessageBody"] for one in entries])
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessagesNotVisible"])
    check("ten in flight", counts["Attributes"], {"ApproximateNumberOfMessagesNotVisible": "10"})
    answer = sqs.change_message_visibility_batch(QueueUrl=url, Entries=[
        {"Id": "0", "ReceiptHandle": got[0]["ReceiptHandle"], "VisibilityTimeout": 0}])
    check("visibility in a batch", [one["Id"] for one in answer["Successful"]], ["0"])
    answer = sqs.delete_message_batch(QueueUrl=url, Entries=[
        {"Id": "ok", "ReceiptHandle": got[1]["ReceiptHandle"]}, {"Id": "bad", "ReceiptHandle": "nonsense"}])
    check("a batch of deletions", [one["Id"] for one in answer["Successful"]], ["ok"])
    check("with its failure", [(one["Id"], one["Code"]) for one in answer["Failed"]],
          [("bad", "ReceiptHandleIsInvalid")])
    sqs.purge_queue(QueueUrl=url)
    refused("a second purge", lambda: sqs.purge_queue(QueueUrl=url), legacy("PurgeQueueInProgress"))
    check("nothing is left", receive(), [])
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=1)
    check("a delayed message", receive(), [])
    check("a delayed message later", [one["Body"] for one in receive(WaitTimeSeconds=3)], ["later"])


def access():
    url = f"{HOST}/{ACCOUNT}/changes"
    shop = client("sqs", session("AKIAEXAMPLESHOP00001"))
    refused("a role without the permission", lambda: shop.receive_message(QueueUrl=url), "AccessDenied", status=403,
            message=f"is not authorized to perform: sqs:receivemessage on resource: arn:aws:sqs:us-east-1:{ACCOUNT}:"
                    "changes because no identity-based policy allows the sqs:receivemessage action")
    emulator("POST", "/_emulator/policy", {
        "role": SHOP_ROLE, "effect": "allow", "actions": ["sqs:ReceiveMessage"], "resources": ["changes"]})
    check("a permission given", shop.receive_message(QueueUrl=url, WaitTimeSeconds=0).get("Messages", []), [])
    refused("another permission", lambda: shop.delete_message(QueueUrl=url, ReceiptHandle="x"), "AccessDenied",
            status=403)
    sqs = client("sqs", session())
    refused("another account's queue that does not exist",
            lambda: sqs.receive_message(QueueUrl=f"{HOST}/{PARTNER}/none"), "AccessDenied", status=403)
    partners = f"{HOST}/{PARTNER}/partner-changes"
    check("another account's queue whose policy allows it", sqs.receive_message(QueueUrl=partners).get("Messages"),
          None)
    refused("an unknown key", lambda: client("sqs", session("AKIANOBODY")).list_queues(), "InvalidClientTokenId",
            status=403)
    emulator("POST", "/_emulator/faults", {"operation": "ReceiveMessage", "kind": "throttle", "times": 1})
    refused("a throttled call", lambda: sqs.receive_message(QueueUrl=url), "RequestThrottled")
    emulator("POST", "/_emulator/faults", {"target": "changes", "kind": "internalError", "times": 1})
    refused("an outage", lambda: sqs.receive_message(QueueUrl=url), "InternalFailure", status=500)


def events():
    sqs, sm, ssm = (client(service, session()) for service in ("sqs", "secretsmanager", "ssm"))
    url = sqs.create_queue(QueueName="watched")["QueueUrl"]

    def rule(pattern, queue="watched"):
        emulator("PUT", "/_emulator/event-rules", {
            "region": "us-east-1", "name": "watched", "pattern": pattern, "queue": queue})

    def received():
        got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for one in got:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
        return [json.loads(one["Body"]) for one in got]

    rule({"source": ["aws.secretsmanager"], "detail-type": ["Secret Label Updated"]})
    version = sm.put_secret_value(SecretId="shop/database", SecretString="new")["VersionId"]
    ssm.put_parameter(Name="/shop/log-level", Value="debug", Overwrite=True)
    check("a rule sends what matches", [event["detail"] for event in received()],
          [{"name": "shop/database", "labelUpdated": "AWSCURRENT", "versionId": version}])
    rule({"source": ["aws.ssm"], "detail": {"name": [{"prefix": "/new"}]}})
    ssm.put_parameter(Name="/new/p", Value="1", Type="String", Description="why")
    ssm.put_parameter(Name="/new/p", Value="2", Overwrite=True)
    ssm.label_parameter_version(Name="/new/p", ParameterVersion=1, Labels=["blue"])
    ssm.label_parameter_version(Name="/new/p", ParameterVersion=1, Labels=["aws-no"])
    ssm.put_parameter(Name="/other", Value="1", Type="String")
    ssm.delete_parameter(Name="/new/p")
    detail = {"name": "/new/p", "type": "String", "description": "why"}
    check("a parameter's events", [event["detail"] for event in received()],
          [detail | {"operation": operation} for operation in ("Create", "Update", "LabelParameterVersion", "Delete")])
    rule({"source": ["aws.secretsmanager"], "detail-type": ["AWS API Call via CloudTrail"]})
    sm.delete_secret(SecretId="shop/database")
    emulator("PUT", "/_emulator/trail", {"exists": False})
    sm.restore_secret(SecretId="shop/database")
    check("a call that a trail records", [event["detail"]["eventName"] for event in received()], ["DeleteSecret"])
    rule({"source": ["aws.secretsmanager"]})
    emulator("POST", "/_emulator/event-faults", {"kind": "lose", "times": 1})
    emulator("POST", "/_emulator/event-faults", {"kind": "duplicate", "times": 1})
    for value in ("a", "b"):
        version = sm.put_secret_value(SecretId="shop/database", SecretString=value)["VersionId"]
    check("one is lost, one comes twice", [event["detail"]["versionId"] for event in received()], [version] * 2)
    emulator("DELETE", "/_emulator/event-faults")
    recorded = json.loads(emulator("GET", "/_emulator/events"))["events"]
    contains("what was lost is recorded", [event["detail-type"] for event in recorded], "Secret Label Updated")


queues()
messages()
access()
events()
finish()
