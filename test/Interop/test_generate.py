"""`mbc generate` against transformers: the same tokens, and a sampler that does the same to logits."""

import json
import subprocess

import numpy as np
import pytest
import torch
import transformers
from conftest import MBC, ROOT, write_model
from test_logits import CASES, odd

PROMPTS = [
    "What is the capital of France? Answer in one sentence.",
    "Write a haiku about rivers.",
    "def fibonacci(n):",
    "Explain how a bicycle stays upright.",
    "Count from 1 to 20 in words.",
    "Übersetze ins Deutsche: the weather is nice today.",
    "List three uses of a paper clip.",
    "Who wrote Hamlet?",
    "1, 1, 2, 3, 5, 8,",
    "Tell me a joke about a cat 🐈.",
    "What does HTTP status 404 mean?",
    "Summarise the plot of Romeo and Juliet.",
    "SELECT name FROM users WHERE",
    "What is 17 times 23?",
    "Give me a recipe for pancakes.",
    "日本の首都はどこですか?",
    "Why is the sky blue?",
    "Once upon a time",
    "The three laws of thermodynamics are",
    "Translate to French: good morning.",
]


def generate(mbc, source, prompts, scratch, *options):
    """The results of prompts, each a dict as a line of --prompts-file has it."""
    (scratch / "in.jsonl").write_text("".join(json.dumps(prompt) + "\n" for prompt in prompts))
    mbc("generate", source, "--prompts-file", scratch / "in.jsonl", "-o", scratch / "out.jsonl", "--quiet", *options)
    results = [json.loads(line) for line in (scratch / "out.jsonl").read_text().splitlines()]
    assert len(results) == len(prompts)
    return results


def tokens_of(results):
    return [result["tokens"] for result in results]


def expected_tokens(model, prompt, count, **options):
    """transformers' greedy continuation, without another model's memory of long ropes."""
    rope = model.model.rotary_emb
    if model.config.rope_parameters["rope_type"] == "dynamic":
        rope.max_seq_len_cached = rope.original_max_seq_len
        rope.register_buffer("inv_freq", rope.original_inv_freq, persistent=False)
    ids = torch.tensor([prompt])
    with torch.no_grad():
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False, pad_token_id=0,
            **options,
        )
    return out[0, len(prompt) :].tolist()


