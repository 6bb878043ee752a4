#!/usr/bin/env bash
# The checks that need no running program: formatting, direction of includes, file sizes, clang-tidy.
# Usage: tools/check.sh [BUILD_DIR with compile_commands.json] [COMMIT: clang-tidy only for what changed since]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/cpu}
since=${2:-}
tools/setup.sh --with-checks

mapfile -t sources < <(git ls-files '*.cpp' '*.h' '*.cu' '*.cuh')
echo "check: formatting of ${#sources[@]} files"
clang-format --dry-run --Werror "${sources[@]}"
echo "check: includes and sizes"
python3 tools/check_layout.py
echo "check: clang-tidy${since:+ of what changed since $since}"
# Only what this build compiles: the other halves of with/without pairs need headers that may not be there.
files() { if [ -n "$since" ]; then git diff --name-only --diff-filter=d "$since" -- "$@"; else git ls-files "$@"; fi; }
mapfile -t units < <(files 'src/*.cpp' 'apps/*.cpp' | { grep -v _test.cpp || true; } | while read -r unit; do
  if grep -qF "$PWD/$unit\"" "$build/compile_commands.json"; then echo "$unit"; fi
done)
[ ${#units[@]} -eq 0 ] && exit 0
printf '%s\n' "${units[@]}" | xargs -P "$(nproc)" -n 4 clang-tidy -p "$build" --quiet --warnings-as-errors='*' 2> >(grep -v 'warnings generated' >&2)
