#!/usr/bin/env bash
# Configures and builds a preset of CMakePresets.json: release (the default), package, dev, asan, tsan or fuzz. The tool is then
# build/PRESET/bin/mbc. A clean build takes at most 15 minutes on 2 cores; a second one, seconds (ccache).
#
#   tools/build.sh [PRESET] [TARGET...]
set -euo pipefail
case "${1-}" in -h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=${1:-release}
echo "build: preset $preset -> build/$preset"
cmake --preset "$preset" --log-level=WARNING
cmake --build --preset "$preset" ${2:+--target "${@:2}"}
echo "build: done: build/$preset/bin"
