#!/usr/bin/env bash
# Everything from nothing to the test results: virtual environment, installation, pytest. Options go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup_venv.sh
setup_venv "[test,dev]"
exec "${AUTOWEAK_VENV:-.venv}/bin/python" -m pytest "$@"
