"""`mbc logits` against transformers' eager fp32 logits: at most 1e-5 of the largest logit away."""

import numpy as np
import pytest
import torch
import transformers
from conftest import BASE, ROOT, write_model

LLAMA3 = dict(
    rope_type="llama3", rope_theta=10000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
    original_max_position_embeddings=64,
)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=64)

ROPES = {
    "default": dict(rope_type="default", rope_theta=10000.0),
    "linear": dict(rope_type="linear", rope_theta=10000.0, factor=2.0),
    "llama3": LLAMA3,
    "yarn": YARN,
    "dynamic": dict(rope_type="dynamic", rope_theta=10000.0, factor=2.0),
}

CASES = {
    "llama": ("Llama", {}),
    "llama-biases": ("Llama", dict(attention_bias=True, mlp_bias=True)),
    "llama-odd": ("Llama", dict(vocab_size=131, num_hidden_layers=3, intermediate_size=83)),
    "qwen2": ("Qwen2", {}),
    "qwen3": ("Qwen3", dict(head_dim=16)),
}


def odd(family, seed):
    """Sizes that nothing divides, each kind of grouping and of rope, drawn from a seed."""
    random = np.random.default_rng([seed, *family.encode()])

    def pick(*options):
        return options[random.integers(len(options))]

    kv_heads = int(pick(1, 2, 3))
    group = 1 if seed % 3 == 0 else int(pick(2, 3, 5))
    changes = dict(
        hidden_size=kv_heads * group * int(random.integers(3, 20)),  # transformers wants a multiple
        num_attention_heads=kv_heads * group,
        num_key_value_heads=kv_heads,
        head_dim=int(pick(4, 6, 10, 16, 34)),
        intermediate_size=int(random.integers(17, 120)),
        num_hidden_layers=int(pick(1, 2, 3)),
        vocab_size=int(random.integers(50, 400)),
        tie_word_embeddings=bool(seed % 2),
        rope_parameters=ROPES[list(ROPES)[seed % len(ROPES)]],
    )
    if family == "Llama":
        changes |= dict(attention_bias=bool(pick(0, 1)), mlp_bias=bool(pick(0, 1)))
    if family == "Qwen2":  # it has no head_dim
        changes["hidden_size"] = kv_heads * group * changes.pop("head_dim")
    if family == "Qwen3":
        changes["attention_bias"] = bool(pick(0, 1))
    return family, changes


for family in ("Llama", "Qwen2", "Qwen3"):
    for seed in range(10):
        CASES[f"{family.lower()}-{seed}"] = odd(family, seed)


def mbc_logits(mbc, folder, tokens, scratch, *options):
    np.save(scratch / "tokens.npy", tokens.numpy())
    mbc("logits", folder, "--tokens", scratch / "tokens.npy", "-o", scratch / "logits.npy", "--quiet", *options)
    return np.load(scratch / "logits.npy")


@pytest.fixture(scope="module", params=CASES)
def model(request, tmp_path_factory):
    architecture, changes = CASES[request.param]
    folder = write_model(
        tmp_path_factory.mktemp(request.param) / "hf", sum(request.param.encode()), architecture, changes, "float32"
    )
    loaded = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    return folder, loaded


@pytest.mark.parametrize("length", [1, 17, 512])
def test_logits_are_those_of_transformers(mbc, model, length, tmp_path):
    folder, loaded = model
    generator = torch.Generator().manual_seed(length)
    tokens = torch.randint(loaded.config.vocab_size, (2, length), generator=generator)
    with torch.no_grad():
        expected = loaded(tokens).logits.numpy()
    found = mbc_logits(mbc, folder, tokens, tmp_path)
    assert found.shape == expected.shape and found.dtype == np.float32
    bound = 1e-5 * np.abs(expected).max()
    assert np.abs(found - expected).max() <= bound
    # In chunks, and token by token: through the state.
    for chunk in (64, 1):
        found = mbc_logits(mbc, folder, tokens, tmp_path, "--chunk", chunk)
        assert np.abs(found - (in_chunks(loaded, tokens, chunk) if is_dynamic(loaded) else expected)).max() <= bound


def is_dynamic(loaded):
    """Whether the angles of a token depend on those that come later in the same call."""
    return loaded.config.rope_parameters["rope_type"] == "dynamic"


def in_chunks(loaded, tokens, chunk):
    """The logits with a cache, each sequence in a model that has seen no other."""
    pieces = []
    for sequence in tokens:
        rope = loaded.model.rotary_emb
        rope.max_seq_len_cached = rope.original_max_seq_len
        rope.register_buffer("inv_freq", rope.original_inv_freq, persistent=False)
        past = transformers.DynamicCache(config=loaded.config)
        with torch.no_grad():
            pieces.append(torch.cat([
                loaded(part[None], past_key_values=past, use_cache=True).logits[0] for part in sequence.split(chunk)
            ]))
    return torch.stack(pieces).numpy()


def test_packed_sequences_are_those_alone(mbc, model, tmp_path):
    folder, loaded = model
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(loaded.config.vocab_size, (9, 23), generator=generator)
    # In one call, four in a call, and one after another in parts.
    together = mbc_logits(mbc, folder, tokens, tmp_path)
    for chunk in (100, 512):
        assert np.array_equal(mbc_logits(mbc, folder, tokens, tmp_path, "--chunk", chunk), together)
    for i in (0, 3, 8):
        assert np.array_equal(mbc_logits(mbc, folder, tokens[i : i + 1], tmp_path)[0], together[i])


