"""Checks objects against the custom resource definitions of the Prometheus Operator, without a cluster."""

import json
import os
import pathlib
import subprocess

import jsonschema
import yaml

MODULE = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
PLURALS = {"PodMonitor": "podmonitors", "ServiceMonitor": "servicemonitors", "PrometheusRule": "prometheusrules"}


def folder():
    """Where Go has unpacked the operator's definitions."""
    done = subprocess.run(["go", "mod", "download", "-json", MODULE], cwd="/", capture_output=True, text=True,
                          env={**os.environ, "GOFLAGS": ""}, check=True)
    return pathlib.Path(json.loads(done.stdout)["Dir"]) / "example/prometheus-operator-crd"


def strict(schema):
    """The schema with every unknown field forbidden, as `kubectl apply --validate=strict` does."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    return made


def schema_of(kind):
    """The strict schema of a kind at version v1."""
    path = folder() / f"monitoring.coreos.com_{PLURALS[kind]}.yaml"
    versions = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]["versions"]
    schema = next(each["schema"]["openAPIV3Schema"] for each in versions if each["name"] == "v1")
    schema["properties"]["metadata"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return strict(schema)


def check(objects):
    """How many objects were checked, and what is wrong with them. Also sees that the check itself works."""
    checked, wrong, kinds = 0, [], set()
    for each in objects:
        if each["kind"] not in PLURALS:
            continue
        validator = jsonschema.Draft7Validator(schema_of(each["kind"]))
        for error in validator.iter_errors(each):
            where = ".".join(str(step) for step in error.absolute_path)
            wrong.append(f"{each['kind']} {each['metadata']['name']}: {where}: {error.message}")
        misspelled = {**each, "spec": {**each["spec"], "selektor": {}}}
        if validator.is_valid(misspelled):
            wrong.append(f"{each['kind']}: an unknown field was not found")
        checked += 1
        kinds.add(each["kind"])
    if kinds != set(PLURALS):
        wrong.append(f"only {sorted(kinds)} were rendered")
    return checked, wrong
