#!/usr/bin/env python3
"""Moves the labels of a secret, and prints the events that reach a queue, as a JSON list.

Usage: label_events.py URL ACCESS_KEY

Runs against the emulator and against MiniStack, an emulation of AWS that nobody here
wrote. Version ids are replaced by their numbers, and ids and times of events are left out.

What MiniStack 1.5.33 does otherwise than AWS documents, so that the script does not do it:
- moving a label to the version that has it already sends an event, though nothing moves;
- of a new version's labels, it forgets those next to AWSCURRENT;
- AWSPENDING leaves a version that gets AWSCURRENT;
- Parameter Store and CloudTrail send no events.
AWS does not document whether a replica's Region gets an event, so the script has no replica.
"""

import json
import os
import sys
import urllib.error
import urllib.request
import uuid

for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"

import botocore.session  # noqa: E402  (the environment comes first)

url, key = sys.argv[1].rstrip("/"), sys.argv[2]
REGION = "us-east-1"
PATTERN = {"source": ["aws.secretsmanager"], "detail-type": ["Secret Label Updated"]}


def client(service):
    return botocore.session.get_session().create_client(
        service, region_name=REGION, endpoint_url=url, aws_access_key_id=key, aws_secret_access_key="anything")


sqs, sm = client("sqs"), client("secretsmanager")
queue = sqs.create_queue(QueueName="watched")["QueueUrl"]
arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
account = arn.split(":")[4]
try:
    rule = {"region": REGION, "name": "watched", "pattern": PATTERN, "queue": arn}
    body = json.dumps(rule).encode()
    urllib.request.urlopen(urllib.request.Request(f"{url}/_emulator/event-rules", data=body, method="PUT"))
except urllib.error.HTTPError:
    events = client("events")
    events.put_rule(Name="watched", EventPattern=json.dumps(PATTERN))
    events.put_targets(Rule="watched", Targets=[{"Id": "queue", "Arn": arn}])

versions = {}


def noted(answer):
    versions.setdefault(answer["VersionId"], f"version {len(versions) + 1}")
    return answer["VersionId"]


def put(value, *labels):
    more = {"VersionStages": list(labels)} if labels else {}
    return noted(sm.put_secret_value(SecretId="team/secret", SecretString=value, **more))


def move(label, to=None, source=None):
    request = {"MoveToVersionId": to, "RemoveFromVersionId": source}
    sm.update_secret_version_stage(
        SecretId="team/secret", VersionStage=label, **{name: one for name, one in request.items() if one})


created = sm.create_secret(Name="team/secret", SecretString="one", ClientRequestToken=str(uuid.uuid4()))
one = noted(created)
two = put("two")
three = put("three", "AWSPENDING")
move("AWSCURRENT", three, two)
# MiniStack has removed AWSPENDING by itself.
if "AWSPENDING" in sm.describe_secret(SecretId="team/secret")["VersionIdsToStages"][three]:
    move("AWSPENDING", source=three)
move("blue", two)
move("blue", three, two)
move("blue", source=three)
four = put("four", "green")
move("green", three, four)
noted(sm.update_secret(SecretId="team/secret", SecretString="five"))
sm.update_secret(SecretId="team/secret", Description="no new value")
move("AWSCURRENT", three, list(versions)[-1])
sm.create_secret(Name="team/empty")
noted(sm.put_secret_value(SecretId="team/empty", SecretString="first"))

seen = []
while got := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages"):
    for message in got:
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        event = json.loads(message["Body"])
        assert len(event.pop("id")) == 36 and event.pop("time").endswith("Z"), event
        [resource] = event["resources"]
        assert resource[-7] == "-", resource
        event["resources"] = [resource[:-7].replace(account, "ACCOUNT")]
        event["account"] = event["account"].replace(account, "ACCOUNT")
        event["detail"]["versionId"] = versions[event["detail"]["versionId"]]
        seen.append(event)
print(json.dumps(seen, indent=1, sort_keys=True))
