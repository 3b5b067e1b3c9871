# same_logits.sh FAMILY DTYPE CHUNK RECORD: makes FAMILY/hf of FAMILY.json and checkpoints of it, and compares the logits of each. RECORD
# --no-record: without what the import kept of its source.
family=$1 dtype=$2 chunk=$3
tokens=3,1,4,1,5,9,2,6,5,35,52,0,17
mkdir $family
mbc toy $family.json -o $family/hf --quiet
mbc import $family/hf -o $family/dist --tp 2 --pp 3 --quiet
mbc reshard $family/dist -o $family/ranks --format torch --tp 2 --pp 3 --quiet
mbc compile $family/hf -o $family.mbcp --dtype $dtype --chunk $chunk --quiet
logits="mbc logits --tokens $tokens --dtype $dtype --chunk $chunk --quiet"
$logits $family/hf -o $family.npy --threads 1
[ "$4" != --no-record ] || rm -r $family/dist/iter_0000000/mbc
for format in hf dist ranks; do
  hf=
  [ $format = hf ] || hf="--hf-model $family/hf"
  $logits $family/$format $hf -o again.npy --threads 3
  cmp $family.npy again.npy
  rm again.npy
  if [ $format = ranks ]; then continue; fi
  mbc-run logits $family.mbcp --weights $family/$format --tokens $tokens -o again.npy --threads 2 --quiet
  cmp $family.npy again.npy
  rm again.npy
done
echo the same logits
