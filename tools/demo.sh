#!/usr/bin/env bash
# Installs what is missing, builds, and makes a first clip. Further arguments go to `wan generate`.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/build.sh cpu
exec build/cpu/apps/wan/wan generate --prompt "a red ball rolls from left to right" --save_file clip.mp4 "$@"
