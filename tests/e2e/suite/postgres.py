"""A PostgreSQL on the node, as a user that is not root."""

import pathlib
import platform
import pwd
import shutil
import signal
import subprocess

from . import kube
from .tools import run, until

HOST = "10.88.0.1"
# The user that it runs as: it refuses root.
USER = "nobody"
ADMINISTRATOR = "postgres"
# What build/database unpacked.
PROGRAMS = kube.LOGS.parents[1] / "postgresql"
LOGINS = "host all all 10.88.0.0/24 scram-sha-256\n"
SETTINGS = {
    "listen_addresses": HOST, "fsync": "off", "jit": "off", "max_connections": "60",
    "password_encryption": "scram-sha-256",
    # Each line of the log says who was served: a pod's address, or the node's.
    "log_line_prefix": "%m from=%h user=%u ",
}


class Postgres:
    """A server with an empty database, for as long as a `with` lasts."""

    def __init__(self, name, port, password):
        self.name, self.port, self.password = name, port, password
        self.folder = pathlib.Path("/run") / f"postgresql-{name}"
        self.log = kube.LOGS / f"postgresql-{name}.log"
        self.process = None

    def __enter__(self):
        programs = self.folder / "programs"
        programs.mkdir(parents=True)
        shutil.chown(self.folder, USER)
        # Under /run, because the folders above the checkout may be closed to the server's user.
        run("mount", "--bind", str(PROGRAMS), str(programs))
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        with self.log.open("w") as log:
            subprocess.run(
                [f"{programs}/bin/initdb", f"--username={ADMINISTRATOR}", f"--pwfile={password_file}",
                 f"--pgdata={self.data}", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"],
                check=True, timeout=60, **self.process_options(log))
            (self.data / "pg_hba.conf").write_text(LOGINS)
            settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
            self.process = subprocess.Popen(
                [f"{programs}/bin/postgres", "-D", str(self.data), f"--port={self.port}",
                 f"--unix_socket_directories={self.folder}", *settings], **self.process_options(log))
        until("PostgreSQL accepts connections", lambda: "ready to accept connections" in self.log.read_text(), 30)
        return self

    def __exit__(self, *_):
        # An immediate shutdown.
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(20)
        run("umount", str(self.folder / "programs"))
        shutil.rmtree(self.folder)

    def process_options(self, log):
        """How its programs are run."""
        group = pwd.getpwnam(USER).pw_gid
        libraries = f"{self.folder}/programs/root/usr/lib/{platform.machine()}-linux-gnu"
        return {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "cwd": self.folder, "user": USER,
                "group": group, "extra_groups": [], "env": {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": libraries}}

    @property
    def data(self):
        """The folder of its files."""
        return self.folder / "data"

    def login(self, user, password):
        """What a secret says of it, by AWS's names."""
        return {"engine": "postgres", "host": HOST, "port": self.port, "dbname": "postgres",
                "username": user, "password": password}

    def administrator(self):
        """The login of its administrator."""
        return self.login(ADMINISTRATOR, self.password)

    def refused(self):
        """How often it has refused a password to others than the node, by its own log."""
        return sum("password authentication failed" in line and f"from={HOST} " not in line
                   for line in self.log.read_text().splitlines())
