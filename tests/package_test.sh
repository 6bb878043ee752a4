#!/usr/bin/env bash
# Installs the build given as $1 into a scratch folder, builds the example against it as a stranger would, and runs it.
set -euo pipefail
build=$1
root=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cmake --install "$build" --prefix "$scratch/prefix" >/dev/null
cmake -S "$root/examples" -B "$scratch/build" -DCMAKE_PREFIX_PATH="$scratch/prefix" -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build "$scratch/build" >/dev/null
"$scratch/build/generate" "$root/tests/golden/tiny/Wan2.2-TI2V-5B" "a red ball" "$scratch/clip.y4m" 64 32 5 2
[ -s "$scratch/clip.y4m" ]