def test_values_of_layers_are_those_of_transformers(mbc, model, tmp_path):
    folder, loaded = model
    tokens = torch.randint(loaded.config.vocab_size, (2, 70), generator=torch.Generator().manual_seed(4))
    seen = {"decoder.attn": [], "decoder.mlp": []}
    hooks = []
    for layer in loaded.model.layers:
        hooks += [
            layer.self_attn.register_forward_hook(lambda module, inputs, out: seen["decoder.attn"].append(out[0])),
            layer.mlp.register_forward_hook(lambda module, inputs, out: seen["decoder.mlp"].append(out)),
        ]
    with torch.no_grad():
        out = loaded(tokens, output_hidden_states=True)
    for hook in hooks:
        hook.remove()
    # The last of the hidden states has the norm after the stack in it.
    seen["decoder"] = list(out.hidden_states[1:-1])
    alone = mbc_logits(mbc, folder, tokens, tmp_path)
    logits = mbc_logits(
        mbc, folder, tokens, tmp_path, "--chunk", 64, *(part for name in seen for part in ("--tap", name)),
        "--tap", "rms_norm", "--tap", "embedding",
    )
    assert np.array_equal(logits, alone)  # looking changes nothing
    for name, layers in seen.items():
        found = np.load(tmp_path / f"logits.{name}.npy")
        assert found.shape == (2, 70, loaded.config.num_hidden_layers, loaded.config.hidden_size)
        for i, expected in enumerate(layers):
            expected = expected.numpy()
            assert np.abs(found[:, :, i] - expected).max() <= 1e-5 * np.abs(expected).max(), (name, i)
    for name, expected in (("embedding", out.hidden_states[0]), ("rms_norm", out.hidden_states[-1])):
        found, expected = np.load(tmp_path / f"logits.{name}.npy"), expected.numpy()[:, :, None]
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max(), name


def test_same_bits_from_either_format_and_for_any_threads(mbc, model, tmp_path):
    folder, loaded = model
    tokens = torch.randint(loaded.config.vocab_size, (1, 40), generator=torch.Generator().manual_seed(1))
    expected = mbc_logits(mbc, folder, tokens, tmp_path, "--threads", 1)
    mbc("import", folder, "-o", tmp_path / "megatron", "--tp", 1, "--pp", 2 if loaded.config.num_hidden_layers % 2 == 0 else 1)
    for source in (folder, tmp_path / "megatron"):
        assert np.array_equal(mbc_logits(mbc, source, tokens, tmp_path, "--threads", 3), expected)


def test_sixteen_bit_types_are_near(mbc, model, tmp_path):
    folder, loaded = model
    tokens = torch.randint(loaded.config.vocab_size, (1, 40), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        exact = loaded(tokens).logits.numpy()
        for dtype in ("bfloat16", "float16"):
            theirs = loaded.to(getattr(torch, dtype))(tokens).logits.float().numpy()
            loaded.to(torch.float32)
            ours = mbc_logits(mbc, folder, tokens, tmp_path, "--dtype", dtype)
            # Weights are rounded alike; values between operations more often there.
            assert np.abs(ours - exact).mean() <= 1.2 * np.abs(theirs - exact).mean()


def test_wrong_tokens_are_refused(mbc, model, tmp_path):
    folder, loaded = model
    beyond = str(loaded.config.vocab_size)
    for tokens, why in ((beyond, "outside of the vocabulary"), ("1,x", "1,x: cannot open"), ("1,,2", "is no token")):
        said = mbc("logits", folder, "--tokens", tokens, "-o", tmp_path / "logits.npy", status=2)
        assert why in said, said
        assert not (tmp_path / "logits.npy").exists() and not list(tmp_path.glob("*partial*"))


def perplexity(logits, tokens):
    predicted = torch.from_numpy(logits[:, :-1]).double().flatten(0, 1)
    return torch.nn.functional.cross_entropy(predicted, tokens[:, 1:].flatten()).exp().item()


def test_a_trained_model_on_text(mbc, smollm2, tmp_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(smollm2.source)
    # Of 512 tokens, two ways to round differ by 0.1 % in perplexity by chance.
    text = "".join((ROOT / name).read_text() for name in ("LICENSE", "THIRD_PARTY.md", "README.md"))
    tokens = tokenizer(text, return_tensors="pt").input_ids[:, : 8 * 512].reshape(8, 512)
    exact, rounded = (
        transformers.AutoModelForCausalLM.from_pretrained(
            smollm2.source, dtype=dtype, attn_implementation="eager"
        ).eval()
        for dtype in (torch.float32, torch.bfloat16)
    )
    with torch.no_grad():
        truth = torch.cat([exact(window[None]).logits for window in tokens]).numpy()
        expected = truth[:1]
        theirs = torch.cat([rounded(window[None]).logits.float() for window in tokens]).numpy()
    found = mbc_logits(mbc, smollm2.source, tokens[:1], tmp_path)
    assert np.abs(found - expected).max() <= 2e-5 * np.abs(expected).max()
    assert np.array_equal(mbc_logits(mbc, smollm2.megatron, tokens[:1], tmp_path), found)
    ours = mbc_logits(mbc, smollm2.source, tokens, tmp_path, "--dtype", "bfloat16")
    # Nearer to float32 than transformers' own rounding, or as near as chance allows: which of the two is nearer in perplexity
    # hangs on the text.
    found, other = (abs(perplexity(logits, tokens) / perplexity(truth, tokens) - 1) for logits in (ours, theirs))
    assert found <= max(1e-3, other)
    assert np.abs(ours - truth).mean() <= 1.05 * np.abs(theirs - truth).mean()
