#!/usr/bin/env bash
# What CI cannot: the GPU backend on a GPU, on a machine that needs a driver, NVIDIA's libraries and python with numpy.
#
#   tools/gpu.sh prepare OUT [SEEDS [TARGET]]
#                                       where build/release and .venv are: all that the other machine needs, in OUT; models
#                                       of SEEDS seeds (default 3, 12 MB each), code for TARGET (default sm_90)
#   OUT/gpu.sh run [PART...]            there: conformance families memcheck racecheck speed peers (default: the first
#                                       three and speed; peers takes torch and transformers, some minutes)
#
# Exit status: 0 all passed, 1 something did not.
set -euo pipefail

prepare() {
  local out=$1 seeds=${2:-3} target=${3:-sm_90} bin=build/release/bin
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  [[ ! -e $out ]] || { echo "error: $out exists" >&2; exit 2; }
  ninja -C build/release mbc mbc-run CudaConformanceTests CudaBench conformance_programs
  mkdir -p "$out/programs"
  for tool in mbc-run CudaConformanceTests CudaBench; do
    strip -o "$out/$tool" "$bin/$tool"
  done
  "$bin/conformance_programs" "$out/programs" "$target"
  .venv/bin/python test/Interop/device_cases.py "$out/families" "$seeds"
  .venv/bin/python test/Bench/cuda.py prepare "$out/bench" --target "$target"
  cp tools/gpu.sh test/Interop/check_device.py "$out"
  du -sh "$out"
}

failures=()
attempt() { # NAME COMMAND...
  local name=$1
  shift
  echo "== $name"
  "$@" || failures+=("$name")
}

run() {
  cd "$(dirname "${BASH_SOURCE[0]}")"
  [[ -x CudaConformanceTests ]] || { echo "error: run the gpu.sh of a folder that 'prepare' made" >&2; exit 2; }
  export MBC_CONFORMANCE_PROGRAMS=$PWD/programs
  ./mbc-run doctor
  local sanitizer=(compute-sanitizer --report-api-errors no --error-exitcode 1)
  for part in "${@:-conformance families memcheck speed}"; do
    for part in $part; do
      case $part in
        conformance) attempt conformance ./CudaConformanceTests --gtest_brief=1 ;;
        families) attempt families python3 check_device.py families ./mbc-run cuda ;;
        memcheck) attempt memcheck "${sanitizer[@]}" --tool memcheck ./CudaConformanceTests --gtest_brief=1 ;;
        racecheck) attempt racecheck "${sanitizer[@]}" --tool racecheck ./CudaConformanceTests --gtest_brief=1 ;;
        speed)
          attempt "1B" ./CudaBench bench/1b.mbcp --decode 256
          attempt "8B" ./CudaBench bench/8b.mbcp --decode 64
          attempt "8B, 32 sequences" ./CudaBench bench/8b.mbcp --decode 64 --context 1024 --sequences 32
          attempt "8B, prefill" ./CudaBench bench/8b.mbcp --prefill 4096 --profile
          attempt "30B-A3B" ./CudaBench bench/30b.mbcp --decode 64
          ;;
        peers) attempt peers python3 bench/cuda.py run ./CudaBench ./mbc-run ;;
        *) echo "error: no part '$part'" >&2; exit 2 ;;
      esac
    done
  done
  printf 'FAILED %s\n' "${failures[@]}" | grep . || echo passed
  [[ ${#failures[@]} -eq 0 ]]
}

case "${1-}" in
  prepare) [[ $# -ge 2 ]] || { echo "error: prepare needs a folder" >&2; exit 2; }; prepare "${@:2}" ;;
  run) run "${@:2}" ;;
  *) sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; [[ ${1-} == -h || ${1-} == --help ]] || exit 2 ;;
esac
