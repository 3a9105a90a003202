# Sourced by serve, test and parotid: makes .venv beside the repository's root, once.
#
# A second start compares one hash and goes on: quick, and offline. The stamp is written last, so a
# set-up that was cut off is found and done again; a lock keeps two from running at once.
#
#   PYTHON        the interpreter to use; else python3.11, 3.12, 3.10 or python3, the first that fits
#   PAROTID_VENV  where the environment lies, if not in .venv

set -euo pipefail

ROOT="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
VENV="${PAROTID_VENV:-$ROOT/.venv}"

say() { printf '%s\n' "$*" >&2; }
die() {
    say "$@"
    exit 1
}

# Whether $1 is a Python that the lock file has wheels for.
python_fits() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import ensurepip, sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        python_fits "$PYTHON" || die "PYTHON=$PYTHON is no Python 3.10, 3.11 or 3.12 with venv."
        printf '%s' "$PYTHON"
        return
    fi
    local candidate
    for candidate in python3.11 python3.12 python3.10 python3 python; do
        if python_fits "$candidate"; then
            printf '%s' "$candidate"
            return
        fi
    done
    # pyenv's shims answer only for the version that is switched on: look at what is installed.
    for candidate in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[0-2].*/bin/python; do
        if python_fits "$candidate"; then
            printf '%s' "$candidate"
            return
        fi
    done
    die "Python 3.10, 3.11 or 3.12 is needed and none was found on the PATH." \
        "Install one (Debian, Ubuntu: apt-get install python3 python3-venv) or name one: PYTHON=/path/to/python3.11 $0"
}

# Names the content of the files given, and where the repository lies.
stamp_of() {
    { printf '%s\n' "$ROOT"; (cd "$ROOT" && cat "$@"); } | cksum
}

# is_done STEP FILE...: whether that step was finished with these files as they are now.
is_done() {
    local stamp="$VENV/.done-$1"
    shift
    [ -x "$VENV/bin/python" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(stamp_of "$@")" ]
}

# mark_done STEP FILE...
mark_done() {
    local step="$1"
    shift
    stamp_of "$@" >"$VENV/.done-$step"
}

# Runs a step quietly; shows what it said only if it fails.
quietly() { # what it is, command...
    local what="$1" log="$VENV/set-up.log"
    shift
    say "  $what"
    if ! "$@" >"$log" 2>&1; then
        say "" "$(tail -n 25 "$log")" ""
        die "Set-up failed: $what. The whole log is in $log; run again to try again."
    fi
}

pip_install() {
    "$VENV/bin/python" -m pip install --disable-pip-version-check --no-input "$@"
}

install_packages() {
    local python
    [ ! -e "$VENV" ] || [ -f "$VENV/set-up.log" ] || [ -f "$VENV/pyvenv.cfg" ] ||
        die "$VENV exists and is no virtual environment: it is left alone. Name another place: PAROTID_VENV=..."
    python="$(find_python)"
    say "Setting up $VENV with $("$python" --version 2>&1) (once; some minutes)"
    rm -rf -- "$VENV"
    mkdir -p -- "$VENV"
    quietly "virtual environment" "$python" -m venv "$VENV"
    quietly "build tools" pip_install -c "$ROOT/requirements.lock" setuptools wheel
    quietly "packages (PyTorch among them: the longest step)" \
        pip_install --no-deps --no-build-isolation -r "$ROOT/requirements.lock"
    quietly "libraries that this build of PyTorch wants" \
        pip_install -c "$ROOT/requirements.lock" torch
    mark_done packages requirements.lock
}

install_project() {
    quietly "parotid-brachy" pip_install --no-deps --no-build-isolation -e "$ROOT"
    mark_done project requirements.lock pyproject.toml
}

install_development() {
    quietly "linter, type checker, test runner" \
        pip_install --no-deps -r "$ROOT/requirements-dev.lock"
    mark_done development requirements.lock requirements-dev.lock
}

# Holds the lock of this environment while the command runs.
with_lock() {
    if command -v flock >/dev/null 2>&1; then
        local lock
        exec {lock}>"$VENV.lock"
        if ! flock --nonblock "$lock"; then
            say "Another set-up of $VENV is running: waiting for it"
            flock "$lock"
        fi
        "$@"
        exec {lock}>&-
        return
    fi
    local waited=0
    until mkdir -- "$VENV.lock.d" 2>/dev/null; do
        [ "$waited" -eq 0 ] && say "Another set-up of $VENV is running: waiting for it"
        waited=$((waited + 1))
        [ "$waited" -lt 1800 ] || die "Still locked after an hour. If no set-up runs: rmdir '$VENV.lock.d'"
        sleep 2
    done
    trap 'rmdir -- "$VENV.lock.d"' EXIT
    "$@"
    rmdir -- "$VENV.lock.d"
    trap - EXIT
}

is_set_up() { # runtime | development
    is_done packages requirements.lock && is_done project requirements.lock pyproject.toml &&
        { [ "$1" = runtime ] || is_done development requirements.lock requirements-dev.lock; }
}

set_up() { # runtime | development
    is_done packages requirements.lock || install_packages
    is_done project requirements.lock pyproject.toml || install_project
    if [ "$1" = development ]; then
        is_done development requirements.lock requirements-dev.lock || install_development
    fi
}

# ensure_environment runtime | development
ensure_environment() {
    is_set_up "$1" || with_lock set_up "$1"
    export PATH="$VENV/bin:$PATH"
    # Waiting threads sleep: other people's requests and other programs get the processor.
    export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"
}