def load(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()


@pytest.fixture(scope="module")
def smollm2_model(smollm2):
    return load(smollm2.source), transformers.AutoTokenizer.from_pretrained(smollm2.source)


@pytest.mark.parametrize(
    "chat", [False, pytest.param(True, marks=pytest.mark.full)], ids=["text", "chat"]
)
@pytest.mark.parametrize(
    "part", [slice(0, 6), pytest.param(slice(6, 20), marks=pytest.mark.full)], ids=["some", "rest"]
)
def test_greedy_text_is_that_of_transformers(mbc, smollm2, smollm2_model, chat, part, tmp_path):
    model, tokenizer = smollm2_model
    prompts = PROMPTS[part]
    found = generate(
        mbc, smollm2.source, [dict(prompt=prompt) for prompt in prompts], tmp_path,
        "--dtype", "float32", "--max-new-tokens", 64, *(["--chat"] if chat else []),
    )
    for prompt, result in zip(prompts, found):
        if chat:
            ids = tokenizer.apply_chat_template(
                [dict(role="user", content=prompt)], add_generation_prompt=True, return_dict=True
            )["input_ids"]
        else:
            ids = tokenizer(prompt)["input_ids"]
        expected = expected_tokens(model, ids, 64)
        assert result["prompt_tokens"] == len(ids)
        assert result["tokens"] == expected, prompt
        assert result["text"] == tokenizer.decode(expected, skip_special_tokens=True)
        assert result["finish_reason"] == ("stop_token" if expected[-1] == 2 else "length")


def test_either_format_and_any_company_give_the_same_tokens(mbc, smollm2, tmp_path):
    random = np.random.default_rng(1)
    prompts = [
        dict(id=i, tokens=random.integers(3, 49152, size).tolist()) for i, size in enumerate((1, 40, 7, 90, 3, 15, 60, 2))
    ]
    options = ("--dtype", "float32", "--max-new-tokens", 24, "--ignore-eos")
    together = generate(mbc, smollm2.source, prompts, tmp_path, *options)
    assert [result["id"] for result in together] == list(range(8))
    assert all(len(result["tokens"]) == 24 for result in together)
    alone = generate(mbc, smollm2.source, prompts, tmp_path, *options, "--sequences", 1, "--threads", 1)
    assert tokens_of(alone) == tokens_of(together)
    # Prompts in pieces, beside sequences that go on.
    pieces = generate(mbc, smollm2.source, prompts, tmp_path, *options, "--sequences", 3, "--chunk", 16)
    assert tokens_of(pieces) == tokens_of(together)
    mbc("reshard", smollm2.megatron, "-o", tmp_path / "legacy", "--format", "torch", "--tp", 3, "--pp", 2)
    for source in (smollm2.megatron, tmp_path / "legacy"):
        assert tokens_of(generate(mbc, source, prompts, tmp_path, *options)) == tokens_of(together)
    run = [MBC.with_name("mbc-run"), "generate", tmp_path / "p.mbcp", "--weights", smollm2.megatron]
    mbc("compile", smollm2.source, "-o", tmp_path / "p.mbcp", "--sequences", "4", "--chunk", "64", "--quiet")
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(prompt) + "\n" for prompt in prompts))
    subprocess.run(
        [str(part) for part in (*run, "--prompts-file", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--quiet",
                                "--max-new-tokens", 24, "--ignore-eos")],
        check=True, timeout=300,
    )
    assert [json.loads(line)["tokens"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == tokens_of(together)


def test_what_was_computed_is_not_computed_again(mbc, smollm2, tmp_path):
    options = ("--max-new-tokens", 12, "--ignore-eos", "--sequences", 1)
    first = dict(tokens=[504, 3575, 282, 4649, 314, 260, 1507, 30] * 4)
    [answer] = generate(mbc, smollm2.source, [first], tmp_path, *options)
    # A turn of a conversation: the first with its answer, and more.
    turn = dict(tokens=first["tokens"] + answer["tokens"] + [198, 504])
    [alone] = generate(mbc, smollm2.source, [turn], tmp_path, *options)
    assert alone["reused_tokens"] == 0
    again = generate(mbc, smollm2.source, [dict(first, max_new_tokens=12), turn, turn, first], tmp_path, *options)
    assert [result["reused_tokens"] for result in again] == [0, 32 + 11, 32 + 12 + 1, 32 - 1]
    assert tokens_of(again) == tokens_of([answer, alone, alone, answer])


def test_a_seed_decides_the_text_alone(mbc, smollm2, tmp_path):
    prompts = [dict(tokens=[504, 3575, 282, 100 + i], seed=i % 4) for i in range(10)]
    prompts[9] = dict(prompts[0])
    options = ("--max-new-tokens", 16, "--temperature", 1.2, "--top-p", 0.95, "--ignore-eos", "--logprobs", 2)
    first = generate(mbc, smollm2.source, prompts, tmp_path, *options)
    again = generate(mbc, smollm2.source, prompts, tmp_path, *options, "--threads", 1, "--sequences", 2)
    assert tokens_of(first) == tokens_of(again)
    assert first[0]["tokens"] == first[9]["tokens"]
    changed = generate(mbc, smollm2.source, [prompt | dict(seed=77) for prompt in prompts], tmp_path, *options)
    assert sum(a != b for a, b in zip(tokens_of(first), tokens_of(changed))) >= 9
    for result in first:
        for token, logprob, top in zip(result["tokens"], result["logprobs"], result["top_logprobs"]):
            best = [entry["logprob"] for entry in top]
            assert best == sorted(best, reverse=True) and logprob <= best[0]
            assert all(entry["logprob"] == logprob for entry in top if entry["token"] == token)


def test_stop_strings_cut_the_text_wherever_tokens_do(mbc, smollm2, tmp_path):
    prompt = dict(messages=[dict(role="user", content="Count from 1 to 20 in words.")])
    options = ("--dtype", "float32", "--max-new-tokens", 48)
    [whole] = generate(mbc, smollm2.source, [prompt], tmp_path, *options)
    text = whole["text"]
    assert len(text) > 40
    # Every stretch of 1 to 12 characters at some places, so in the middle of tokens too.
    stops = [text[at : at + size] for at in (3, 10, 17, 24, 31) for size in (1, 4, 12)]
    found = generate(mbc, smollm2.source, [prompt | dict(stop=stop) for stop in stops], tmp_path, *options)
    for stop, result in zip(stops, found):
        assert result["text"] == text[: text.index(stop)], stop
        assert result["finish_reason"] == "stop_string"
        assert whole["tokens"][: len(result["tokens"])] == result["tokens"]


FAMILIES = {
    name: CASES[name] for name in ("llama", "llama-biases", "llama-odd", "qwen2", "qwen3")
} | {f"{family.lower()}-{seed}": odd(family, seed) for family in ("Llama", "Qwen2", "Qwen3") for seed in range(5)}


@pytest.mark.parametrize("name", FAMILIES)
def test_families_continue_as_transformers(mbc, name, tmp_path):
    architecture, changes = FAMILIES[name]
    folder = write_model(tmp_path / "hf", sum(name.encode()), architecture, changes, "float32")
    model = load(folder)
    random = np.random.default_rng(sum(name.encode()))
    prompts = [random.integers(model.config.vocab_size, size=size).tolist() for size in (1, 5, 33)]
    found = generate(
        mbc, folder, [dict(tokens=prompt) for prompt in prompts], tmp_path, "--max-new-tokens", 40, "--ignore-eos",
    )
    penalty = generate(
        mbc, folder, [dict(tokens=prompt) for prompt in prompts], tmp_path, "--max-new-tokens", 40, "--ignore-eos",
        "--repetition-penalty", 1.3,
    )
    for prompt, result, changed in zip(prompts, found, penalty):
        assert result["tokens"] == expected_tokens(model, prompt, 40, eos_token_id=[])
        assert changed["tokens"] == expected_tokens(model, prompt, 40, eos_token_id=[], repetition_penalty=1.3)


# The sampler ---------------------------------------------------------------------------------------------------------


def settings(random):
    """Some of the settings, each in its range and at its ends."""

    def maybe(value):
        return value if random.random() < 0.6 else None

    made = dict(
        do_sample=bool(random.random() < 0.9),
        temperature=maybe(float(random.choice([0.1, 0.7, 1.0, 1.3, 5.0, random.uniform(0.05, 3)]))),
        top_k=maybe(int(random.choice([0, 1, 2, 5, 50, 400, 100000]))),
        top_p=maybe(float(random.choice([1e-6, 0.1, 0.5, 0.9, 0.999, 1.0, random.uniform(0.01, 1)]))),
        min_p=maybe(float(random.choice([0.0, 1e-3, 0.05, 0.5, 1.0, random.uniform(0, 1)]))),
        repetition_penalty=maybe(float(random.choice([0.5, 1.0, 1.1, 2.0, random.uniform(0.3, 3)]))),
    )
    return {name: value for name, value in made.items() if value is not None}


def random_logits(random, vocabulary):
    logits = random.normal(size=vocabulary).astype(np.float32) * np.float32(random.choice([0.01, 1, 5, 30]))
    kind = random.integers(5)
    if kind == 0:  # many ties
        logits = np.round(logits)
    elif kind == 1:  # impossible tokens
        logits[random.random(vocabulary) < random.choice([0.1, 0.9])] = -np.inf
        logits[random.integers(vocabulary)] = 1
    elif kind == 2:  # all alike
        logits[:] = logits[0]
    return logits


def warped(case, logits):
    """What transformers' generate makes of the logits."""
    processors = transformers.generation.GenerationMixin._get_logits_processor
    options = dict(do_sample=False, temperature=1.0, top_k=0, top_p=1.0, min_p=None, repetition_penalty=1.0)
    config = transformers.GenerationConfig(**options | {name: value for name, value in case.items() if name != "text"})
    mixin = transformers.LlamaForCausalLM.__new__(transformers.LlamaForCausalLM)
    torch.nn.Module.__init__(mixin)
    mixin.config = transformers.LlamaConfig()
    ids = torch.tensor([case["text"]], dtype=torch.long)
    for processor in processors(mixin, config, input_ids_seq_length=ids.shape[1], logits_processor=[]):
        logits = processor(ids, logits)
    return logits


def test_the_sampler_does_to_logits_what_transformers_does(tmp_path):
    random = np.random.default_rng(5)
    vocabulary, cases, rows = 701, [], []
    for _ in range(600):
        cases.append(settings(random) | dict(text=random.integers(vocabulary, size=random.integers(1, 60)).tolist()))
        rows.append(random_logits(random, vocabulary))
    (tmp_path / "cases.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases))
    done = subprocess.run(
        [str(MBC.with_name("sampler_tool")), str(tmp_path / "cases.jsonl"), str(vocabulary)],
        input=np.stack(rows).tobytes(), capture_output=True, check=True, timeout=100,
    )
    found = np.frombuffer(done.stdout, np.float32).reshape(len(cases), vocabulary)
    on_the_border = 0
    for case, row, ours in zip(cases, rows, found):
        theirs = warped(case, torch.from_numpy(row.copy())[None])[0].numpy()
        both = np.isfinite(theirs) & np.isfinite(ours)
        assert np.allclose(ours[both], theirs[both], rtol=1e-6, atol=0)
        one, other = np.isfinite(ours) & ~both, np.isfinite(theirs) & ~both
        if one.any() or other.any():
            # Of equal tokens torch.sort, which is not stable, lets any go first; and a token's share of the
            # probability may be the limit but for rounding.
            assert "top_p" in case or "min_p" in case, case
            values = np.concatenate([ours[one], theirs[other]])
            assert np.allclose(values, values[0], rtol=1e-6, atol=0), case
            assert abs(int(one.sum()) - int(other.sum())) <= 1, case
            on_the_border += one.sum() != other.sum()
        ours, theirs = (np.sort(part[np.isfinite(part)]) for part in (ours, theirs))
        if len(ours) == len(theirs):
            ours, theirs = (torch.log_softmax(torch.from_numpy(part).double(), 0) for part in (ours, theirs))
            assert torch.allclose(ours, theirs, rtol=0, atol=1e-4)
    assert on_the_border <= 6, on_the_border
