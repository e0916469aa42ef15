#!/usr/bin/env bash
# Everything from nothing to the test results: virtual environment, installation, pytest. Options go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup_venv.sh
setup_venv "[test,dev]"
# Each core takes whole files of tests, one of them all of the server's; more than four would wait for each other.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec "${AUTOWEAK_VENV:-.venv}/bin/python" -m pytest -n logical --maxprocesses 4 "$@"
