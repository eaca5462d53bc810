#!/usr/bin/env python3
"""Every query of the dashboard, as a Prometheus can evaluate it.

As a module:
    for query in queries(load()):
        ask("/api/v1/query", {"query": query.expression})
    for variable in variables(load()):
        ask(variable.path, variable.parameters)

As a program it prints them all: tests/dashboard/queries.py [NAME=REGULAR_EXPRESSION ...], for example instance=10.+
"""

import dataclasses
import json
import pathlib
import re
import sys

DASHBOARD = pathlib.Path(__file__).resolve().parent.parent.parent / "charts/latchkey/dashboards/latchkey.json"
# What Grafana puts in for its own variables, at a range of an hour and a scrape interval of 15 s.
OF_GRAFANA = {"__rate_interval": "1m", "__interval": "15s", "__range": "1h"}


@dataclasses.dataclass
class Query:
    """One query of one panel."""

    row: str
    panel: str
    reference: str
    expression: str
    legend: str

    @property
    def metrics(self):
        """The names of the metrics that it reads."""
        return set(re.findall(r"\b[a-z_]+(?=[{\[])", re.sub(r'"[^"]*"', '""', self.expression)))

    @property
    def needs_the_driver(self):
        """Whether it reads metrics of the Secrets Store CSI Driver, which not every test scrapes."""
        return not all(name.startswith(("latchkey_", "process_")) for name in self.metrics)


@dataclasses.dataclass
class Variable:
    """One variable of the dashboard, as the request of Prometheus that lists its values."""

    name: str
    label: str
    match: str

    @property
    def path(self):
        """The path of the request."""
        return f"/api/v1/label/{self.label}/values"

    @property
    def parameters(self):
        """The parameters of the request."""
        return {"match[]": self.match}


def load(path=DASHBOARD):
    """The dashboard."""
    return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))


def replaced(text, values):
    """The text with its variables replaced, as Grafana does. An unknown variable is an error."""
    known = {**OF_GRAFANA, **values}

    def value(found):
        name = found[1] or found[2]
        if name not in known:
            raise KeyError(f"the dashboard has no variable {name}: {text}")
        return known[name]

    return re.sub(r"\$\{(\w+)\}|\$(\w+)", value, text)


def values_of(dashboard, given):
    """A value for each variable: a given one, or "All"."""
    return {each["name"]: each.get("allValue", ".*") for each in dashboard["templating"]["list"]} | dict(given)


def queries(dashboard, **given):
    """Every query, with the variables at "All" or at what is given: queries(load(), instance="10.+")."""
    values = values_of(dashboard, given)
    row = ""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
        for target in panel.get("targets", []):
            yield Query(row, panel["title"], target["refId"], replaced(target["expr"], values),
                        target["legendFormat"])


def variables(dashboard, **given):
    """Every variable that Prometheus is asked for."""
    values = values_of(dashboard, given)
    for each in dashboard["templating"]["list"]:
        if each["type"] == "query":
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", each["query"]["query"])
            yield Variable(each["name"], found[2], replaced(found[1], values))


def main():
    """Prints every variable and every query."""
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    for variable in variables(load(), **given):
        print(f"${variable.name}\t{variable.path}?match[]={variable.match}")
    for query in queries(load(), **given):
        print(f"{query.row} / {query.panel} / {query.reference}\t{query.expression}")


if __name__ == "__main__":
    main()
