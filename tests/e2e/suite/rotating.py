"""A database's password is rotated while an application uses it: who notices, and for how long."""

import json
import os
import re
import statistics
import subprocess
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass

from . import kube
from .aws import ADMINISTRATOR, ENDPOINT, REGION
from .cases import PROVIDER_POLLS_OFTEN, case
from .pods import MOUNT, POD_LOGS, Pod
from .postgres import ADMINISTRATOR as DATABASE_ADMINISTRATOR, Postgres
from .tools import expect, now_ms, same, until

ROTATIONS_ALTERNATING, ROTATIONS_SINGLE = 50, 10
# After so many without the gate, a login must have failed. One or two usually do.
ROTATIONS_UNGATED = 50
# For how long a single user's new logins may be refused, in seconds: the poll, and what a busy machine adds.
WINDOW = PROVIDER_POLLS_OFTEN.poll_interval + 4
# How long an application may go on with what it read just before, in milliseconds.
LATE = 1000
WRONG_LOGIN = "28P01"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": ADMINISTRATOR, "AWS_SECRET_ACCESS_KEY": "unused", "AWS_REGION": REGION}


@case(PROVIDER_POLLS_OFTEN)
def alternating_users_lose_no_query(t, ns):
    """50 rotations with two users that take turns, each as soon as `latchkey rotation --wait` lets it: no login fails,
    and no query. Without that gate, they soon do."""
    from .rotation_function import AlternatingUsers  # pylint: disable=import-outside-toplevel # needs boto3
    with shop(t, ns, port=5432) as it:
        application = it.application("app")
        function = AlternatingUsers(it.client, it.gate)
        rotations = [it.rotate(function, number) for number in range(ROTATIONS_ALTERNATING)]
        it.gate(it.secret)
        counts = application.last_counts()
        t.note(f"{len(rotations)} rotations: {counts}")
        same(application.failures(), [], "failed logins and queries")
        same((counts.failed_logins, counts.failed_queries), (0, 0), "the application's own count of failures")
        same(it.postgres.refused(), 0, "passwords that PostgreSQL has refused to pods, by its log")
        expect(counts.logins > 5 * len(rotations) and counts.queries > 50 * len(rotations), f"too few: {counts}")
        it.rows_are_at_least(counts.queries)
        users = [user for _, user in application.files()]
        same(users, [("app", "app_clone")[number % 2] for number in range(len(rotations) + 1)], "users, in order")
        arrivals(t, rotations, [application])

        ungated = AlternatingUsers(it.client, gate=lambda _: None)
        attempts = 0
        while not application.failures():
            expect(attempts < ROTATIONS_UNGATED, f"nothing has failed in {attempts} rotations without the gate")
            it.rotate(ungated, attempts)
            attempts += 1
        t.note(f"without the gate, logins fail in rotation {attempts}")


