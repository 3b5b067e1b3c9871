#!/usr/bin/env bash
# Gets the headers of cuBLASLt, cuDNN, cuDNN's C++ frontend and NVRTC for building the GPU backend, where the CUDA toolkit
# has none: from their wheels on PyPI, of which only the headers are kept (4 MB). No library is kept; mbc loads those of
# the machine that it runs on.
#
#   tools/cuda-headers.sh [DIR]     into DIR (default: build/cuda-headers); does nothing when they are there, in these versions
set -euo pipefail
cd "$(dirname "$0")/.."

wheels=(nvidia-cublas==13.1.0.3 nvidia-cudnn-cu13==9.19.0.56 nvidia-cudnn-frontend==1.32.0 nvidia-cuda-nvrtc==13.0.88)

case "${1-}" in
  -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
  -*) echo "error: unknown argument '$1' (try --help)" >&2; exit 2 ;;
esac
target=${1:-build/cuda-headers}
# Written last: what an interrupted run or an older list of wheels left is made again.
versions=$target/versions
if [[ -e $versions && $(< "$versions") == "${wheels[*]}" ]]; then
  echo "cuda-headers: they are in $target"
  exit 0
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" --quiet --disable-pip-version-check download --no-deps --dest "$scratch" "${wheels[@]}"
python3 - "$scratch" "$scratch/headers" << 'PYTHON'
import pathlib, re, sys, zipfile

source, target = map(pathlib.Path, sys.argv[1:])
for wheel in source.glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if re.search(r"(^|/)include/.*\.(h|hpp|cuh|inl)$", name):
                archive.extract(name, target)
PYTHON
mkdir -p "$target"
cp -R "$scratch/headers/." "$target"
echo "${wheels[*]}" > "$versions"
echo "cuda-headers: $(find "$target" -name '*.h*' | wc -l) headers in $target"
