# same_program.sh CONFIGS: compiles models of that folder, prints each program and reads it again.
count=0
for model in Meta-Llama-3-8B Llama-3.2-1B Llama-3.1-405B Qwen2-7B Qwen2.5-0.5B Qwen3-8B Qwen3-30B-A3B DeepSeek-V2-Lite DeepSeek-V3; do
  for dtype in float16 bfloat16 float32; do
    mbc compile --config $1/$model.json -o $model.mbcp --dtype $dtype --chunk 512,3 --sequences 1,4 --overwrite --quiet
    mbc-translate --program-to-mlir $model.mbcp -o $model.mlir
    mbc-translate --mlir-to-program $model.mlir -o again.mbcp
    cmp $model.mbcp again.mbcp
    count=$((count + 1))
  done
done
echo "$count programs are the same"
