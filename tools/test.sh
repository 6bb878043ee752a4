#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test that this machine can run.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/build.sh cpu
ctest --preset cpu --parallel "$(nproc)" "$@"
