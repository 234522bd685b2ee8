#!/usr/bin/env bash
# The fast tests on every other Python that this machine has; one that is not here is said, not hidden.
set -euo pipefail
cd "$(dirname "$0")/.."

find_python() {
    local candidate
    for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
        if "$candidate" -c "" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

failed=0
for version in 3.12 3.13; do
    python=$(find_python "$version")
    if [ -z "$python" ]; then
        echo "Python $version: not found, not tested"
        continue
    fi
    echo "Python $version"
    environment=".venv-$version"
    test -x "$environment/bin/python" || "$python" -m venv "$environment"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
    "$environment/bin/python" -m pytest -q -n 2 -m "not gate and not slow" || failed=1
done
exit "$failed"
