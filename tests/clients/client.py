"""What the checks by boto3 share: clients of the emulator, and the count of what agreed.

The script that imports this is called with the emulator's base URL.
"""

import json
import os
import sys
import urllib.request

for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.devnull
os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull

import boto3  # noqa: E402  (the environment comes first)
from botocore.config import Config  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402

URL = sys.argv[1].rstrip("/")
ACCOUNT, PARTNER = "111122223333", "222233334444"
SHOP_ROLE = f"arn:aws:iam::{ACCOUNT}:role/shop"
PAYMENTS_ROLE = f"arn:aws:iam::{ACCOUNT}:role/payments"
SHARED_ROLE = f"arn:aws:iam::{PARTNER}:role/shared-reader"
QUICK = Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=5)

passed = failed = 0


def check(fact, actual, expected=True):
    global passed, failed
    if actual == expected:
        passed += 1
        print(f"ok    {fact}")
    else:
        failed += 1
        print(f"FAIL  {fact}\n      expected {expected!r}\n      but got  {actual!r}")


def contains(fact, where, *parts):
    """All parts are in a text, a list or the keys of an answer."""
    missing = [part for part in parts if part not in where]
    check(fact, f"{where}, without {missing}" if missing else "contained", "contained")


def lacks(fact, where, part):
    """The part is not in a text, a list or the keys of an answer."""
    check(fact, f"{where}, with {part}" if part in where else "absent", "absent")


def refused(fact, call, code, status=400, message=None):
    """The call fails with this code and status, a request id, and this in its message."""
    try:
        answer = call()
    except ClientError as error:
        meta = error.response["ResponseMetadata"]
        check(f"{fact}: {code}", error.response["Error"]["Code"], code)
        check(f"{fact}: HTTP {status}", meta["HTTPStatusCode"], status)
        check(f"{fact}: has a request id", len(meta.get("RequestId") or ""), 36)
        if message is not None:
            contains(f"{fact}: says why", error.response["Error"]["Message"], message)
        return
    check(f"{fact}: {code}", f"an answer with {sorted(answer)}", code)


def emulator(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{URL}{path}", data=data, method=method)
    with urllib.request.urlopen(request) as answer:
        return answer.read().decode()


def token(namespace, service_account, audience="sts.amazonaws.com", ttl=600):
    return emulator(
        "GET",
        f"/_emulator/token?namespace={namespace}&serviceAccount={service_account}"
        f"&audience={audience}&podName=pod-1&podUid=uid-1&ttlSeconds={ttl}",
    )


def session(key="AKIAEXAMPLEADMIN0001", region="us-east-1", **more):
    return boto3.Session(
        aws_access_key_id=key, aws_secret_access_key="anything", region_name=region, **more
    )


def client(service, of, **more):
    return of.client(service, endpoint_url=URL, config=QUICK, **more)


def session_of(answer, region="us-east-1"):
    credentials = answer["Credentials"]
    return boto3.Session(
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        region_name=region,
    )


def finish():
    """Prints the counts and leaves with 1 on a mismatch."""
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
