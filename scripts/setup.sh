#!/usr/bin/env bash
# Set-up of a checkout: system libraries, .venv, packages. `scripts/setup.sh run` to use it, `scripts/setup.sh dev` to
# test it too. Does nothing, and touches no network, while the files that describe the set-up are unchanged.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
kind="${1:-run}"
case "$kind" in run | dev) ;; *) echo "usage: scripts/setup.sh run|dev" >&2; exit 2 ;; esac

venv=.venv
say() { printf '== %s\n' "$*"; }
die() { printf 'set-up: %s\n' "$*" >&2; exit 1; }

# A virtual environment holds absolute paths, so a moved checkout needs a new one: the folder is part of the stamp.
description() { cat pyproject.toml constraints.txt scripts/system-packages.txt scripts/setup.sh; pwd; }
checksum() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi; }
wanted="$(description | checksum | cut -d' ' -f1)"
stamped() { [ "$(cat "$venv/.ready-$1" 2>/dev/null)" = "$wanted" ] && [ -x "$venv/bin/python" ]; }

# Whoever may test may also run.
stamped "$kind" || { [ "$kind" = run ] && stamped dev; } && exit 0

# Two set-ups at once would write over each other.
mkdir -p build
if command -v flock >/dev/null; then
    exec 9>build/.setup.lock
    flock -n 9 || { say "another set-up of this checkout is at work: waiting for it"; flock 9; }
    stamped "$kind" && exit 0
fi

# --- system libraries ---------------------------------------------------------------------------------------------
found() {
    case "$1" in
        cmd:*) command -v "${1#cmd:}" >/dev/null ;;
        lib:*) grep -qF "${1#lib:} " <<<"$libraries" ;;
        path:*) compgen -G "${1#path:}" >/dev/null ;;
        *) die "scripts/system-packages.txt: cannot tell how to look for $1." ;;
    esac
}

known_name() { # the first of a|b|c that apt can install, else the first
    local name
    for name in ${1//|/ }; do
        if [ -n "$(apt-cache policy "$name" 2>/dev/null | sed -n 's/^ *Candidate: *//p' | grep -v '^(none)$')" ]; then
            echo "$name"
            return
        fi
    done
    echo "${1%%|*}"
}

log=build/setup.log

apt_install() {
    say "installing $*"
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@" \
        </dev/null >>"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        die "apt-get could not install: $*. Mend that (its message is above, all of it in $log), then run make again."
    }
}

updated=
apt_update() {
    [ -n "$updated" ] && return
    say "apt-get update"
    # One unreachable third-party source must not stop what the others hold.
    apt-get -o DPkg::Lock::Timeout=300 update -q </dev/null >>"$log" 2>&1 ||
        say "apt-get update met an error (see $log): going on with what is known"
    updated=yes
}

missing_packages() { # prints the package entry of every line whose probe fails
    libraries="$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null || true)"
    local probe package
    while read -r probe package; do
        case "$probe" in '' | '#'*) continue ;; esac
        found "$probe" || echo "$package"
    done <scripts/system-packages.txt
}

is_root() { [ "$(id -u)" = 0 ]; }

system_libraries() {
    [ "$(uname)" = Linux ] || return 0
    local missing entry names=()
    missing="$(missing_packages)"
    [ -z "$missing" ] && return 0
    if ! command -v apt-get >/dev/null; then
        die "these libraries (by their Debian names) are missing, and only apt-get is known here: install them with your" \
            "own package manager, then run make again: $(tr '\n' ' ' <<<"$missing")"
    fi
    is_root && apt_update
    for entry in $missing; do names+=("$(known_name "$entry")"); done
    if ! is_root; then
        printf 'set-up: system libraries are missing. Run this line, then make again:\n\n' >&2
        printf '    sudo apt-get update && sudo apt-get install -y --no-install-recommends %s\n\n' "${names[*]}" >&2
        exit 1
    fi
    apt_install "${names[@]}"
    missing="$(missing_packages)"
    [ -z "$missing" ] || die "after the installation these are still missing: $(tr '\n' ' ' <<<"$missing")"
}

# --- Python -------------------------------------------------------------------------------------------------------
recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
usable() { recent "$1" && "$1" -c 'import venv, ensurepip' 2>/dev/null; }

find_python() { # sets `python` to the first interpreter for which the test "$1" holds
    local candidate
    for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3}; do
        if "$1" "$candidate"; then
            python="$candidate"
            return 0
        fi
    done
    return 1
}

choose_python() {
    find_python usable && return 0
    local package=python3-venv
    # Debian splits venv off; Ubuntu 22.04 has 3.11 beside its own 3.10.
    if find_python recent; then
        [ "$python" = python3 ] || package="$python-venv"
    elif apt-cache show python3.11-venv >/dev/null 2>&1; then
        package=python3.11-venv
    fi
    if command -v apt-get >/dev/null && [ -z "${PYTHON:-}" ]; then
        if is_root; then
            apt_update
            apt_install "$package"
            find_python usable && return 0
        else
            printf 'set-up: no Python 3.11 or later with the module venv. Run this line, then make again:\n\n' >&2
            printf '    sudo apt-get update && sudo apt-get install -y %s\n\n' "$package" >&2
            exit 1
        fi
    fi
    die "no Python 3.11 or later with the module venv was found (looked for: ${PYTHON:-python3.11 … python3.14, python3})." \
        "Install one, or name it: make PYTHON=/path/to/python3 …"
}

# --- virtual environment ------------------------------------------------------------------------------------------
virtual_environment() {
    # pip that was killed can leave packages that look installed and are not: such an environment is made anew.
    if [ -e "$venv/.installing" ]; then
        say "the last set-up was cut short: making $venv anew"
        rm -rf "$venv"
    elif [ -e "$venv" ] && ! { [ -f "$venv/.folder" ] && [ "$(cat "$venv/.folder")" != "$PWD" ]; } &&
        "$venv/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        return 0
    else
        rm -rf "$venv"
    fi
    choose_python
    say "making $venv with $("$python" --version)"
    # The mark comes before the environment, so that a kill at any moment after this line is seen.
    mkdir "$venv"
    touch "$venv/.installing"
    "$python" -m venv "$venv"
    pwd >"$venv/.folder"
}

packages() {
    local pip=("$venv/bin/python" -m pip --disable-pip-version-check install) want=(-c constraints.txt -e ".[pyqt5]")
    [ "$kind" = dev ] && want+=(--group dev)
    # A person sees what is being downloaded; a log wants one line.
    [ -t 1 ] || pip+=(-q)
    rm -f "$venv"/.ready-*
    touch "$venv/.installing"
    say "installing packages (the first time takes some minutes: PyTorch alone is large)"
    # --group came with pip 25.1.
    "${pip[@]}" "pip>=25.1" && "${pip[@]}" "${want[@]}" || {
        # pip itself ended in order: what it had installed is whole, and the next try goes on from there.
        rm -f "$venv/.installing"
        die "pip could not install the packages; its own message is above. Run make again to go on from here."
    }
    rm -f "$venv/.installing"
    echo "$wanted" >"$venv/.ready-$kind.tmp"
    mv "$venv/.ready-$kind.tmp" "$venv/.ready-$kind"
}

started=$SECONDS
system_libraries
virtual_environment
packages
say "set-up done in $((SECONDS - started)) s"
