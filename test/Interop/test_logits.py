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

CASES = {
    "llama": ("Llama", {}),
    "llama-tied": ("Llama", dict(tie_word_embeddings=True)),
    "llama-biases": ("Llama", dict(attention_bias=True, mlp_bias=True)),
    "llama-one-kv-head": ("Llama", dict(num_key_value_heads=1)),
    "llama-no-groups": ("Llama", dict(num_key_value_heads=4)),
    "llama-head-dim": ("Llama", dict(head_dim=6)),
    "llama-odd": ("Llama", dict(vocab_size=131, num_hidden_layers=3, intermediate_size=83)),
    "llama-nine-heads": ("Llama", dict(hidden_size=72, num_attention_heads=9, num_key_value_heads=3)),
    "llama-linear": ("Llama", dict(rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.0))),
    "llama-llama3": ("Llama", dict(rope_parameters=LLAMA3)),
    "llama-yarn": ("Llama", dict(rope_parameters=YARN)),
    "qwen2": ("Qwen2", {}),
    "qwen2-tied": ("Qwen2", dict(tie_word_embeddings=True, num_key_value_heads=1)),
    "qwen2-odd": ("Qwen2", dict(vocab_size=131, intermediate_size=83)),
    "qwen3": ("Qwen3", dict(head_dim=16)),
    "qwen3-wide": ("Qwen3", dict(head_dim=32, num_key_value_heads=1, tie_word_embeddings=True)),
}


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


@pytest.mark.parametrize("length", [1, 17, 200])
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
        assert np.abs(mbc_logits(mbc, folder, tokens, tmp_path, "--chunk", chunk) - expected).max() <= bound


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
    return torch.nn.functional.cross_entropy(torch.from_numpy(logits[0, :-1]).double(), tokens[0, 1:]).exp().item()


def test_a_trained_model_on_text(mbc, smollm2, tmp_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(smollm2.source)
    tokens = tokenizer((ROOT / "LICENSE").read_text(), return_tensors="pt").input_ids[:, :512]
    with torch.no_grad():
        exact, rounded = (
            transformers.AutoModelForCausalLM.from_pretrained(smollm2.source, dtype=dtype, attn_implementation="eager")
            .eval()(tokens).logits.float().numpy()
            for dtype in (torch.float32, torch.bfloat16)
        )
    found = mbc_logits(mbc, smollm2.source, tokens, tmp_path)
    assert np.abs(found - exact).max() <= 2e-5 * np.abs(exact).max()
    assert np.array_equal(mbc_logits(mbc, smollm2.megatron, tokens, tmp_path), found)
    ours = mbc_logits(mbc, smollm2.source, tokens, tmp_path, "--dtype", "bfloat16")
    assert abs(perplexity(ours, tokens) / perplexity(rounded, tokens) - 1) <= 1e-3
