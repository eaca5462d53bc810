"""What a monitoring system sees: metrics as text, the chart's alerts, and a real Prometheus that evaluates them."""

import http.client
import json
import pathlib
import re
import subprocess
import tempfile
import textwrap
import urllib.parse

from . import kube
from .tools import Failed, until

ADDRESS = "127.0.0.1:9090"
# The labels that Prometheus gives to every series of this node; the chart's monitors set `node`.
LABELS = {"cluster": "e2e", "node": "node1"}
CHART = str(kube.ROOT / "charts/latchkey")


def target(pod, port):
    """The address of a pod's port, which is found by its name, as a PodMonitor finds it."""
    ports = [one for container in pod["spec"]["containers"] for one in container.get("ports", [])]
    number = next(one["containerPort"] for one in ports if one.get("name") == port)
    return f"{pod['status']['podIP']}:{number}"


def scrape(address):
    """The metrics of a target: a list of name, labels and value."""
    status, text = request(address, "/metrics")
    if status != 200:
        raise Failed(f"http://{address}/metrics: {status} {text[:300]}")
    found = re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", text, re.MULTILINE)
    return [(name, dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)) for name, labels, value in found]


def total(metrics, name, **labels):
    """The sum of a metric's series that have these labels, or None if there is none."""
    found = [value for its, own, value in metrics if its == name and labels.items() <= own.items()]
    return sum(found) if found else None


def request(address, path):
    """GET; gives status and text."""
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except OSError as error:
        raise Failed(f"http://{address}{path}: {error}") from error
    finally:
        connection.close()


def rendered(template, *values):
    """The `spec` of an object that the chart renders."""
    given = ["--kube-version=1.34.0", f"--show-only=templates/{template}.yaml", f"--set={','.join(values)}"]
    return textwrap.dedent(kube.helm("template", "latchkey", CHART, *given).partition("\nspec:\n")[2])


class Prometheus:
    """A Prometheus on the node, for as long as a `with` lasts. It scrapes targets and evaluates rules each second."""

    def __init__(self, programs, rules, targets):
        self.programs, self.rules, self.targets = programs, rules, targets
        self.process = self.folder = None

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with # __exit__ ends it
        folder = pathlib.Path(self.folder.name)
        (folder / "rules.yaml").write_text(self.rules)
        # JSON is YAML.
        (folder / "prometheus.yaml").write_text(json.dumps({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [
                {"job_name": name, "static_configs": [{"targets": [address], "labels": LABELS}],
                 "metric_relabel_configs": relabelings}
                for name, (address, relabelings) in self.targets.items()
            ],
        }))
        with (kube.LOGS / "prometheus.log").open("a") as log:
            self.process = subprocess.Popen(
                [f"{self.programs}/prometheus", f"--config.file={folder}/prometheus.yaml",
                 f"--storage.tsdb.path={folder}/data", f"--web.listen-address={ADDRESS}"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        until("Prometheus is ready", lambda: request(ADDRESS, "/-/ready")[0] == 200, 30)
        until("every target is scraped", lambda: len(self.query("up == 1")) == len(self.targets), 15)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def query(self, expression):
        """The series of an expression now: labels and value."""
        data = self.get(f"query?query={urllib.parse.quote(expression)}")
        return [(one["metric"], float(one["value"][1])) for one in data["result"]]

    def firing(self, alert):
        """The labels of an alert's instances that fire."""
        return [one["labels"] for one in self.get("alerts")["alerts"]
                if one["labels"]["alertname"] == alert and one["state"] == "firing"]

    def get(self, path):
        """The data of an answer of its API."""
        status, text = request(ADDRESS, f"/api/v1/{path}")
        if status != 200:
            raise Failed(f"Prometheus: {path}: {status} {text[:500]}")
        return json.loads(text)["data"]
