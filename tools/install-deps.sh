#!/usr/bin/env bash
# Installs the Debian packages that building and testing mbc needs. As root or with sudo; does nothing when all
# are there. About 2 GB of disk and 3 minutes on a fresh Debian 12.
#
#   tools/install-deps.sh           install what is missing
#   tools/install-deps.sh --list    print the packages, one a line
set -euo pipefail

packages=(
  # the compiler framework, and the compiler, linker and linters that go with it
  libmlir-22-dev mlir-22-tools llvm-22-dev llvm-22-tools clang-22 lld-22 liblld-22-dev clang-format-22 clang-tidy-22
  # build tools
  cmake ninja-build ccache pkg-config git
  # libraries
  libboost1.81-dev libcli11-dev libdeflate-dev libexpected-dev libfmt-dev libflatbuffers-dev flatbuffers-compiler
  libjpeg62-turbo-dev libpcre2-dev libpng-dev libutf8proc-dev libxxhash-dev libyaml-cpp-dev libzstd-dev zlib1g-dev libclang-rt-22-dev
  # tests and measurements
  g++ libgmock-dev libgtest-dev python3-venv time
)

case "${1-}" in
  '') ;;
  --list) printf '%s\n' "${packages[@]}"; exit 0 ;;
  -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) echo "error: unknown argument '$1' (try --help)" >&2; exit 2 ;;
esac

if ! command -v dpkg-query apt-get > /dev/null; then
  echo "error: this script needs Debian's package manager; 'tools/install-deps.sh --list' prints the packages" >&2
  exit 2
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2> /dev/null) || status=absent
  [[ $status == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  echo "install-deps: all ${#packages[@]} packages are installed"
  exit 0
fi

as_root=()
if ((EUID != 0)); then
  command -v sudo > /dev/null || { echo "error: run this as root, or install sudo" >&2; exit 2; }
  as_root=(sudo)
fi
echo "install-deps: installing ${#missing[@]} of ${#packages[@]} packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install --yes --no-install-recommends -qq "${missing[@]}" < /dev/null
