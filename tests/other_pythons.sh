#!/usr/bin/env bash
# Tests on every Python of 3.11 to 3.13 that this machine has, other than that of .venv.
#
# tests/other_pythons.sh           the fast tests of everything; says which version is not here
# tests/other_pythons.sh kernel    the tests of sim.kernel alone, with what these need; silent of versions that are not here
set -euo pipefail
cd "$(dirname "$0")/.."

what=${1:-all}
needed_by_the_kernel="simpy networkx msgpack msgspec trustme hypothesis pytest pytest-timeout pytest-xdist"

find_python() {
    local candidate
    for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
        if "$candidate" -c "" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

# Arguments: the version, its interpreter, the folder of the environment, what to install, how to test.
run() {
    local python=$2 environment=$3 install=$4
    shift 4
    test -x "$environment/bin/python" || "$python" -m venv "$environment"
    # shellcheck disable=SC2086 - several words
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt $install
    PYTHONPATH=. "$environment/bin/python" -m pytest -q -m "not gate and not slow" "$@"
}

own=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true)
failed=0
declare -A jobs=()
for version in 3.11 3.12 3.13; do
    [ "$version" = "$own" ] && continue
    python=$(find_python "$version")
    if [ -z "$python" ]; then
        [ "$what" = kernel ] || echo "Python $version: not found, not tested"
    elif [ "$what" = kernel ]; then
        # At once: most of it is waiting for packages.
        run "$version" "$python" ".venv-$version-kernel" "$needed_by_the_kernel" tests/sim/kernel \
            >".venv-$version-kernel.log" 2>&1 &
        jobs[$version]=$!
    else
        echo "Python $version"
        run "$version" "$python" ".venv-$version" "-e .[test]" -n 2 || failed=1
    fi
done
for version in "${!jobs[@]}"; do
    lines=1
    wait "${jobs[$version]}" || { failed=1; lines=60; }
    echo "Python $version"
    tail -n "$lines" ".venv-$version-kernel.log"
done
exit "$failed"
