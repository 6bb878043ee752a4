#!/usr/bin/env bash
# Installs what wan.cpp needs to build and to run its tests, on Debian or Ubuntu. Installs only what is missing.
# Without root (and without sudo) it says what to install and stops.
set -euo pipefail

packages=(build-essential cmake ninja-build pkg-config
  libdnnl-dev libfmt-dev libspdlog-dev libcli11-dev nlohmann-json3-dev
  libicu-dev zlib1g-dev libpng-dev libjpeg-dev libwebp-dev
  libavformat-dev libavcodec-dev libavutil-dev libswscale-dev
  libcurl4-openssl-dev libssl-dev
  libgtest-dev libgmock-dev libbenchmark-dev
  openmpi-bin iproute2 python3)
# What the checks of tools/check.sh need besides.
check_packages=(clang clang-format clang-tidy libclang-rt-14-dev libomp-dev git ffmpeg)

[ "${1:-}" = "--with-checks" ] && packages+=("${check_packages[@]}")

if ! command -v apt-get >/dev/null; then
  echo "setup: this script knows Debian and Ubuntu. Install these by your system's means: ${packages[*]}" >&2
  exit 1
fi

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
missing=()
for package in "${packages[@]}"; do installed "$package" || missing+=("$package"); done
[ ${#missing[@]} -eq 0 ] && exit 0

run=()
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    run=(sudo)
  else
    echo "setup: these packages are missing, and installing them needs root. Run:" >&2
    echo "  sudo apt-get install ${missing[*]}" >&2
    exit 1
  fi
fi
echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${run[@]}" apt-get update -q
# Packages that this release does not know (another compiler's runtime, say) must not stop the others.
known=()
for package in "${missing[@]}"; do
  if apt-cache show "$package" >/dev/null 2>&1; then known+=("$package"); else echo "setup: no package $package in this release; going on without it" >&2; fi
done
"${run[@]}" apt-get install -q -y --no-install-recommends "${known[@]}"
