#!/usr/bin/env bash
# Makes the environments of the real Megatron programs, for test/Interop (mbc itself needs none of them):
#   DIR/old  Megatron Bridge 0.3.1, Megatron Core 0.16.1, transformers 4
#   DIR/new  Megatron Bridge 0.6.2, Megatron Core 0.19.2 with Megatron-LM's training loop, transformers 5
# About 2.4 GB and 1 minute; nothing to do until tools/requirements-peers-*.txt change. CPU only: where pip would take
# a torch with CUDA, PIP_EXTRA_INDEX_URL with an index of CPU wheels (or PIP_FIND_LINKS) points it at the other.
#
#   tools/interop-peers.sh [DIR]    default build/peers; PYTHON=... picks the interpreter (default /usr/bin/python3)
set -euo pipefail
case "${1-}" in -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
folder=$(realpath --canonicalize-missing "${1:-$(dirname "${BASH_SOURCE[0]}")/../build/peers}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p "$folder"
exec 9> "$folder/lock" && flock 9 # one at a time

# environment NAME [PACKAGE...]: the packages of its requirements file, and those whose wheels, of pure Python but for
# a helper of dataset indexing, are marked for Python 3.12 only: they are unpacked by hand.
environment() {
  local list=tools/requirements-peers-$1.txt at=$folder/$1 wheel site sum
  shift
  sum=$(echo "$*" | cat "$list" - | sha256sum)
  if [[ -f $at/stamp && $(< "$at/stamp") == "$sum" ]] && "$at/bin/python" -c '' 2> /dev/null; then
    echo "interop-peers: $at is up to date"
    return
  fi
  echo "interop-peers: making $at"
  "${PYTHON:-/usr/bin/python3}" -m venv --clear "$at"
  local pip=("$at/bin/python" -m pip --disable-pip-version-check --quiet --quiet)
  "${pip[@]}" install "$(grep '^torch==' "$list")" # first and by itself: nothing may ask for another
  "${pip[@]}" install --no-deps --requirement "$list"
  if (($# > 0)); then
    "${pip[@]}" download --no-deps --only-binary=:all: --python-version 3.12 --dest "$at/wheels" "$@"
    site=$("$at/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    for wheel in "$at"/wheels/*.whl; do "$at/bin/python" -m zipfile --extract "$wheel" "$site"; done
    rm -r "$at/wheels"
  fi
  echo "$sum" > "$at/stamp"
}

environment old
environment new megatron-core==0.19.2 megatron-bridge==0.6.2
echo "interop-peers: $folder is ready"