@case(PROVIDER_POLLS_OFTEN)
def single_user_refuses_logins_for_a_moment(t, ns):
    """10 rotations of one user's password. New logins are refused from setSecret until the file is there, and at no
    other time. A query that is patient about a refused login does not fail."""
    from .rotation_function import SingleUser  # pylint: disable=import-outside-toplevel # needs boto3
    with shop(t, ns, port=5433) as it:
        function = SingleUser(it.client)
        hasty, patient = applications = it.application("hasty"), it.application("patient", "-patience=30s")
        rotations = []
        for number in range(ROTATIONS_SINGLE):
            rotations.append(it.rotate(function, number))
            # The rotation is done when nobody holds the old password any more; the next one may come then.
            it.gate(it.secret)
        for application in applications:
            t.note(f"{application.name}: {application.last_counts()}")
            failures = application.failures()
            same({failure.why for failure in failures} - {WRONG_LOGIN}, set(), f"other failures of {application.name}")
            outside = [one for one in failures if not any(rotation.has(one, application) for rotation in rotations)]
            same(outside, [], f"failures of {application.name} outside of the windows")
        same(patient.last_counts().failed_queries, 0, "failed queries of the patient application")
        windows = [rotation.refused(application) for rotation in rotations for application in applications]
        t.figure("single user: setSecret → last refused login (s)", *windows)
        own = [(rotation.steps["finishSecret"][1] - rotation.steps["setSecret"][0]) / 1000 for rotation in rotations]
        t.figure("single user: of which setSecret to finishSecret (s)", *own)
        t.note(f"{len(rotations)} rotations; from setSecret until the last refused login: "
               f"median {statistics.median(windows):.2f} s, at most {max(windows):.2f} s")
        arrivals(t, rotations, applications)
        expect(max(windows) > 0, "no login was refused: the window was not seen")
        expect(max(windows) < WINDOW, f"logins were refused for {max(windows):.2f} s")
        counts = [application.last_counts() for application in applications]
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
    """A rotation: its number, and when each step began and ended, in milliseconds."""

    number: int
    steps: dict

    def arrived(self, application):
        """When an application saw the file of this rotation, in milliseconds. Its first file is older than all."""
        return application.files()[self.number + 1][0]

    def has(self, failure, application):
        """Whether an application's failure is between setSecret and the arrival of the file."""
        return self.steps["setSecret"][0] <= failure.ms <= self.arrived(application) + LATE

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

    @property
    def secret(self):
        """The name of the secret with the login."""
        return self.ns.secret("database")

    def rotate(self, function, number):
        """Does what Secrets Manager does for a rotation."""
        token = str(uuid.uuid4())
        steps = {}
        for name in ("createSecret", "setSecret", "testSecret", "finishSecret"):
            began = now_ms()
            function.step(name, self.secret, token)
            steps[name] = (began, now_ms())
        return Rotation(number, steps)

    def gate(self, secret):
        """Returns when every pod holds AWSCURRENT."""
        command = [self.t.aws.program, "rotation", secret, f"--namespace={self.ns.name}", "--wait", "--timeout=60s"]
        environment = {**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL": f"http://{ENDPOINT}"}
        began = now_ms()
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True) as waiting:
            # Kubelet looks at a pod every 5 seconds, or when the pod changes: the gate is to wait for less than that.
            while waiting.poll() is None:
                kube.kubectl("annotate", "pods", "--all", f"--namespace={self.ns.name}", "--overwrite",
                             f"looked-at={uuid.uuid4()}")
                time.sleep(0.3)
            said = waiting.stdout.read()
        same(waiting.returncode, 0, f"the exit code of the gate, which said: {said}")
        self.t.figure("rotation NAME --wait as a gate (s)", (now_ms() - began) / 1000)

    def rows_are_at_least(self, number):
        """Fails if a write was lost that the application takes for done."""
        from .rotation_function import connect  # pylint: disable=import-outside-toplevel # needs pg8000
        with connect(self.postgres.administrator()) as database:
            rows = database.run("select count(*) from visits")[0][0]
        expect(rows >= number, f"{rows} rows of {number} writes")


@contextmanager
def shop(t, ns, port):
    """A PostgreSQL, and a secret with the login of a user of the database."""
    import boto3  # pylint: disable=import-outside-toplevel # only these cases need it
    from .rotation_function import connect  # pylint: disable=import-outside-toplevel
    client = boto3.client(
        "secretsmanager", endpoint_url=f"http://{ENDPOINT}", region_name=REGION,
        aws_access_key_id=ADMINISTRATOR, aws_secret_access_key="unused")
    with Postgres(ns.name, port, "administrators-own") as postgres:
        with connect(postgres.administrator()) as database:
            database.run("create table visits (at timestamptz)")
            database.run("create role app with login password 'first'")
            database.run("grant insert on visits to app")
        administrator = {"username": DATABASE_ADMINISTRATOR, "password": postgres.password}
        master = client.create_secret(Name=f"administrator/{ns.name}", SecretString=json.dumps(administrator))
        login = {**postgres.login("app", "first"), "masterarn": master["ARN"]}
        client.create_secret(Name=ns.secret("database"), SecretString=json.dumps(login))
        ns.secret_class("class", [{"objectName": ns.secret("database"), "objectType": "secretsmanager",
                                   "objectAlias": "database"}])
        yield Shop(t, ns, postgres, client)
        # The pods before the database.
        kube.kubectl("delete", "pods", "--all", f"--namespace={ns.name}", "--timeout=60s")


def arrivals(t, rotations, applications):
    """Adds to the figures how long the new value took from AWSCURRENT's move to the applications."""
    t.figure("AWSCURRENT moved → application has read the file (s)",
             *((rotation.arrived(application) - rotation.steps["finishSecret"][1]) / 1000
               for rotation in rotations for application in applications))
