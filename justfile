# The same steps that CI runs; `just --list` shows them.

# Everything that must hold before a change is taken in.
check:
    .ci/run

# One step or several of it: prepare, format, lint, docs, tests, recipes, chart, supply, advisories, limits, e2e.
step +names:
    .ci/run {{ names }}

# Formats the code.
fmt:
    cargo fmt --all

# Renders the plain manifests in deploy/ from the chart.
render:
    deploy/render

# Builds the static program of the image: just binary amd64 out/latchkey
binary architecture out:
    deploy/binary {{ architecture }} {{ out }}

# Builds the image for amd64, without Docker.
image out="target/image.tar":
    deploy/binary amd64 target/latchkey-amd64
    deploy/image {{ out }} amd64=target/latchkey-amd64

# The end-to-end tests in a real cluster; needs root (tests/e2e/README.md).
e2e *arguments:
    tests/e2e/run {{ arguments }}
