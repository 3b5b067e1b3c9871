#!/usr/bin/env bash
# From nothing to a converted model: installs what is missing, builds mbc, gets a real model, converts it to a
# Megatron checkpoint and back, proves that the result is the model that went in, bit for bit, and lets both speak.
# About 10 minutes on a fresh Debian 12 with 2 cores, nearly all of it packages and the build; a second run takes seconds.
#
#   tools/quickstart.sh [HF_DIR]
#
# HF_DIR: your own Hugging Face folder; without it, SmolLM2-135M-Instruct is fetched (93 MB).
# Results are under build/quickstart; those of the last run are replaced.
set -euo pipefail

here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=build/quickstart
source=
for argument in "$@"; do
  case $argument in
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' tools/quickstart.sh; exit 0 ;;
    -*) echo "error: unknown option '$argument' (try --help)" >&2; exit 2 ;;
    *) source=$(cd "$here" && realpath "$argument") ;;
  esac
done
if [[ -n $source && ! -f $source/config.json ]]; then
  echo "error: '$source' is not a Hugging Face folder: it has no config.json" >&2
  exit 2
fi
rm -rf "$out"

step() { printf '\n== %s\n' "$*"; }

echo "This will, skipping what is there already:"
echo "  1. install Debian packages (LLVM/MLIR 22 and libraries; 2 GB, about 3 minutes)"
echo "  2. build mbc into build/release (at most 15 minutes on 2 cores)"
if [[ -z $source ]]; then
  echo "  3. make .venv with Python packages (1 GB, about 1 minute) and get SmolLM2-135M-Instruct (93 MB)"
else
  echo "  3. (no model is fetched: yours is $source)"
fi
echo "  4. convert it both ways under $out and compare (seconds per GB)"
echo "  5. ask the folder and the Megatron checkpoint the same question, on the CPU"

step "1. Debian packages"
tools/install-deps.sh
step "2. mbc"
if [[ $(ldconfig -p) == *libcuda.so.1* ]]; then
  tools/cuda-headers.sh # there is a GPU: for its backend
fi
tools/build.sh release
step "3. The model"
if [[ -z $source ]]; then
  tools/get-model.sh
  source=build/models/SmolLM2-135M-Instruct
else
  echo "$source"
fi

step "4. There and back"
mbc=build/release/bin/mbc
bytes=$(find -L "$source" -type f -name '*.safetensors' -printf '%s\n' | awk '{ n += $1 } END { printf "%.0f", n }')
mkdir -p "$out"
free=$(df --output=avail --block-size=1 "$out" | tail -n 1)
if ((free < 5 * bytes / 2)); then
  echo "error: converting $bytes bytes both ways needs 2.5 times that on this disk; $free are free" >&2
  exit 3
fi

log=$out/times
# measure NAME COMMAND...: shows the command, runs it, notes its seconds and peak memory
measure() {
  local name=$1
  shift
  printf '\n$ %s\n' "$*"
  env time --format='%e %M' --output="$out/time" "$@"
  echo "$name $(cat "$out/time")" >> "$log"
}
cat "$source"/*.safetensors > /dev/null # all start from the same page cache
# shellcheck disable=SC2016 # the inner shell expands them
measure 'cp -r + sync' sh -c 'cp -rL "$0" "$1" && find "$1" -type f -exec sync {} +' "$source" "$out/copy" > /dev/null
rm -rf "$out/copy"
measure 'mbc import' "$mbc" import "$source" -o "$out/megatron"
measure 'mbc export' "$mbc" export "$out/megatron" -o "$out/hf"
measure 'mbc verify' "$mbc" verify "$source" "$out/hf"

step "5. The same words from both"
# A model without a chat template continues a text.
question="What is the capital of France? Answer in one sentence."
ask=(--prompt "$question" --max-new-tokens 64)
asked="--prompt ${question@Q} --max-new-tokens 64" # to be read
if grep -qs chat_template "$source/tokenizer_config.json" || [[ -f $source/chat_template.jinja || -f $source/chat_template.json ]]; then
  ask+=(--chat)
  asked+=" --chat"
fi
said=
# speak DIR FILE: shows the command, and its answer as it comes
speak() {
  printf '\n$ %s generate %s %s\n' "$mbc" "$1" "$asked"
  "$mbc" generate "$1" "${ask[@]}" | tee "$2"
}
if speak "$source" "$out/said-hf"; then
  speak "$out/megatron" "$out/said-megatron"
  if ! cmp -s "$out/said-hf" "$out/said-megatron"; then
    echo "error: the two answers differ" >&2
    exit 1
  fi
  said="The answers of the folder and of the Megatron checkpoint are equal."
elif [[ $source == build/models/* ]]; then
  exit 1
else
  echo "Left out: mbc says above why this model does not generate."
fi
rm -f "$out"/said-*

printf '\n== Done: %s\n' "$(basename "$source")"
echo "Hugging Face -> Megatron torch_dist -> Hugging Face; verify compared the two ends: every bit is equal."
[[ -z $said ]] || echo "$said"
echo
awk -v bytes="$bytes" '{
  rss = $NF / 1024; seconds = $(NF - 1); $NF = $(NF - 1) = ""; sub(/ +$/, "")
  if (seconds == 0) seconds = 0.01
  printf "  %-14s %7.2f s %7.2f GB/s", $0, seconds, bytes / 1e9 / seconds
  if ($0 ~ /^mbc/) printf "   peak memory %4.0f MiB", rss
  print ""
}' "$log"
cat << END

  $(awk -v bytes="$bytes" 'BEGIN { printf "%.2f GB of weights", bytes / 1e9 }') in $source
  Megatron checkpoint: $PWD/$out/megatron
  Exported folder:     $PWD/$out/hf

The commands that ran, in $PWD (put your own folders; an existing target needs --overwrite):

  $mbc import $source -o $out/megatron
  $mbc export $out/megatron -o $out/hf
  $mbc verify $source $out/hf
  $mbc generate $out/megatron $asked
  cp -r $source $out/copy && sync $out/copy/*

What next:

  $mbc roundtrip HF_DIR     both ways, compared, nothing left behind
  $mbc check HF_DIR         the proof of a model's mapping, as a table
  $mbc generate DIR --chat  a conversation with a model
  $mbc serve DIR            OpenAI's API over HTTP
  $mbc compare A B          where two models first differ when they run
  $mbc inspect PATH         what is in a folder or a checkpoint
  $mbc --help               the rest
  tools/test.sh                               build and run every test
END
rm -f "$out/time"
