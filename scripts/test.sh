#!/usr/bin/env bash
# `make test`: the whole test suite, on a virtual screen where there is one to be had, so that no window pops up.
# Two processes share it; `make test ARGS="-n 0 …"` takes one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/display.sh

# Two processes of one thread each: more threads than cores make both slower.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
tests=(.venv/bin/python -m pytest -n 2 --dist loadgroup "$@")
if command -v xvfb-run >/dev/null; then
    on_virtual_screen "${tests[@]}"
else
    "${tests[@]}"
fi
