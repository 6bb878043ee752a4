#!/usr/bin/env bash
# What a change to the CUDA back end must pass on a machine with a GPU: the GPU tests, the same under compute-sanitizer,
# and the kernels as an older GPU's portable code (sm_80 PTX, compiled by the driver).
#
# usage: tools/gpu_check.sh [--dry-run] [BUILD_DIR [PORTABLE_BUILD_DIR]]
#
# A folder that is given is taken as it is built; otherwise build/cuda is built for the GPU at hand, and
# build/cuda-portable for the portable code. One line a step; what a step printed is in BUILD_DIR/gpu_check/.
# The exit status is 0 if no step failed. --dry-run prints the commands.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
dry=0
if [ "${1:-}" = --dry-run ]; then dry=1; shift; fi
case "${1:-}" in -*) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;; esac
build=${1:-build/cuda}
portable=${2:-build/cuda-portable}
logs=$build/gpu_check
failed=0 skipped=0

# step NAME LIMIT_SECONDS COMMAND...
step() {
  local name=$1 limit=$2 start=$SECONDS status
  shift 2
  if [ $dry = 1 ]; then printf '%-34s timeout %s %s\n' "$name" "$limit" "$*"; return 0; fi
  timeout --kill-after=20 "$limit" "$@" >"$logs/$name.log" 2>&1
  status=$?
  if [ $status = 0 ]; then
    # GPU tests skip themselves where no GPU can be used: that is not a pass.
    if grep -qE '^\[  SKIPPED \]|\*\*\*Skipped|No tests were found' "$logs/$name.log"; then
      skip "$name" "tests were skipped, see $logs/$name.log"
      return 0
    fi
    printf 'ok    %-34s %4d s\n' "$name" $((SECONDS - start))
  else
    [ $status = 124 ] && status="over the limit of $limit s"
    printf 'FAIL  %-34s %4d s  (status: %s; see %s)\n' "$name" $((SECONDS - start)) "$status" "$logs/$name.log"
    failed=$((failed + 1))
    return 1
  fi
}

skip() {
  printf 'skip  %-34s %s\n' "$1" "$2"
  skipped=$((skipped + 1))
}

architecture() {
  local capability
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader -i 0 2>/dev/null | tr -d '.\r ')
  case "$capability" in
    90) echo 90a-real ;;
    [0-9]*) echo "$capability-real" ;;
    *) return 1 ;;
  esac
}

# build NAME FOLDER ARCHITECTURE TARGET...
build() {
  local name=$1 folder=$2 architecture=$3
  shift 3
  step "$name-configure" 300 cmake --preset cuda -B "$folder" "-DCMAKE_CUDA_ARCHITECTURES=$architecture" &&
    step "$name" 3600 cmake --build "$folder" --parallel "$(nproc)" --target "$@"
}

sanitize() {
  local tool=$1 name=$2 program=$3
  if [ $dry = 0 ] && ! command -v compute-sanitizer >/dev/null; then
    skip "$tool-$name" "compute-sanitizer is not on PATH (it comes with the CUDA toolkit)"
    return 0
  fi
  local options=(--error-exitcode 99)
  [ "$tool" = memcheck ] && options+=(--report-api-errors no)  # libraries probe for features, which is no error
  step "$tool-$name" 1200 compute-sanitizer --tool "$tool" "${options[@]}" "$program"
}

finish() {
  [ $dry = 1 ] || printf 'gpu_check: %d failed, %d skipped\n' $failed $skipped
  [ $failed = 0 ]
  exit
}

if ! gpu=$(architecture); then
  if [ $dry = 0 ]; then
    echo "gpu_check: nvidia-smi finds no GPU here; run this on a machine with one (or --dry-run)" >&2
    exit 1
  fi
  gpu=90a-real
fi
[ $dry = 1 ] || mkdir -p "$logs"
export OMP_WAIT_POLICY=passive

if [ $# = 0 ]; then
  step cudnn-frontend 120 tools/get_cudnn_frontend.sh
  build build "$build" "$gpu" all || finish
fi
step gpu-tests 1200 ctest --test-dir "$build" -L gpu --output-on-failure
for tool in memcheck racecheck; do
  sanitize $tool golden "$build/src/engine/wan_engine_gpu_test"
  sanitize $tool ops "$build/src/ops/wan_ops_gpu_test"
done

if [ $# = 1 ] && ! command -v nvcc >/dev/null; then
  skip portable-ops "no nvcc on PATH to build it with; give the folder of such a build"
elif [ $# -ge 2 ] || build portable-build "$portable" 80-virtual wan_ops_gpu_test; then
  step portable-ops 1200 "$portable/src/ops/wan_ops_gpu_test"
fi
finish
