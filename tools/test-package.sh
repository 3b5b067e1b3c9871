#!/usr/bin/env bash
# Tries what tools/package.sh made: unpacks it, converts a small model both ways with an empty environment, and
# sees that a change is found. Prints each command; the last line is "package: N steps passed".
#
#   tools/test-package.sh TARBALL [ROOT]
#
# ROOT: an unpacked root file system to run in (needs root for chroot; /proc is mounted there, as in any container, and
# seen by these runs alone). An empty Debian 12:
#   debootstrap --variant=minbase bookworm ROOT http://deb.debian.org/debian
# Nothing but bash, coreutils, tar and gzip is used, so that this file and a tarball are enough on another machine.
set -euo pipefail
case "${1-}" in
  -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
  '' | -*) echo "error: expects a tarball of tools/package.sh (try --help)" >&2; exit 2 ;;
esac
(($# <= 2)) || { echo "error: expects a tarball and at most one root file system" >&2; exit 2; }
[[ -f $1 ]] || { echo "error: '$1' is not a file; make it with tools/package.sh" >&2; exit 2; }
tarball=$(realpath "$1")
root=
if [[ -n ${2-} ]]; then
  [[ -d $2/usr ]] || { echo "error: '$2' is not a root file system: it has no folder usr" >&2; exit 2; }
  root=$(realpath "$2")
  ((EUID == 0)) || { echo "error: running in '$root' needs chroot, and that root" >&2; exit 2; }
fi

# Seen from here $work is $root$work.
mkdir -p "$root/tmp"
work=/tmp/$(basename "$(mktemp --directory --tmpdir="$root/tmp" mbc-package.XXXXXX)")
trap 'rm -rf "$root$work"' EXIT
enter=(env -i -C "$root$work" PATH=/usr/bin:/bin)
if [[ -n $root ]]; then
  # shellcheck disable=SC2016 # the inner shell expands them
  enter=(unshare --mount sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$root" /usr/bin/env -i -C "$work" PATH=/usr/bin:/bin)
fi

steps=0
fail() { echo "FAILED: $*" >&2; exit 1; }
# expect STATUS COMMAND...: runs a program of the tarball in the work folder; its output is left in $root$work/out
expect() {
  local expected=$1 program=$2 status=0
  shift 2
  printf '$ %s\n' "$program $*"
  "${enter[@]}" "./$name/bin/$program" "$@" > "$root$work/out" 2>&1 || status=$?
  sed -n '1,8s/^/    /p' "$root$work/out"
  ((status == expected)) || { tail -n 20 "$root$work/out"; fail "exit status $status, expected $expected"; }
  steps=$((steps + 1))
}
# holds TEXT: the output of the last command has it
holds() { grep -qF -- "$1" "$root$work/out" || fail "the output does not say '$1'"; }

tar --extract --gzip --file "$tarball" --directory "$root$work" --no-same-owner
name=$(ls "$root$work")
echo "$(du --apparent-size -sh "$root$work/$name" | cut -f1) unpacked, in $(
  . "$root/etc/os-release" && echo "$PRETTY_NAME"), $(
  "${enter[@]}" /bin/sh -c 'ldd --version 2> /dev/null || echo no ldd' | head -n 1)"
for document in LICENSE THIRD_PARTY.md README.md; do
  [[ -s $root$work/$name/share/doc/mbc/$document ]] || fail "$document is missing"
done
if [[ -n $root ]]; then
  strangers=$(find "$root/usr" "$root/opt" -name 'libLLVM*.so*' -o -name 'libMLIR*.so*' -o -name 'python3*' -path '*/bin/*' | head -n 3)
  [[ -z $strangers ]] || fail "this root file system proves nothing: it has $strangers"
fi
cd "$root$work"
cat > config.json << 'END'
{ "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 256,
  "intermediate_size": 640, "max_position_embeddings": 2048, "num_attention_heads": 8, "num_hidden_layers": 4,
  "num_key_value_heads": 4, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": false,
  "torch_dtype": "bfloat16", "vocab_size": 1024 }
END

expect 0 mbc --version
[[ $name == "mbc-$(awk '{ print $2 }' out)"[-+]* ]] || fail "'$name' is not the version that mbc prints"
expect 0 mbc models
holds LlamaForCausalLM
expect 0 mbc check --config config.json
holds 'Admissible parallel sizes'
expect 0 mbc toy config.json -o hf
expect 0 mbc import hf -o megatron --tp 2 --pp 2
expect 0 mbc export megatron -o back
expect 0 mbc verify hf back
holds 'equal bit for bit'
echo '$ diff -r hf back' && diff -r hf back && steps=$((steps + 1))
expect 0 mbc verify hf megatron
expect 0 mbc compile --config config.json -o model.mbcp --chunk 4
expect 0 mbc logits hf --tokens 1,2,3,4,5 --chunk 4 -o logits.npy
expect 0 mbc-run logits model.mbcp --weights megatron --tokens 1,2,3,4,5 -o again.npy
echo '$ cmp logits.npy again.npy' && cmp logits.npy again.npy && steps=$((steps + 1))
# Code for GPUs is made where there is none.
expect 0 mbc compile --config config.json -o gpu.mbcp --target sm_90
holds 'with code for x86-64-v3, x86-64-v4, sm_90'
expect 0 mbc doctor
if grep -q 'this build has no GPU backend' out; then fail "there is no GPU backend in it"; fi
expect 0 mbc verify megatron
expect 0 mbc roundtrip hf --threads 1

# One flipped bit is seen: of the last byte, which is weights.
size=$(stat --format=%s back/model.safetensors)
byte=$(tail -c 1 back/model.safetensors | od -An -tu1)
printf "\\x$(printf %x $((byte ^ 1)))" | dd of=back/model.safetensors bs=1 seek=$((size - 1)) conv=notrunc status=none
expect 1 mbc verify hf back
holds '1 of 39 tensors differ'
expect 2 mbc import hf -o refused --tp 3
[[ ! -e refused ]] || fail "a refused import wrote something"

# A declaration that is not built in, and uses what is: Llama under another name.
mkdir -p own/models own/mappings
expect 0 mbc models Llama
awk '/^\/\/ \/mbc\/(models|mappings)\// { folder = ($2 ~ /models/) ? "models" : "mappings" }
  { sub(/use "/, "use \"/mbc/" folder "/"); sub(/(Llama|LlamaForCausalLM)" \{/, "OwnForCausalLM\" {")
    sub(/^(model|mapping) Llama/, folder == "models" ? "model Own" : "mapping Own"); print > ("own/" folder "/own.mbc") }' out
sed 's/LlamaForCausalLM/OwnForCausalLM/' config.json > own/config.json
expect 2 mbc check --config own/config.json
holds OwnForCausalLM
expect 0 mbc check --config own/config.json --model-path own
holds 'Admissible parallel sizes'

expect 0 mbc-translate --help
echo "package: $steps steps passed"
