"""A database's password is rotated while an application uses it: who notices, and for how long."""

import json
import os
import re
import statistics
import subprocess
import uuid
from contextlib import contextmanager
from dataclasses import dataclass

from . import kube
from .aws import ADMINISTRATOR, ENDPOINT, REGION
from .cases import PROVIDER_WRITES_CALLED_OFTEN, case
from .kube import ROTATES_WITHIN, SOCKETS, Release
from .pods import MOUNT, POD_LOGS, Pod
from .postgres import ADMINISTRATOR as DATABASE_ADMINISTRATOR, Postgres
from .tools import expect, now_ms, same, until

ROTATIONS_ALTERNATING, ROTATIONS_SINGLE = 50, 10
# Latchkey's interval in these cases, in seconds.
POLLED_EVERY = 1
# For how long a single user's new logins may be refused, in seconds: the poll, and what a busy machine adds.
WINDOW = POLLED_EVERY + 4
# How long an application may go on with what it read just before, in milliseconds.
LATE = 1000
WRONG_LOGIN = "28P01"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": ADMINISTRATOR, "AWS_SECRET_ACCESS_KEY": "unused", "AWS_REGION": REGION}


@case(PROVIDER_WRITES_CALLED_OFTEN)
def alternating_users_lose_no_query(t, ns):
    """50 rotations with two users that take turns. `latchkey rotation --wait` holds each back until no pod uses the
    user whose password is about to change. No login fails, and no query."""
    from .rotation_function import AlternatingUsers  # pylint: disable=import-outside-toplevel # needs boto3
    with shop(t, ns, port=5432) as it:
        function = AlternatingUsers(it.client, it.gate)
        application = it.application("app")
        rotations = [it.rotate(function, [application]) for _ in range(ROTATIONS_ALTERNATING)]
        counts = application.last_counts()
        t.note(f"{len(rotations)} rotations: {counts}")
        arrivals(t, rotations)
        same(application.failures(), [], "failed logins and queries")
        same((counts.failed_logins, counts.failed_queries), (0, 0), "the application's own count of failures")
        same(it.postgres.refused(), 0, "passwords that PostgreSQL has refused to pods, by its log")
        expect(counts.logins > 5 * len(rotations) and counts.queries > 50 * len(rotations), f"too few: {counts}")
        it.rows_are_at_least(counts.queries)
        users = [user for _, user in application.files()]
        same(users, [("app", "app_clone")[number % 2] for number in range(len(rotations) + 1)], "users, in order")


@case(PROVIDER_WRITES_CALLED_OFTEN)
def single_user_refuses_logins_for_a_moment(t, ns):
    """10 rotations of one user's password. New logins are refused from setSecret until the file is there, and at no
    other time. A query that is patient about a refused login does not fail."""
    from .rotation_function import SingleUser  # pylint: disable=import-outside-toplevel # needs boto3
    with shop(t, ns, port=5433) as it:
        function = SingleUser(it.client)
        hasty, patient = it.application("hasty"), it.application("patient", "-patience=30s")
        rotations = []
        for _ in range(ROTATIONS_SINGLE):
            rotations.append(it.rotate(function, [hasty, patient]))
            # The rotation is done when nobody holds the old password any more; the next one may come then.
            it.gate(ns.secret("database"))
        for application in (hasty, patient):
            failures = application.failures()
            same({failure.why for failure in failures} - {WRONG_LOGIN}, set(), f"other failures of {application.name}")
            outside = [one for one in failures if not any(window.has(one, application) for window in rotations)]
            same(outside, [], f"failures of {application.name} outside of the windows")
            t.note(f"{application.name}: {application.last_counts()}")
        same(patient.last_counts().failed_queries, 0, "failed queries of the patient application")
        windows = [window.refused(application) for window in rotations for application in (hasty, patient)]
        t.figure("single user: password changed → last refused login (s)", *windows)
        t.note(f"{len(rotations)} rotations; from the change of the password until the last refused login: "
               f"median {statistics.median(windows):.2f} s, at most {max(windows):.2f} s")
        arrivals(t, rotations)
        expect(max(windows) > 0, "no login was refused: the window was not seen")
        expect(max(windows) < WINDOW, f"logins were refused for {max(windows):.2f} s")
        counts = [application.last_counts() for application in (hasty, patient)]
        it.rows_are_at_least(sum(one.queries - one.failed_queries for one in counts))


@dataclass
class Failure:
    """A login or a query that failed."""

    ms: int
    what: str
    why: str


@dataclass
class Counts:
    """What an application has done so far."""

    logins: int
    failed_logins: int
    queries: int
    failed_queries: int
    slowest_query_ms: int


@dataclass
class Rotation:
    """A rotation: when each step began and ended, and when each application saw the new file, in milliseconds."""

    steps: dict
    seen: dict

    def has(self, failure, application):
        """Whether an application's failure is between setSecret and the arrival of the file."""
        return self.steps["setSecret"][0] <= failure.ms <= self.seen[application.name] + LATE

    def refused(self, application):
        """For how long logins were refused, in seconds."""
        own = [one.ms for one in application.failures() if one.what == "login" and self.has(one, application)]
        return (max(own) - self.steps["setSecret"][0]) / 1000 if own else 0.0


