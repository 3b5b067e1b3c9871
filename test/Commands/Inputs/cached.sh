# cached.sh HF DIST RANKS: three formats of one checkpoint. Runs `mbc logits` in turn with one cache, and says of each run whether its
# program came from the cache, and how many programs the cache holds then. Every run gives the bytes of alone.npy.
hf=$1 dist=$2 ranks=$3
unset MBC_CACHE
export MBC_CACHE_DIR=$PWD/cache
count() { find cache -name '*.mbcp' -type f 2>/dev/null | wc -l; }
logits() { # NAME DIR OPTION...: whose logits are not compared where NAME is "?NAME"
  name=$1
  shift
  mbc logits "$@" --tokens ${tokens:-1,2,3} -o out.npy --json > out.json
  case $name in \?*) name=${name#\?} ;; *) cmp alone.npy out.npy ;; esac
  if grep -q '"cached": true' out.json; then how=cached; else how=compiled; fi
  echo "$name: $how, $(count)"
}
echo "empty: $(mbc cache)"
logits first $hf
logits again $hf
tokens=1,2,3,4 logits "?almost as long" $hf
tokens=1,2,3,4,5 logits "?longer" $hf
logits "?other type" $hf --dtype bfloat16
logits --no-cache $hf --no-cache
logits torch_dist $dist
logits "torch_dist again" $dist
logits "with a folder's config.json" $dist --hf-model $hf
logits legacy $ranks
logits "?other option" $hf --chunk 2
# A wrong token is refused as ever.
mbc logits $hf --tokens 1,99,3 -o out.npy 2> one.txt && exit 1
mbc logits $hf --tokens 1,99,3 -o out.npy --no-cache 2> two.txt && exit 1
cmp one.txt two.txt && echo "the same refusal twice"

cp -r $hf other
sed -i 's/"rms_norm_eps": [^,]*/"rms_norm_eps": 0.5/' other/config.json
logits "?other configuration" other
cp $hf/config.json other
logits "configuration as before" other
mbc toy --cut $hf -o short --layers 1 --quiet
cp $hf/config.json short
if mbc logits short --tokens 1,2,3 -o out.npy 2>/dev/null; then exit 1; else echo "other tensors: refused"; fi

mkdir -p own/models own/mappings
for folder in models mappings; do cp $(dirname $0)/../../../$folder/*.mbc own/$folder; done
logits "own declarations" $hf --model-path own
logits "own declarations again" $hf --model-path own
echo "// changed" >> own/models/attention.mbc
logits "a file that they use has changed" $hf --model-path own

logits "as before" $hf > /dev/null
program=$(ls -t cache/*.mbcp | head -1)
printf x | dd of=$program bs=1 seek=700 conv=notrunc 2>/dev/null
logits damaged $hf
logits mended $hf
truncate -s 100 $program
logits cut $hf
sed -i 's/"rms_norm_eps": [^,]*/"rms_norm_eps": 0.25/' other/config.json
mbc compile --config other/config.json -o foreign.mbcp --quiet
cp foreign.mbcp $program
chmod 600 $program
logits "another program's" $hf
chmod 666 $program
logits "writable by others" $hf
rm $program
mkdir $program
logits "a folder in its place" $hf
rmdir $program

export MBC_CACHE_LIMIT=$(stat -c %s foreign.mbcp)
export MBC_CACHE_LIMIT=$((MBC_CACHE_LIMIT * 3 / 2))
touch -d '2 days ago' cache/*.mbcp
logits "limit of one program" $hf
logits "it is the last one" $hf
MBC_CACHE_LIMIT=1 logits "?limit of nothing" $hf --dtype float16
unset MBC_CACHE_LIMIT
echo precious > cache/notes.txt
echo half > cache/00000000000000000000000000000000.tmp-1
touch -d '2 days ago' cache/*.tmp-1
mbc cache clear --quiet
echo "foreign files stay: $(ls cache | grep -c notes)"
echo "leftovers go: $(ls cache | grep -c tmp || true)"
echo file > not-a-folder
MBC_CACHE_DIR=not-a-folder/x logits "cache is a file" $hf
( unset MBC_CACHE_DIR XDG_CACHE_HOME HOME; logits "no home" $hf )
for i in 1 2 3 4 5 6 7 8 9 10; do
  mbc logits $hf --tokens 1,2,3 -o $i.npy --quiet &
  running="$running $!"
done
for process in $running; do wait $process; done
for i in 1 2 3 4 5 6 7 8 9 10; do cmp alone.npy $i.npy; done
echo "ten at once: $(count)"
echo "cleared: $(mbc cache clear)"
