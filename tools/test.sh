#!/usr/bin/env bash
# Builds mbc (release) and runs every test; installs what is missing first. The last line is "N passed, M failed";
# a step that could not run counts as one failure. Exit status 0 only when nothing failed.
# About 10 minutes on 2 cores in a fresh clone (6 of them the build), package installation aside.
#
#   tools/test.sh                 everything; with the real Megatron programs two models (2 minutes)
#   tools/test.sh --quick         without test/Interop, which needs .venv (1 GB), a model (93 MB) and build/peers (2.4 GB)
#   tools/test.sh --mutations     with 2,100 random mutations and 200 kills of each conversion instead of some (20 minutes more)
#   tools/test.sh --interop-all   with the real Megatron programs every model and layout, and 100,000 texts
#                                 for each tokenizer (15 minutes more)
#   tools/test.sh --package       everything, and the tarball of tools/package.sh: made twice, its programs under lit, and
#                                 tried without LLVM and Python (1 minute more)
#   tools/test.sh --sanitize      unit tests and lit under the address, undefined-behaviour and thread sanitizers instead
set -euo pipefail
quick=
presets=(release)
interop=()
package=
case "${1-}" in
  '') ;;
  --quick) quick=yes ;;
  --sanitize) quick=yes presets=(asan tsan) ;;
  --mutations) export MBC_MUTATIONS=2100 MBC_FAULT_POINTS=200 ;;
  --interop-all) interop=(-m ""); export MBC_TOKENIZER_TEXTS=100000 ;;
  --package) package=yes ;;
  -h | --help) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) echo "error: unknown argument '$1' (try --help)" >&2; exit 2 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."

passed=0
failed=0
skipped=0

step() { printf '\n== %s (after %d s)\n' "$*" "$SECONDS"; }
fail() { echo "FAILED: $*" && failed=$((failed + 1)); }
finish() {
  printf '\n%d s' "$SECONDS"
  ((skipped == 0)) || printf ', %d skipped' "$skipped"
  printf '\n%d passed, %d failed\n' "$passed" "$failed"
  ((failed == 0)) || exit 1
  exit 0
}
# count STATUS FILE WHAT: adds the tests of a result file. A runner that wrote none, or that failed without a
# failed test in it, is a failure of its own.
count() {
  local p f s
  if ! read -r p f s < <(/usr/bin/python3 tools/count_tests.py "$2"); then
    fail "$3: no result (exit status $1)"
    return
  fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  echo "$3: $p passed, $f failed, $s skipped"
  if (($1 != 0 && f == 0)); then fail "$3: exit status $1"; fi
}

step "Debian packages"
tools/install-deps.sh || { fail "tools/install-deps.sh"; finish; }

step "clang-format"
readarray -d '' sources < <(git -c safe.directory='*' ls-files -z --cached --others --exclude-standard '*.h' '*.cpp')
if ((${#sources[@]} > 0)) && clang-format-22 --dry-run -Werror "${sources[@]}"; then
  echo "${#sources[@]} files are formatted" && passed=$((passed + 1))
else
  fail "clang-format-22 --dry-run -Werror"
fi

# The GPU backend is built and tested everywhere.
step "Parts of CUDA"
tools/cuda-headers.sh || fail "tools/cuda-headers.sh"

for preset in "${presets[@]}"; do
  build=build/$preset
  results=$build/test-results

  step "Build $preset"
  tools/build.sh "$preset" || { fail "tools/build.sh $preset"; finish; }
  rm -rf "$results" && mkdir -p "$results"

  step "Unit tests, $preset"
  shopt -s nullglob
  binaries=("$build"/bin/*Tests)
  shopt -u nullglob
  ((${#binaries[@]} > 0)) || fail "$build/bin/*Tests: no unit tests were built"
  for binary in "${binaries[@]}"; do
    name=$(basename "$binary")
    status=0
    # Without a GPU its tests run on an emulated one (test/CudaEmulator).
    emulator=
    [[ $name != Cuda* || $(ldconfig -p) == *libcuda.so.1* ]] || emulator=$PWD/$build/emulator
    env ${emulator:+LD_LIBRARY_PATH=$emulator} "$binary" --gtest_brief=1 --gtest_output="json:$results/$name.json" || status=$?
    count "$status" "$results/$name.json" "$name"
  done

  step "lit, $preset"
  status=0
  /usr/lib/llvm-22/bin/lit -sv --output "$results/lit.json" "$build/test" || status=$?
  count "$status" "$results/lit.json" lit
done

if [[ -n $package ]]; then
  step "Package"
  if tools/package.sh -o "$results/first" && tools/package.sh -o "$results/second"; then
    if diff -r "$results/first" "$results/second"; then
      echo "package: made twice, the same bytes" && passed=$((passed + 1))
    else
      fail "tools/package.sh: two runs gave different bytes"
    fi
    if tools/test-package.sh "$results"/first/*.tar.gz; then passed=$((passed + 1)); else fail "tools/test-package.sh"; fi
    status=0
    /usr/lib/llvm-22/bin/lit -sv --output "$results/package.json" build/package/test || status=$?
    count "$status" "$results/package.json" "lit, programs of the package"
  else
    fail "tools/package.sh"
  fi
fi

if [[ -z $quick ]]; then
  step "Interoperation with transformers, PyTorch, safetensors and Megatron"
  if tools/get-model.sh && tools/get-tokenizers.sh && tools/interop-peers.sh; then
    status=0
    MBC=$PWD/$build/bin/mbc .venv/bin/python -m pytest -q -p no:cacheprovider --junit-xml="$results/interop.xml" \
      "${interop[@]}" test/Interop || status=$?
    count "$status" "$results/interop.xml" interop
  else
    fail "tools/get-model.sh, tools/get-tokenizers.sh, tools/interop-peers.sh"
  fi
fi

finish
