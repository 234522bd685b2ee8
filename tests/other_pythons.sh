#!/usr/bin/env bash
# The fast tests on every other Python that this machine has; a Python that is not here is said, not hidden.
set -euo pipefail
cd "$(dirname "$0")/.."
for version in 3.12 3.13; do
    if ! "python$version" -c "" 2>/dev/null; then
        echo "python$version: not found, not tested"
        continue
    fi
    environment=".venv-$version"
    test -x "$environment/bin/python" || "python$version" -m venv "$environment"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
    "$environment/bin/python" -m pytest -q -m "not gate and not slow"
done
