"""A rotation function for PostgreSQL: the four steps of Secrets Manager, for both of its strategies.

It does what AWS's own functions SecretsManagerRDSPostgreSQLRotationSingleUser and …MultiUser do
(<https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotation-strategy.html>), with boto3
and one PostgreSQL driver. The gate is what it adds: AlternatingUsers calls it before it changes a password.
"""

import json
import secrets

import pg8000.native

STEPS = ["createSecret", "setSecret", "testSecret", "finishSecret"]
WRONG_LOGIN = "28P01"


class SingleUser:
    """One user changes its own password. The old one is refused from setSecret on."""

    def __init__(self, client):
        self.client = client

    def step(self, name, secret, token):
        """What Secrets Manager calls a function for: one step of a rotation, which may be repeated."""
        labels = self.client.describe_secret(SecretId=secret)["VersionIdsToStages"].get(token, [])
        if "AWSCURRENT" in labels:
            return
        if name != "createSecret" and "AWSPENDING" not in labels:
            raise ValueError(f"version {token} of {secret} is not AWSPENDING")
        steps = dict(zip(STEPS, (self.create_secret, self.set_secret, self.test_secret, self.finish_secret)))
        steps[name](secret, token)

    def create_secret(self, secret, token):
        """Stages a new password as AWSPENDING."""
        current = self.read(secret, "AWSCURRENT")
        try:
            self.read(secret, "AWSPENDING", token)
        except self.client.exceptions.ResourceNotFoundException:
            pending = {**current, "username": self.next_user(current), "password": secrets.token_urlsafe(24)}
            self.client.put_secret_value(SecretId=secret, ClientRequestToken=token, SecretString=json.dumps(pending),
                                         VersionStages=["AWSPENDING"])

    def set_secret(self, secret, token):
        """Makes the database take the new password."""
        pending = self.read(secret, "AWSPENDING", token)
        if works(pending):
            return
        with connect(self.read(secret, "AWSCURRENT")) as database:
            set_password(database, pending)

    def test_secret(self, secret, token):
        """Logs in with it."""
        with connect(self.read(secret, "AWSPENDING", token)) as database:
            database.run("select now()")

    def finish_secret(self, secret, token):
        """Moves AWSCURRENT to it. Pods get it from now on."""
        labels = self.client.describe_secret(SecretId=secret)["VersionIdsToStages"]
        current = next(version for version, its in labels.items() if "AWSCURRENT" in its)
        self.client.update_secret_version_stage(SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=token,
                                                RemoveFromVersionId=current)

    def next_user(self, current):
        """Whose password the new version has."""
        return current["username"]

    def read(self, secret, label, token=None):
        """A version's JSON."""
        version = {"VersionId": token} if token else {}
        answer = self.client.get_secret_value(SecretId=secret, VersionStage=label, **version)
        return json.loads(answer["SecretString"])


class AlternatingUsers(SingleUser):
    """Two users take turns. The password of the one that is not AWSCURRENT is changed, by an administrator."""

    SUFFIX = "_clone"

    def __init__(self, client, gate):
        super().__init__(client)
        self.gate = gate

    def next_user(self, current):
        user = current["username"]
        return user.removesuffix(self.SUFFIX) if user.endswith(self.SUFFIX) else user + self.SUFFIX

    def set_secret(self, secret, token):
        pending = self.read(secret, "AWSPENDING", token)
        if works(pending):
            return
        # The pending version's user is also that of AWSPREVIOUS. A pod that still holds that version could not log
        # in any more. The gate returns when there is none; if it raises, Secrets Manager tries again later.
        self.gate(secret)
        current = self.read(secret, "AWSCURRENT")
        administrator = {**current, **self.read(current["masterarn"], "AWSCURRENT")}
        with connect(administrator) as database:
            if database.run("select 1 from pg_roles where rolname = :user", user=pending["username"]):
                set_password(database, pending)
                return
            user, original, password = quoted(database, pending, current)
            database.run(f"create role {user} with login password {password}")
            database.run(f"grant {original} to {user}")


class connect:  # pylint: disable=invalid-name # reads as a function
    """A connection as a version of the secret says, for as long as a `with` lasts."""

    def __init__(self, login):
        self.connection = pg8000.native.Connection(
            login["username"], host=login["host"], port=login["port"], database=login["dbname"],
            password=login["password"], timeout=10)

    def __enter__(self):
        return self.connection

    def __exit__(self, *_):
        self.connection.close()


def works(login):
    """Whether the database takes a version's user and password."""
    try:
        with connect(login):
            return True
    except pg8000.native.DatabaseError as error:
        if error.args[0].get("C") == WRONG_LOGIN:
            return False
        raise


def set_password(database, login):
    """Gives a user the password of a version."""
    user, _, password = quoted(database, login, login)
    database.run(f"alter user {user} with password {password}")


def quoted(database, pending, current):
    """Both users and the pending password, as PostgreSQL quotes them."""
    return database.run(
        "select quote_ident(:pending), quote_ident(:current), quote_literal(:password)",
        pending=pending["username"], current=current["username"], password=pending["password"])[0]
