"""The emulated AWS: its store, its life as a process on the node, and calls to it."""

import http.client
import json
import pathlib
import subprocess

from .tools import Failed, expect, until

ACCOUNT = "111122223333"
ADMINISTRATOR = "AKIAADMINISTRATOR001"
# Both in the cluster's network only. The emulator answers as AWS and as Pod Identity agent alike.
ENDPOINT, AGENT, PORT = "10.90.0.1", "169.254.170.23", 80
REGION = "eu-central-1"
# The queue of `latchkey notices`, and the role of its pods.
NOTICES_QUEUE = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/notices"
NOTICES_ROLE = "notices"


def role(name):
    """The ARN of a case's role."""
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


class Emulator:
    """A process with the emulator, on the node."""

    def __init__(self, program, store_file, log, port=PORT):
        self.program, self.log, self.port = program, log, port
        self.command = [program, "emulator", f"--store={store_file}", f"--address=0.0.0.0:{port}"]
        self.process = None

    def start(self):
        """Starts it with the store's values, and waits until it answers."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        until("the emulator answers", lambda: self.request("GET", "/healthz", check=False)[0] == 200, 20)

    def stop(self):
        """Kills it: connections are refused from then on."""
        self.process.kill()
        self.process.wait()

    def request(self, method, path, body=None, headers=None, check=True):
        """One request; gives status and text."""
        connection = http.client.HTTPConnection(ENDPOINT, self.port, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            text = response.read().decode()
        except OSError as error:
            if check:
                raise Failed(f"the emulator: {error}") from error
            return 0, str(error)
        finally:
            connection.close()
        if check and response.status >= 300:
            raise Failed(f"{method} {path}: {response.status} {text}")
        return response.status, text


class Aws(Emulator):
    """The emulated AWS of the cluster, with a role, a secret and parameters for each case."""

    def __init__(self, program, state, issuer, cases):
        # JSON is YAML. The keys are the cluster's own: tokens are verified as AWS would.
        store_file = pathlib.Path(state) / "store.yaml"
        store_file.write_text(json.dumps(store(issuer, f"{state}/jwks.json", cases)))
        super().__init__(program, store_file, pathlib.Path(state) / "logs" / "emulator.log")

    def api(self, service, target, **body):
        """A call as the account's administrator."""
        scope = f"20260101/{REGION}/{service}/aws4_request"
        # The emulator reads who signed, and does not compute signatures.
        signed = f"Credential={ADMINISTRATOR}/{scope}, SignedHeaders=host, Signature={'0' * 64}"
        headers = {
            "X-Amz-Target": target,
            "Content-Type": "application/x-amz-json-1.1",
            "Authorization": f"AWS4-HMAC-SHA256 {signed}",
        }
        return json.loads(self.request("POST", "/", json.dumps(body), headers)[1])

    def put_secret(self, name, text):
        """A new AWSCURRENT; gives its version id."""
        answer = self.api("secretsmanager", "secretsmanager.PutSecretValue", SecretId=name, SecretString=text)
        return answer["VersionId"]

    def put_parameter(self, name, text):
        """A new version of a parameter; gives its number."""
        return self.api("ssm", "AmazonSSM.PutParameter", Name=name, Value=text, Overwrite=True)["Version"]

    def policy(self, effect, case, action, resource):
        """Gives a case's role a permission, or denies it."""
        body = {"role": role(case), "effect": effect, "actions": [action], "resources": [resource]}
        self.request("POST", "/_emulator/policy", json.dumps(body))

    def calls(self, operation, case):
        """The calls of an operation so far that are for a case: the provider still reads for earlier ones."""
        calls = json.loads(self.request("GET", "/_emulator/calls")[1])["calls"]
        return [call for call in calls if call["operation"] == operation and case in str(call["targets"])]

    def assume_with(self, token, case):
        """STS's answer to a web identity token."""
        form = (
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=test"
            f"&RoleArn={role(case)}&WebIdentityToken={token}"
        )
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.request("POST", "/", form, headers, check=False)


def store(issuer, keys, cases):
    """What exists in the emulated AWS: for each case a role, two secrets and a parameter of its own."""
    expect(len(set(cases)) == len(cases), "two cases have one name")
    return {
        "account": ACCOUNT,
        "region": REGION,
        "cluster": "e2e",
        "staticKeys": [{"accessKeyId": ADMINISTRATOR}],
        "issuers": [{"issuer": issuer, "jwksFile": keys}],
        "roles": [
            {
                "arn": role(case),
                "trust": {"serviceAccounts": [f"system:serviceaccount:{case}:irsa"]},
                "allow": [
                    {"actions": ["secretsmanager:GetSecretValue"], "resources": [f"{case}/*"]},
                    {"actions": ["ssm:GetParameter", "ssm:GetParameters"], "resources": [f"/e2e/{case}/*"]},
                ],
            }
            for case in cases
        ] + [
            {
                "arn": role(NOTICES_ROLE),
                "trust": {"serviceAccounts": ["system:serviceaccount:kube-system:latchkey-notices"]},
                "allow": [{"actions": ["sqs:ReceiveMessage", "sqs:DeleteMessage"], "resources": ["notices"]}],
            },
        ],
        "queues": [{"name": "notices"}],
        "eventRules": [{"name": "notices", "pattern": {"source": ["aws.secretsmanager", "aws.ssm"]}, "queue": "notices"}],
        "podIdentityAssociations": [
            {"namespace": case, "serviceAccount": account, "role": role(case)}
            for case in cases
            for account in ("pod-identity", "unread-pod-identity")
        ],
        "secrets": [
            secret
            for case in cases
            for secret in (
                {"name": f"{case}/password", "value": "first"},
                {"name": f"{case}/login", "json": {"username": "anna", "password": "s3cr3t"}},
            )
        ],
        "parameters": [{"name": f"/e2e/{case}/host", "value": "db.example"} for case in cases],
    }
