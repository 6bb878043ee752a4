#!/usr/bin/env bash
# Installs what is missing and builds a preset (default: cpu) into build/PRESET.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-cpu}
tools/setup.sh
cmake --preset "$preset"
cmake --build --preset "$preset" --parallel "$(nproc)"
