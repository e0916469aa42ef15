#!/usr/bin/env bash
# Everything from nothing to the demo's report: virtual environment, installation, `autoweak demo`.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup_venv.sh
setup_venv ""
exec "${AUTOWEAK_VENV:-.venv}/bin/autoweak" demo "$@"
