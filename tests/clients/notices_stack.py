#!/usr/bin/env python3
"""Creates the stack of `latchkey notices --print-setup cloudformation`, and changes a secret.

Usage: notices_stack.py URL create TEMPLATE QUEUE   prints the URL of the queue
       notices_stack.py URL change                  prints the ARN of the secret

Runs against MiniStack, an emulation of AWS that nobody here wrote: CloudFormation, EventBridge,
IAM, Secrets Manager and SQS.
"""

import os
import sys
import time

for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"

import botocore.session  # noqa: E402  (the environment comes first)

url, step, *more = sys.argv[1:]


def client(service):
    return botocore.session.get_session().create_client(
        service, region_name="us-east-1", endpoint_url=url, aws_access_key_id="111122223333",
        aws_secret_access_key="anything")


if step == "create":
    template, queue = more
    stacks = client("cloudformation")
    stacks.create_stack(
        StackName="notices", TemplateBody=open(template).read(), Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": "QueueName", "ParameterValue": queue},
                    {"ParameterKey": "CloudTrail", "ParameterValue": "true"}])
    while (stack := stacks.describe_stacks(StackName="notices")["Stacks"][0])["StackStatus"].endswith("_IN_PROGRESS"):
        time.sleep(0.1)
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack
    print(next(one["OutputValue"] for one in stack["Outputs"] if one["OutputKey"] == "QueueUrl"))
else:
    secrets = client("secretsmanager")
    arn = secrets.create_secret(Name="shop/db", SecretString="one")["ARN"]
    secrets.put_secret_value(SecretId=arn, SecretString="two")
    print(arn)
