# Sourced by demo.sh and test.sh: makes the virtual environment .venv beside them and installs the project into it.
# Usage: setup_venv EXTRAS   (e.g. "[test]" or "")

find_python() {
    local candidate
    for candidate in "${AUTOWEAK_PYTHON:-}" python3.11 python3.12 python3.10 python3; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "autoweak needs Python 3.10, 3.11 or 3.12 and found none: install one (Debian, Ubuntu: apt-get install python3" \
        "python3-venv) or name it in AUTOWEAK_PYTHON." >&2
    return 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

setup_venv() {
    local extras=$1 python venv=${AUTOWEAK_VENV:-.venv}
    python=$(find_python)
    # Debian and Ubuntu ship Python without the part that makes virtual environments.
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        as_root apt-get update -q
        as_root apt-get install -qy python3-venv
    fi
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    # The stamp holds what was installed, so that a second call costs nothing.
    local stamp="$venv/.installed" wanted
    wanted=$(cat setup.cfg; echo "$extras")
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        echo "Installing into $venv (several GB, a few minutes the first time) ..." >&2
        "$venv/bin/python" -m pip install -q --disable-pip-version-check --retries 5 -e ".$extras"
        echo "$wanted" > "$stamp"
    fi
}
