#!/usr/bin/env bash
# Builds the fuzz targets of test/Fuzz and runs each from its committed corpus, under the address and undefined-behaviour
# sanitizers. An input that crashes, leaks, hangs for 5 seconds or allocates out of proportion ends the run with its name.
# What a run finds new is kept in build/fuzz/corpus and used by the next. The build takes 10 minutes on 2 cores, a million
# executions of a target 1 to 30 minutes.
#
#   tools/fuzz.sh [TARGET...]     the targets named, or all: the names of test/Fuzz/corpus
#   --runs N                      executions of each target (default 1000000)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

runs=1000000
targets=()
while (($# > 0)); do
  case "$1" in
    --runs) runs=${2:?error: --runs needs a number}; shift ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) targets+=("$1") ;;
  esac
  shift
done
known=(test/Fuzz/dictionaries/*.dict)
known=("${known[@]##*/}")
known=("${known[@]%.dict}")
((${#targets[@]} > 0)) || targets=("${known[@]}")
for target in "${targets[@]}"; do
  if [[ ! " ${known[*]} " == *" $target "* ]]; then
    echo "error: unknown target '$target'; expected some of ${known[*]}" >&2
    exit 2
  fi
done

tools/build.sh fuzz "${targets[@]/%/Fuzz}"
failed=()
for target in "${targets[@]}"; do
  mkdir -p "build/fuzz/corpus/$target"
  seeds=("test/Fuzz/corpus/$target")
  case "$target" in
    Config) seeds+=(test/Inputs/configs) ;;
    Declaration) seeds+=(models mappings) ;;
  esac
  printf '\n== %s (after %d s)\n' "$target" "$SECONDS"
  # libFuzzer writes to the first folder alone.
  build/fuzz/bin/"$target"Fuzz "build/fuzz/corpus/$target" "${seeds[@]}" -dict="test/Fuzz/dictionaries/$target.dict" \
    -runs="$runs" -timeout=5 -rss_limit_mb=2048 -malloc_limit_mb=512 -max_len=16384 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/$target-" || failed+=("$target")
done
if ((${#failed[@]} > 0)); then
  echo "fuzz: failed: ${failed[*]}; the inputs are build/fuzz/TARGET-*" >&2
  exit 1
fi
echo "fuzz: ${#targets[@]} targets, $runs executions each: nothing found"
