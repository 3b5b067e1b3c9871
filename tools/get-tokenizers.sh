#!/usr/bin/env bash
# Gets the vocabularies that test/Interop/test_tokenizers.py tries besides SmolLM2's, as package data from PyPI:
# Llama 3's (llama-models) and Qwen's (dashscope), into build/tokenizers (30 MB). Does nothing when they are there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=build/tokenizers
packages=(llama-models==0.3.0 dashscope==2.0.2)

if [[ $(cat "$target/packages" 2> /dev/null) == "${packages[*]}" ]]; then
  echo "get-tokenizers: $target is complete"
  exit 0
fi
tools/python-env.sh
rm -rf "$target"
mkdir -p "$target"
# Without their requirements: nothing of them is run.
.venv/bin/python -m pip install --quiet --no-deps --no-compile --target "$target" "${packages[@]}"
printf '%s' "${packages[*]}" > "$target/packages"
echo "get-tokenizers: ${packages[*]} in $target"
