#!/usr/bin/env bash
# `make test`: the whole test suite, on a virtual screen where there is one to be had, so that no window pops up.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/display.sh

if command -v xvfb-run >/dev/null; then
    on_virtual_screen .venv/bin/python -m pytest "$@"
else
    .venv/bin/python -m pytest "$@"
fi
