#!/usr/bin/env bash
# `make run`: napari with the sample loop and the dock; without a screen, the same window driven through the tour.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/display.sh

if screen_reachable; then
    # napari's canvas is steadier through X11 than through Qt's Wayland plug-in.
    [ -n "${DISPLAY:-}" ] && [ "$(uname)" = Linux ] && export QT_QPA_PLATFORM="${QT_QPA_PLATFORM:-xcb}"
    exec .venv/bin/python -m napari_m2dino.launch "$@"
fi
echo "== no screen here: running the tour on a virtual one, pictures and report go to build/tour"
on_virtual_screen .venv/bin/python -m napari_m2dino.tour --out build/tour "$@"
echo "== the report is build/tour/report.md"
