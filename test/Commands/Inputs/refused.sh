# refused.sh COMMAND FOLDER: says what the command says to each of many wrong uses; stdout must stay empty.
try() {
  echo "$@"
  "$@" < /dev/null 2> err.txt > out.txt
  status=$?
  grep -v '^loading' err.txt
  test -s out.txt && echo "there is something on stdout"
  echo "status $status"
  test "$status" = 2 || echo "status 0, or another"
}
mbc="$1 $2"
try $mbc
try $mbc --prompt a --tokens 1
try $mbc --chat
try $mbc --chat --tokens 1
try $mbc --prompt a --system b
try $mbc --prompt a -o x
try $mbc --prompt a --logprobs 2
try $mbc --prompt a --temperature warm
try $mbc --prompt a --temperature -1
try $mbc --prompt a --temperature nan
try $mbc --prompt a --top-p 1.5
try $mbc --prompt a --temperature 0 --top-k 3
try $mbc --prompt a --max-new-tokens 0
try $mbc --prompt a --template-set b=1
try $mbc --prompt a --sequences 8 --chunk 4
try $mbc --prompts-file nowhere.jsonl

printf '' > empty.txt
printf 'caf\351' > latin.txt
python3 -c "print('x' * 100)" > long.txt
try $mbc --prompt ''
try $mbc --prompt-file empty.txt
try $mbc --prompt-file latin.txt
try $mbc --tokens 1,260
try $mbc --prompt Hello --max-new-tokens 60
try $mbc --prompt-file long.txt
try $mbc --prompt Hello --length 4
printf '{"prompt": "a"}\n{"prompt": \n' > bad-json.jsonl
echo '{"prompt": "a", "max_tokens": 3}' > bad-member.jsonl
echo '{"prompt": "a", "tokens": [1]}' > bad-two.jsonl
echo '{"prompt": "a", "top_p": "x"}' > bad-type.jsonl
printf '{"prompt": "a"}\n\n{"prompt": "a", "max_new_tokens": 64}\n' | sed '2d' > bad-long.jsonl
echo '{"messages": [{"role": "robot", "content": "a"}]}' > bad-role.jsonl
for lines in bad-json bad-member bad-two bad-type bad-long bad-role; do
  try $mbc --prompts-file $lines.jsonl -o lines.out
done
try $mbc --prompts-file empty.txt
test -e lines.out && echo "a file was made: status 0"

command=$1
try $command bare --prompt a
try $command bare --tokens 1 --stop x
mkdir silent odd config nan
for folder in silent odd config; do cp -r "$2"/* $folder; done
rm silent/tokenizer_config.json
sed -i 's/{% for m/{% frobnicate %}{% for m/' odd/tokenizer_config.json
echo '{"top_p": 3}' > config/generation_config.json
try $command silent --chat --prompt a
try $command odd --chat --prompt a
try $command config --prompt a
# Every weight that is no norm becomes NaN.
cp bare/* nan
python3 - << 'END'
import pathlib
[file] = pathlib.Path("nan").glob("*.safetensors")
data = bytearray(file.read_bytes())
begin = 8 + int.from_bytes(data[:8], "little")
data[begin:] = b"\xc0\x7f" * ((len(data) - begin) // 2)
file.write_bytes(data)
END
try $command nan --tokens 1
try mbc-run generate p.mbcp --weights "$2" --prompt Hello --max-new-tokens 60
echo the end
