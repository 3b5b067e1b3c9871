#!/usr/bin/env bash
# What CI cannot: the GPU backend on a GPU, on a machine that needs a driver, NVIDIA's libraries and python with numpy.
#
#   tools/gpu.sh prepare OUT [SEEDS [TARGET]]
#                                       where build/release and .venv are: all that the other machine needs, in OUT; models
#                                       of SEEDS seeds (default 3, 20 MB each), code for TARGET (default sm_90)
#   OUT/gpu.sh run [PART...]            there (default: conformance families memcheck speed):
#     conformance, memcheck, racecheck  the conformance suite, alone and under compute-sanitizer
#     families                          every family's logits and texts against the host's
#     same                              the same bits with everything that makes it fast and without
#     beside                            bfloat16's errors beside those of transformers (torch and transformers)
#     speed                             decode and prefill of true shapes
#     stages                            what each of the means to speed brings for one sequence
#     peers                             transformers' times beside, some minutes
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
  GPU_TARGET=$target .venv/bin/python test/Interop/device_cases.py "$out/families" "$seeds"
  .venv/bin/python test/Bench/cuda.py prepare "$out/bench" --target "$target"
  cp tools/gpu.sh test/Interop/check_device.py test/Interop/check_beside_transformers.py "$out"
  du -sh "$out"
}

failures=()
attempt() { # NAME COMMAND...
  local name=$1
  shift
  echo "== $name"
  "$@" || failures+=("$name")
}

plain=(MBC_CUDA_FUSE=0 MBC_CUDA_GRAPHS=0 MBC_CUDA_OVERLAP=0 MBC_CUDA_AHEAD=0)

# same_bits CASE: texts and logits of a folder of device_cases.py
same_bits() {
  local folder=${1%/} program kind status=0
  for kind in fast plain; do
    local switches=("${plain[@]}")
    [[ $kind == plain ]] || switches=()
    for program in "$folder"/*.mbcp; do
      rm -f "$kind.npy"
      local pictures=()
      [[ ! -e $folder/pixels-17.npy ]] || pictures=(--pixels "$folder/pixels-17.npy" --grid "$folder/grid-17.npy")
      env "${switches[@]}" ./mbc-run logits "$program" --weights "$folder/hf" --tokens "$folder/tokens-17.npy" "${pictures[@]}" \
        -o "$kind.npy" --device cuda --quiet
      sha256sum < "$kind.npy"
      [[ ! -e $folder/prompts.jsonl ]] || env "${switches[@]}" ./mbc-run generate "$program" --weights "$folder/hf" \
        --prompts-file "$folder/prompts.jsonl" --max-new-tokens 24 --ignore-eos --temperature 1 --seed 5 --device cuda --quiet |
        sed 's/,"first_token_seconds".*//'
    done > "$kind.bits"
  done
  cmp fast.bits plain.bits || status=1
  rm -f {fast,plain}.{npy,bits}
  return "$status"
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
        same) for case in families/*/; do attempt "same bits: $case" same_bits "$case"; done ;;
        beside) attempt beside python3 check_beside_transformers.py families ./mbc-run cuda ;;
        stages)
          for ((count = ${#plain[@]}; count >= 0; count--)); do
            attempt "1B, ${plain[*]:0:count}" env "${plain[@]:0:count}" ./CudaBench bench/1b.mbcp --decode 256
          done
          ;;
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
  if ((${#failures[@]} > 0)); then
    printf 'FAILED %s\n' "${failures[@]}"
    return 1
  fi
  echo passed
}

case "${1-}" in
  prepare) [[ $# -ge 2 ]] || { echo "error: prepare needs a folder" >&2; exit 2; }; prepare "${@:2}" ;;
  run) run "${@:2}" ;;
  *) sed -n '2,18s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; [[ ${1-} == -h || ${1-} == --help ]] || exit 2 ;;
esac
