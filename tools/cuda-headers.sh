#!/usr/bin/env bash
# Gets the headers of cuBLASLt for building the GPU backend, where the CUDA toolkit has none: from its wheel on PyPI, of
# which only the headers are kept (1 MB). No library is kept; mbc loads those of the machine that it runs on.
#
#   tools/cuda-headers.sh [DIR]     into DIR (default: build/cuda-headers); does nothing when they are there
set -euo pipefail
cd "$(dirname "$0")/.."

cublas=nvidia-cublas==13.1.0.3

case "${1-}" in
  -h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
  -*) echo "error: unknown argument '$1' (try --help)" >&2; exit 2 ;;
esac
target=${1:-build/cuda-headers}
if [[ -e $target/nvidia/cu13/include/cublasLt.h ]]; then
  echo "cuda-headers: they are in $target"
  exit 0
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" --quiet --disable-pip-version-check download --no-deps --dest "$scratch" "$cublas"
python3 - "$scratch" "$target" << 'PYTHON'
import pathlib, sys, zipfile

source, target = map(pathlib.Path, sys.argv[1:])
for wheel in source.glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if "/include/" in name:
                archive.extract(name, target)
PYTHON
echo "cuda-headers: $(find "$target" -name '*.h' | wc -l) headers in $target"