class Application(Pod):
    """A pod with the querier."""

    def lines(self, kind):
        """What it has said of a kind so far: time and words. From the log on the node's disk."""
        folders = POD_LOGS.glob(f"{self.namespace}_{self.name}_*/app/*.log")
        text = "".join(log.read_text() for log in sorted(folders))
        found = re.finditer(rf"^\S+ \S+ F (\d+) {kind} (.+)$", text, re.MULTILINE)
        return [(int(one.group(1)), one.group(2)) for one in found]

    def files(self):
        """The files that it has seen: when, and whose login was in it."""
        return self.lines("file")

    def failures(self):
        """Its failed logins and queries."""
        return [Failure(ms, *words.split(" ", 1)) for ms, words in self.lines("failed")]

    def last_counts(self):
        """What it has done so far."""
        return Counts(*map(int, self.lines("counts")[-1][1].split()))


@dataclass
class Shop:
    """A database, the secret of its login, and the applications that use it."""

    t: object
    ns: object
    postgres: Postgres
    client: object

    def application(self, name, *arguments):
        """Creates a pod that queries the database, and waits until it has done so."""
        manifest = self.ns.pod_manifest(name, "class", "irsa", [], "0s")
        container = manifest["spec"]["containers"][0]
        container.update(image="localhost/querier:1", command=["/querier", f"-login={MOUNT}/database", *arguments])
        application = Application(self.ns.name, name)
        kube.create(manifest)
        until(f"{name} has queried", lambda: application.lines("counts") and application.last_counts().queries, 60)
        return application

    def rotate(self, function, applications):
        """Does what Secrets Manager does for a rotation, and waits until the applications have seen it."""
        token, secret = str(uuid.uuid4()), self.ns.secret("database")
        before = {application.name: len(application.files()) for application in applications}
        steps = {}
        for name in ("createSecret", "setSecret", "testSecret", "finishSecret"):
            began = now_ms()
            function.step(name, secret, token)
            steps[name] = (began, now_ms())
        seen = {}
        for application in applications:
            def new_file(application=application):
                return application.files()[before[application.name]:]
            seen[application.name] = until(f"{application.name} sees the file", new_file, ROTATES_WITHIN, 0.02)[0][0]
            # Kubelet looks at a pod every 5 seconds, or when the pod changes. Here the gate need not wait for it.
            kube.kubectl("annotate", "pod", application.name, f"--namespace={self.ns.name}", "--overwrite",
                         f"rotated={token}")
        return Rotation(steps, seen)

    def gate(self, secret):
        """Returns when every pod holds AWSCURRENT."""
        command = [self.t.aws.program, "rotation", secret, f"--namespace={self.ns.name}", "--wait", "--timeout=60s"]
        environment = {**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL": f"http://{ENDPOINT}"}
        began = now_ms()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        same(done.returncode, 0, f"the exit code of the gate, which said: {done.stdout}{done.stderr}")
        self.t.figure("rotation NAME --wait as a gate (s)", (now_ms() - began) / 1000)

    def rows_are_at_least(self, number):
        """Fails if a write was lost that the application takes for done."""
        from .rotation_function import connect  # pylint: disable=import-outside-toplevel # needs pg8000
        with connect(self.postgres.administrator()) as database:
            rows = database.run("select count(*) from visits")[0][0]
        expect(rows >= number, f"{rows} rows of {number} writes")


@contextmanager
def shop(t, ns, port):
    """A PostgreSQL, a release of Latchkey that polls often, and a secret with the login of a user of the database."""
    import boto3  # pylint: disable=import-outside-toplevel # only these cases need it
    from .rotation_function import connect  # pylint: disable=import-outside-toplevel
    name = f"shop-{port}"
    release = Release(name, SOCKETS / f"{name}.sock")
    client = boto3.client(
        "secretsmanager", endpoint_url=f"http://{ENDPOINT}", region_name=REGION,
        aws_access_key_id=ADMINISTRATOR, aws_secret_access_key="unused")
    with Postgres(name, port, "administrators-own") as postgres:
        with connect(postgres.administrator()) as database:
            database.run("create table visits (at timestamptz)")
            database.run("create role app with login password 'first'")
            database.run("grant insert on visits to app")
        administrator = {"username": DATABASE_ADMINISTRATOR, "password": postgres.password}
        master = client.create_secret(Name=f"administrator/{ns.name}", SecretString=json.dumps(administrator))
        login = {**postgres.login("app", "first"), "masterarn": master["ARN"]}
        client.create_secret(Name=ns.secret("database"), SecretString=json.dumps(login))
        release.install("provider", f"rotationPollInterval={POLLED_EVERY}s")
        ns.secret_class("class", [{"objectName": ns.secret("database"), "objectType": "secretsmanager",
                                   "objectAlias": "database"}], provider=name)
        try:
            yield Shop(t, ns, postgres, client)
        finally:
            # In this order: the driver waits for a provider that has gone.
            kube.kubectl("delete", "pods", "--all", f"--namespace={ns.name}", "--timeout=60s", check=False)
            release.uninstall()


def arrivals(t, rotations):
    """Adds the times from AWSCURRENT's move to the application to the figures."""
    t.figure("AWSCURRENT moved → application has read the file (s)",
             *((ms - one.steps["finishSecret"][1]) / 1000 for one in rotations for ms in one.seen.values()))
