#!/usr/bin/env bash
# Times import and export beside `cp -r` plus `sync` of the same bytes: interleaved repeats, medians, peak memory.
# About a second a repeat and GB; needs a built mbc, 3 times the model's bytes on the disk, and a quiet machine.
#
#   test/Bench/convert.sh [HF_DIR [REPEATS]]      default build/models/SmolLM2-135M-Instruct, 7 repeats
#   MBC=... picks the tool (default build/release/bin/mbc), OUT=... the scratch folder (default build/bench)
set -euo pipefail
case "${1-}" in -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
source=${1:-$root/build/models/SmolLM2-135M-Instruct}
repeats=${2:-7}
mbc=${MBC:-$root/build/release/bin/mbc}
out=$(mkdir -p "${OUT:-$root/build/bench}" && mktemp -d "${OUT:-$root/build/bench}/convert.XXXXXX")
trap 'rm -rf "$out"' EXIT

# measure NAME TARGET COMMAND...: notes the seconds and peak KiB of a command that makes TARGET
measure() {
  local name=$1 target=$2
  shift 2
  rm -rf "${target:?}"
  sync -f "$out" # what came before is not this command's to write
  local start=$EPOCHREALTIME
  env time --format='%M' --output="$out/rss" "$@" > "$out/log" 2>&1 || { cat "$out/log" >&2; exit 1; }
  awk -v a="$start" -v b="$EPOCHREALTIME" -v rss="$(cat "$out/rss")" 'BEGIN { printf "%.4f %d\n", b - a, rss }' \
    >> "$out/$name"
}
# shellcheck disable=SC2016 # the inner shell expands them
copy=(sh -c 'cp -rL "$0" "$1" && find "$1" -type f -exec sync {} +')

for ((i = 0; i < repeats; i++)); do
  measure copy-hf "$out/copy" "${copy[@]}" "$source" "$out/copy"
  measure import "$out/megatron" "$mbc" import "$source" -o "$out/megatron" --quiet
  measure copy-megatron "$out/copy" "${copy[@]}" "$out/megatron" "$out/copy"
  measure export "$out/hf" "$mbc" export "$out/megatron" -o "$out/hf" --quiet
done

median() { sort -n "$out/$1" | awk '{ s[NR] = $1 } END { print (s[int((NR + 1) / 2)] + s[int(NR / 2) + 1]) / 2 }'; }
peak() { awk '$2 > m { m = $2 } END { printf "%.0f", m / 1024 }' "$out/$1"; }
bytes=$(find -L "$source" -type f -name '*.safetensors' -printf '%s\n' | awk '{ n += $1 } END { printf "%.0f", n }')
echo "$(basename "$source"): $bytes bytes of weights, medians of $repeats interleaved repeats, $(nproc) cores"
report() {
  awk -v name="$1" -v t="$(median "$1")" -v c="$(median "$2")" -v rss="$(peak "$1")" -v bytes="$bytes" 'BEGIN {
    if (t == 0) t = 0.001; if (c == 0) c = 0.001
    printf "%s: %.3f s, %.2f GB/s, %.2fx of cp -r + sync (%.3f s), peak RSS %d MiB\n",
      name, t, bytes / 1e9 / t, t / c, c, rss
  }'
}
report import copy-hf
report export copy-megatron
