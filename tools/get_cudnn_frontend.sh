#!/usr/bin/env bash
# Puts the headers of cudnn-frontend (MIT, header-only) into a folder, build/cudnn-frontend by default.
# They come from the Python package nvidia-cudnn-frontend; nothing is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
to=${1:-build/cudnn-frontend}
[ -f "$to/include/cudnn_frontend.h" ] && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip download -q --no-deps --dest "$work" nvidia-cudnn-frontend
mkdir -p "$to"
python3 - "$work"/*.whl "$to" <<'PY'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for name in wheel.namelist():
        if name.startswith("include/") or "/licenses/" in name:
            wheel.extract(name, sys.argv[2])
PY
[ -f "$to/include/cudnn_frontend.h" ] || { echo "get_cudnn_frontend: the package holds no headers" >&2; exit 1; }
