#!/usr/bin/env bash
# The checks that need no running program: formatting, direction of includes, file sizes, clang-tidy.
# Usage: tools/check.sh [BUILD_DIR with compile_commands.json]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/cpu}
tools/setup.sh --with-checks

mapfile -t sources < <(git ls-files '*.cpp' '*.h' '*.cu' '*.cuh')
echo "check: formatting of ${#sources[@]} files"
clang-format --dry-run --Werror "${sources[@]}"
echo "check: includes and sizes"
python3 tools/check_layout.py
echo "check: clang-tidy"
# Only what this build compiles: the other halves of with/without pairs need headers that may not be there.
mapfile -t units < <(git ls-files 'src/*.cpp' 'apps/*.cpp' | grep -v _test.cpp | while read -r unit; do
  if grep -qF "$PWD/$unit\"" "$build/compile_commands.json"; then echo "$unit"; fi
done)
printf '%s\n' "${units[@]}" | xargs -P "$(nproc)" -n 4 clang-tidy -p "$build" --quiet --warnings-as-errors='*' 2> >(grep -v 'warnings generated' >&2)
