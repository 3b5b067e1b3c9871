#!/usr/bin/env bash
# Makes .venv, the Python environment of set-up and tests, from tools/requirements.txt (mbc itself needs no Python).
# About 1 GB and 1 minute the first time; nothing to do until requirements.txt changes. torch must be a CPU build:
# where pip would take one with CUDA, this says how to point pip at the other, and goes on.
#
#   tools/python-env.sh         PYTHON=... picks the interpreter (3.11 or newer; default /usr/bin/python3)
set -euo pipefail
case "${1-}" in -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec 9< tools/requirements.txt && flock 9 # one at a time

stamp=.venv/requirements.sha256
if [[ -f $stamp ]] && sha256sum --check --status "$stamp" && .venv/bin/python -c '' 2> /dev/null; then
  echo "python-env: .venv is up to date"
  exit 0
fi

if [[ -L .venv ]]; then
  echo "error: .venv is a link: what it leads to would be emptied; make it anew there, or remove the link" >&2
  exit 2
fi
with_deps=
torch=$(grep '^torch==' tools/requirements.txt)
pip=(.venv/bin/python -m pip --disable-pip-version-check --quiet --quiet) # errors only
echo "python-env: making .venv with $torch and $(grep -c == tools/requirements.txt) packages in all (about 1 minute)"
"${PYTHON:-/usr/bin/python3}" -m venv --clear .venv

# What pip would take, without taking it: the CUDA build names CUDA packages among its requirements.
"${pip[@]}" install --dry-run --no-deps --report .venv/torch.json "$torch"
if grep -qiE '"(nvidia|cuda|triton)[^"]*"' .venv/torch.json; then
  echo "python-env: the $torch that pip finds here is the CUDA build: some gigabytes more, and no use to mbc's tests." >&2
  echo "python-env: PIP_EXTRA_INDEX_URL with an index of CPU wheels (or PIP_FIND_LINKS) avoids that." >&2
  with_deps=yes
fi
if [[ -n $with_deps ]]; then
  "${pip[@]}" install "$torch"
else
  "${pip[@]}" install --no-deps "$torch"
fi
"${pip[@]}" install --requirement tools/requirements.txt
.venv/bin/python -m pip --disable-pip-version-check check
sha256sum tools/requirements.txt > "$stamp"
echo "python-env: .venv is ready"
