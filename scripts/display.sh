# Sourced by the other scripts: is there a screen, and how to run a command on a virtual one.

screen_reachable() {
    [ "$(uname)" = Darwin ] && return 0
    [ -n "${WAYLAND_DISPLAY:-}" ] && return 0
    [ -n "${DISPLAY:-}" ] || return 1
    # DISPLAY outlives the screen it named (a closed ssh session): Qt would abort on it, so knock first.
    .venv/bin/python - <<'PY'
import ctypes, sys
try:
    x11 = ctypes.CDLL("libX11.so.6")
except OSError:
    sys.exit(0)
x11.XOpenDisplay.restype = ctypes.c_void_p
sys.exit(0 if x11.XOpenDisplay(None) else 1)
PY
}

on_virtual_screen() {
    # Mesa's software renderer, and the X11 plug-in of Qt whatever the environment asks for elsewhere.
    env -u WAYLAND_DISPLAY QT_QPA_PLATFORM=xcb LIBGL_ALWAYS_SOFTWARE=1 \
        xvfb-run -a -s "-screen 0 1600x1000x24" "$@"
}
