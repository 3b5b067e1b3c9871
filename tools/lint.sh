#!/usr/bin/env bash
# Runs clang-tidy (.clang-tidy) on C++ files: those given, or those changed since the merge base with a branch.
# About 10 seconds a file. Needs the compile commands and generated headers of tools/build.sh.
#
#   tools/lint.sh [FILE...]         BASE=... picks the branch (default origin/main, else main)
set -euo pipefail
case "${1-}" in -h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;; esac

files=()
for file in "$@"; do files+=("$(realpath --no-symlinks "$file")"); done
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [[ ! -f build/release/compile_commands.json ]]; then
  echo "error: build/release/compile_commands.json is missing; run tools/build.sh first" >&2
  exit 2
fi
if ((${#files[@]} == 0)); then
  base=${BASE:-$(git rev-parse --verify --quiet --abbrev-ref origin/main || echo main)}
  start=$(git merge-base HEAD "$base")
  readarray -t files < <({
    git diff --name-only --diff-filter=d "$start" -- '*.cpp'
    git ls-files --others --exclude-standard -- '*.cpp'
  } | sort -u)
  echo "lint: ${#files[@]} files changed since $base"
fi
((${#files[@]} > 0)) || exit 0
printf '%s\0' "${files[@]}" |
  xargs --null --max-args=1 --max-procs="$(nproc)" clang-tidy-22 -p build/release --quiet
echo "lint: clean"
