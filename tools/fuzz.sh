#!/usr/bin/env bash
# Builds every libFuzzer harness with ASan and UBSan and runs each for SECONDS; fails on a finding.
# usage: tools/fuzz.sh SECONDS [HARNESS...]     (such as: tools/fuzz.sh 60 zip pickle)
# The input of a finding is kept in BUILD/artifacts; BUILD is build/cpu-asan unless WAN_FUZZ_BUILD names another folder.
set -euo pipefail

if [[ $# -lt 1 || ! $1 =~ ^[1-9][0-9]*$ ]]; then
  sed -n 's/^# usage: /usage: /p' "$0" >&2
  exit 2
fi
seconds=$1
shift
root=$(cd "$(dirname "$0")/.." && pwd)
build=${WAN_FUZZ_BUILD:-$root/build/cpu-asan}
command -v clang++ >/dev/null || { echo "fuzz.sh: clang++ was not found: apt-get install clang" >&2; exit 2; }

names=("$@")
if [[ ${#names[@]} -eq 0 ]]; then
  for source in "$root"/fuzz/fuzz_*.cpp; do
    name=$(basename "$source" .cpp)
    names+=("${name#fuzz_}")
  done
fi

(cd "$root" && cmake --preset cpu-asan -B "$build" >/dev/null)
cmake --build "$build" --target "${names[@]/#/fuzz_}"

mkdir -p "$build/artifacts"
failed=()
for name in "${names[@]}"; do
  found=$build/corpus/$name   # what this run discovers; the seeds in the repository stay as they are
  mkdir -p "$found"
  seeds=()
  [[ -d $root/fuzz/corpus/$name ]] && seeds=("$root/fuzz/corpus/$name")
  dictionary=()
  [[ -f $root/fuzz/$name.dict ]] && dictionary=("-dict=$root/fuzz/$name.dict")
  echo "== $name, $seconds s"
  log=$build/$name.log
  if "$build/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=1024 \
    -artifact_prefix="$build/artifacts/$name-" -print_final_stats=1 "${dictionary[@]}" "$found" "${seeds[@]}" >"$log" 2>&1; then
    grep -E "number_of_executed_units|peak_rss_mb" "$log" || true
  else
    failed+=("$name")
    tail -n 60 "$log"
  fi
done
if [[ ${#failed[@]} -gt 0 ]]; then
  echo "findings in: ${failed[*]} (inputs in $build/artifacts)" >&2
  exit 1
fi
echo "no findings in: ${names[*]}"
