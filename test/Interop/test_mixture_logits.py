"""`mbc logits` of routed experts and latent attention against transformers' eager fp32 logits.

A row whose choice of experts hangs on less than 1e-5 of a score may go the other way, and is counted apart: transformers
leaves the order of ties open, and both sum in float32."""

import numpy as np
import pytest
import torch
import transformers
from conftest import LATENT, SPARSE, V2, V3, change_weights, router_bias_in_fp32, write_model
from test_logits import ROPES, in_chunks, is_dynamic, mbc_logits

MARGIN = 1e-5
STRETCHED = dict(
    rope_type="yarn", rope_theta=10000.0, factor=8.0, beta_fast=32.0, beta_slow=1.0, original_max_position_embeddings=64,
)


def pick(random, *options):
    return options[random.integers(len(options))]


def sparse(seed):
    """Qwen3-MoE: every kind of layer list, experts that all take part, a lone expert."""
    random = np.random.default_rng([seed, 3])
    kv_heads = int(pick(random, 1, 2, 3))
    heads = kv_heads * (1 if seed % 3 == 0 else int(pick(random, 2, 3, 5)))
    experts = 1 if seed == 7 else int(random.integers(2, 14))
    layers = int(pick(random, 2, 3, 4))
    changes = SPARSE | dict(
        hidden_size=heads * int(random.integers(3, 20)),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=int(pick(random, 4, 6, 10, 16, 34)),
        intermediate_size=int(random.integers(17, 120)),
        moe_intermediate_size=int(random.integers(5, 60)),
        num_hidden_layers=layers,
        num_experts=experts,
        num_experts_per_tok=experts if seed in (2, 7) else int(random.integers(1, min(experts, 5) + 1)),
        norm_topk_prob=bool(seed % 2),
        vocab_size=int(random.integers(50, 400)),
        tie_word_embeddings=bool(random.integers(2)),
        attention_bias=bool(random.integers(2)),
        rope_parameters=ROPES[list(ROPES)[seed % len(ROPES)]],
        mlp_only_layers=[0] if seed == 4 else ([1] if seed == 5 else []),
        decoder_sparse_step=2 if seed == 6 else 1,
    )
    return "Qwen3Moe", changes, None


def latent(family, seed):
    """DeepSeek: with and without a low rank of queries, groups, one expert a group, dense layers first or in between."""
    random = np.random.default_rng([seed, *family.encode()])
    heads = int(pick(random, 1, 2, 3, 5))
    groups = int(pick(random, 1, 2, 4))
    # transformers asks each group of V3 for its two best
    size = 1 if family == "DeepseekV2" and seed == 3 else int(random.integers(2, 6))
    chosen = int(random.integers(1, groups + 1))
    rope = dict(rope_type="default", rope_theta=10000.0)
    if seed % 2:
        rope = STRETCHED | ({}, dict(mscale=1.0, mscale_all_dim=1.0), dict(mscale=0.7, mscale_all_dim=1.3))[seed // 2 % 3]
    changes = LATENT | dict(
        hidden_size=heads * int(random.integers(10, 40)),  # transformers wants a multiple
        intermediate_size=int(random.integers(17, 120)),
        moe_intermediate_size=int(random.integers(5, 60)),
        num_attention_heads=heads,
        num_key_value_heads=heads,
        q_lora_rank=None if seed % 3 == 0 else int(random.integers(5, 40)),
        kv_lora_rank=2 * int(random.integers(3, 20)),  # transformers sees pairs behind it as complex numbers
        qk_nope_head_dim=2 * int(random.integers(2, 15)),
        qk_rope_head_dim=2 * int(random.integers(1, 12)),
        v_head_dim=int(random.integers(3, 30)),
        num_hidden_layers=int(pick(random, 2, 3, 4)),
        first_k_dense_replace=0 if seed == 1 else int(pick(random, 1, 2)),
        n_routed_experts=groups * size,
        n_shared_experts=int(pick(random, 1, 2)),
        n_group=groups,
        topk_group=chosen,
        num_experts_per_tok=chosen * size if seed == 2 else int(random.integers(1, chosen * size + 1)),
        routed_scaling_factor=float(pick(random, 1.0, 2.5)),
        vocab_size=int(random.integers(50, 400)),
        rope_parameters=rope,
    )
    if family == "DeepseekV2":
        changes |= dict(norm_topk_prob=False, topk_method="group_limited_greedy" if groups > 1 else "greedy")
        return family, changes, None
    changes |= dict(norm_topk_prob=bool(seed % 2), scoring_func="sigmoid", topk_method="noaux_tc", num_nextn_predict_layers=0)
    return family, changes, uneven_correction


def uneven_correction(folder):
    """A correction that changes choices, in float32 as the hub has it."""
    router_bias_in_fp32(folder)

    def change(weights):
        generator = torch.Generator().manual_seed(9)
        for name in weights:
            if name.endswith("e_score_correction_bias"):
                weights[name] = torch.rand(weights[name].shape, generator=generator) * 0.2

    change_weights(folder, change)


CASES = {f"qwen3_moe-{seed}": sparse(seed) for seed in range(10)}
CASES |= {f"{family.lower()}-{seed}": latent(family, seed) for family in ("DeepseekV2", "DeepseekV3") for seed in range(10)}
CASES |= {"deepseekv2": ("DeepseekV2", V2, None), "deepseekv3": ("DeepseekV3", V3, uneven_correction)}


class Margins:
    """Of each token the least distance between a chosen expert's score and the next one's, over all layers."""

    def __init__(self, loaded):
        self.loaded, self.hooks, self.least = loaded, [], None

    def __enter__(self):
        self.least = None
        for module in self.loaded.modules():
            if hasattr(module, "top_k") and hasattr(module, "weight"):
                self.hooks.append(module.register_forward_hook(self.see))
        return self

    def __exit__(self, *failure):
        for hook in self.hooks:
            hook.remove()

    def see(self, router, inputs, out):
        logits = torch.nn.functional.linear(inputs[0].flatten(0, -2).float(), router.weight.float())
        sigmoid = hasattr(router, "e_score_correction_bias")
        scores = logits.sigmoid() + router.e_score_correction_bias if sigmoid else logits.softmax(-1)
        values = scores.sort(-1, descending=True).values
        gaps = (values[:, :-1] - values[:, 1:]).min(-1).values if values.shape[1] > 1 else torch.ones(len(values))
        self.least = gaps if self.least is None else torch.minimum(self.least, gaps)


# Three of each family in the short run.
PARAMS = [pytest.param(name, marks=[pytest.mark.full] if name[-2:] in {f"-{i}" for i in range(3, 10)} else []) for name in CASES]


@pytest.fixture(scope="module", params=PARAMS)
def model(request, tmp_path_factory):
    architecture, changes, fix = CASES[request.param]
    folder = write_model(
        tmp_path_factory.mktemp(request.param) / "hf", sum(request.param.encode()), architecture, changes, "float32"
    )
    if fix:
        fix(folder)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager"
    ).eval()
    return folder, loaded


def distance(found, expected, clear):
    """Of the rows that are clear, in units of the largest logit."""
    off = np.abs(found - expected).max(-1)[clear]
    return (off.max() if off.size else 0.0) / np.abs(expected).max()


@pytest.mark.parametrize("length", [1, 17, 512])
def test_logits_are_those_of_transformers(mbc, model, length, tmp_path, record_property):
    folder, loaded = model
    bound = 3e-5 if "Deepseek" in type(loaded).__name__ else 1e-5
    tokens = torch.randint(loaded.config.vocab_size, (2, length), generator=torch.Generator().manual_seed(length))
    with torch.no_grad(), Margins(loaded) as margins:
        expected = loaded(tokens).logits.numpy()
    clear = np.ones(tokens.shape, bool)
    if margins.least is not None:
        # What follows a token that went another way has seen it.
        unclear = (margins.least.reshape(tokens.shape) < MARGIN).numpy()
        clear = ~np.logical_or.accumulate(unclear, axis=1)
        record_property("rows", int(clear.size))
        record_property("unclear", int((~clear).sum()))
    found = mbc_logits(mbc, folder, tokens, tmp_path)
    assert found.shape == expected.shape and found.dtype == np.float32
    whole = distance(found, expected, clear)
    record_property("error", float(whole))
    assert whole <= bound
    for chunk in (64, 1):
        found = mbc_logits(mbc, folder, tokens, tmp_path, "--chunk", chunk)
        reference = in_chunks(loaded, tokens, chunk) if is_dynamic(loaded) else expected
        assert distance(found, reference, clear) <= bound, chunk


def test_packed_sequences_are_those_alone(mbc, model, tmp_path):
    folder, loaded = model
    tokens = torch.randint(loaded.config.vocab_size, (3, 100), generator=torch.Generator().manual_seed(3))
    # The form of an attention over latents is of the chunk: of one form, a row has the same bits in any company.
    for chunk in (16, 128):
        together = mbc_logits(mbc, folder, tokens, tmp_path, "--chunk", chunk)
        for i in (0, 2):
            alone = mbc_logits(mbc, folder, tokens[i : i + 1], tmp_path, "--chunk", chunk)
            assert np.array_equal(alone[0], together[i])


def test_same_bits_from_either_format_and_for_any_threads(mbc, model, tmp_path):
    folder, loaded = model
    tokens = torch.randint(loaded.config.vocab_size, (1, 40), generator=torch.Generator().manual_seed(1))
    expected = mbc_logits(mbc, folder, tokens, tmp_path, "--threads", 1)
    mbc("import", folder, "-o", tmp_path / "megatron")
    mbc("import", folder, "-o", tmp_path / "legacy", "--ckpt-format", "torch")
    for source in (folder, tmp_path / "megatron", tmp_path / "legacy"):
        assert np.array_equal(mbc_logits(mbc, source, tokens, tmp_path, "--threads", 3), expected)


def test_sixteen_bit_types_are_near(mbc, model, tmp_path):
    folder, loaded = model
    tokens = torch.randint(loaded.config.vocab_size, (1, 40), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        exact = loaded(tokens).logits.numpy()
        theirs = loaded.to(torch.bfloat16)(tokens).logits.float().numpy()
        loaded.to(torch.float32)
    ours = mbc_logits(mbc, folder, tokens, tmp_path, "--dtype", "bfloat16")
    # Where a choice of experts differs, a row is far off, on either side, and so are those after it. Of the 40 rows here half
    # may be, by chance on one side more than on the other.
    assert np.median(np.abs(ours - exact)) <= 1.5 * np.median(np.abs(theirs - exact))
