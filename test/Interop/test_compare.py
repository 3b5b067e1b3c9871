"""`mbc compare`: errors planted in small models of several families, in random layers, on the Hugging Face and on the
Megatron side, each of which must be located to its layer and operation; and models that do not differ, which must not be
found to. A layer is -1 for what is outside of layers. Mixtures of experts are in `test_compare_mixtures.py`."""

import json
import random
import runpy
import shutil

import numpy as np
import pytest
import torch
from checkpoints import save_with_pytorch
from conftest import LLAMA3_ROPE, ROOT, change_config, change_weights, write_model

write_reference = runpy.run_path(str(ROOT / "tools/reference_states.py"))["main"]

LAYERS = 4
# Rope's angles are small: with these positions a wrong one is seen.
TOKENS = [3, 99, 17, 42, 64, 5, 120, 77, 31, 8, 12, 101, 56, 23, 90, 2, 71, 33, 110, 47]

FAMILIES = {
    "llama": ("Llama", dict(num_hidden_layers=LAYERS)),
    "llama-biased": ("Llama", dict(num_hidden_layers=LAYERS, attention_bias=True, mlp_bias=True)),
    "llama-scaled": ("Llama", dict(num_hidden_layers=LAYERS, rope_parameters=LLAMA3_ROPE)),
    "llama-tied": ("Llama", dict(num_hidden_layers=LAYERS, tie_word_embeddings=True)),
    "qwen2": ("Qwen2", dict(num_hidden_layers=LAYERS)),
    "qwen3": ("Qwen3", dict(num_hidden_layers=LAYERS, head_dim=16)),
}


def layer_name(layer, name):
    return f"model.layers.{layer}.{name}.weight"


def exchange(weights, first, second):
    weights[first], weights[second] = weights[second].clone(), weights[first].clone()


def swapped_heads(projection, heads):
    def change(weights, layer, pick):
        weight = weights[layer_name(layer, f"self_attn.{projection}")]
        rows = weight.view(heads, -1, weight.shape[1])
        i, j = pick.sample(range(heads), 2)
        rows[[i, j]] = rows[[j, i]]

    return change


def gate_and_up(weights, layer, pick):
    exchange(weights, layer_name(layer, "mlp.gate_proj"), layer_name(layer, "mlp.up_proj"))


def k_and_v(weights, layer, pick):
    exchange(weights, layer_name(layer, "self_attn.k_proj"), layer_name(layer, "self_attn.v_proj"))


def two_layers(weights, layer, pick):
    for name in [name for name in weights if name.startswith(f"model.layers.{layer}.")]:
        exchange(weights, name, name.replace(f".{layer}.", f".{layer + 1}.", 1))


def ones(name):
    def change(weights, layer, pick):
        weights[layer_name(layer, name)].fill_(1)

    return change


def no_query_bias(weights, layer, pick):
    weights[f"model.layers.{layer}.self_attn.q_proj.bias"].zero_()


def no_down_bias(weights, layer, pick):
    weights[f"model.layers.{layer}.mlp.down_proj.bias"].zero_()


def transposed_output(weights, layer, pick):
    name = layer_name(layer, "self_attn.o_proj")
    weights[name] = weights[name].T.contiguous()


def transposed_block(weights, layer, pick):
    block = weights[layer_name(layer, "self_attn.o_proj")][8:24, 16:32]
    block.copy_(block.T.clone())


def zeroed_row(weights, layer, pick):
    weights[layer_name(layer, "mlp.down_proj")][7].zero_()


def scaled_up(weights, layer, pick):
    weights[layer_name(layer, "mlp.up_proj")] *= 2


def final_norm(weights, layer, pick):
    weights["model.norm.weight"] += 0.25


def head_rows(weights, layer, pick):
    head = weights["lm_head.weight"]
    head[[5, 9]] = head[[9, 5]]


def embedding_row(weights, layer, pick):
    weights["model.embed_tokens.weight"][TOKENS[4]] += 0.5


def one_element(weights, layer, pick):
    """By one unit in the last place."""
    bits = weights[layer_name(layer, "self_attn.v_proj")].view(torch.int16)
    bits[pick.randrange(bits.shape[0]), pick.randrange(bits.shape[1])] ^= 1


def pairs_of_meta(weights, layer, pick):
    """The order of rows in which the first Llama kept queries and keys: pairs beside each other."""
    for projection, heads in (("q_proj", 4), ("k_proj", 2)):
        name = layer_name(layer, f"self_attn.{projection}")
        rows = weights[name]
        weights[name] = rows.view(heads, 2, -1, rows.shape[1]).transpose(1, 2).reshape(rows.shape).contiguous()


def nan_in_norm(weights, layer, pick):
    weights[layer_name(layer, "post_attention_layernorm")][3] = float("nan")


def without_norms(folder):
    """Qwen3 as a Llama: the same but for the norms of queries and keys."""
    change_weights(folder, lambda weights: [weights.pop(name) for name in list(weights) if "q_norm" in name or "k_norm" in name])
    change_config(folder, lambda config: config.update(architectures=["LlamaForCausalLM"], model_type="llama"))


def other_head(folder):
    """A head of its own where the embedding should be it."""
    change_config(folder, lambda config: config.update(tie_word_embeddings=False))

    def change(weights):
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"].flip(0).contiguous()

    change_weights(folder, change)


def config(change):
    return lambda folder: change_config(folder, change)


def rope(**fields):
    return config(lambda config: config["rope_parameters"].update(fields))


def architecture(name):
    return config(lambda config: config.update(architectures=[name]))


# name -> (family, what is done to the weights of a layer or to the folder, operation, what must be said)
WEIGHTS = {
    "query heads exchanged": ("llama", swapped_heads("q_proj", 4), "decoder.attn.linear", "are exchanged"),
    "key heads exchanged": ("qwen2", swapped_heads("k_proj", 2), "decoder.attn.linear", "are exchanged"),
    "value heads exchanged": ("qwen3", swapped_heads("v_proj", 2), "decoder.attn.linear", "are exchanged"),
    "gate and up exchanged": ("llama", gate_and_up, "decoder.mlp.linear", "are exchanged"),
    "up scaled": ("qwen3", scaled_up, "decoder.mlp.linear", "up_proj"),
    "k and v exchanged": ("llama", k_and_v, "decoder.attn.linear", "are exchanged"),
    "layers exchanged": ("qwen2", two_layers, "decoder.rms_norm", "of decoder are exchanged"),
    "query norm lost": ("qwen3", ones("self_attn.q_norm"), "decoder.attn.rms_norm", "q_norm"),
    "key norm lost": ("qwen3", ones("self_attn.k_norm"), "decoder.attn.rms_norm1", "k_norm"),
    "query bias lost": ("qwen2", no_query_bias, "decoder.attn.linear", "q_proj.bias"),
    "down bias lost": ("llama-biased", no_down_bias, "decoder.mlp.linear1", "down_proj.bias"),
    "norm before attention": ("llama", ones("input_layernorm"), "decoder.rms_norm", "input_layernorm"),
    "norm before the MLP": ("qwen2", ones("post_attention_layernorm"), "decoder.rms_norm1", "post_attention_layernorm"),
    "output transposed": ("llama", transposed_output, "decoder.attn.linear1", "transposed"),
    "block of output transposed": ("qwen2", transposed_block, "decoder.attn.linear1", "o_proj"),
    "row of down zeroed": ("qwen3", zeroed_row, "decoder.mlp.linear1", "hidden 7 of 48"),
    "one bit": ("llama", one_element, "decoder.attn.linear", "1 of 1,152 elements differ"),
    "pairs as Meta had them": ("llama", pairs_of_meta, "decoder.attn.linear", "q_proj"),
    "NaN": ("qwen2", nan_in_norm, "decoder.rms_norm1", "post_attention_layernorm"),
}
OUTSIDE = {
    "final norm": ("llama", final_norm, "rms_norm", "model.norm.weight"),
    "rows of the head": ("qwen3", head_rows, "logits", "exchanged"),
    "row of the embedding": ("qwen2", embedding_row, "embedding", "positions 4 of 20"),
}
FOLDERS = {
    "theta": ("llama", rope(rope_theta=20000.0), 0, "decoder.attn.rope", "theta"),
    "theta of qwen": ("qwen3", rope(rope_theta=1000000.0), 0, "decoder.attn.rope", "theta"),
    "scaling factor": ("llama-scaled", rope(factor=4.0), 0, "decoder.attn.rope", "scaling.factor: 8.0 in A, 4.0 in B"),
    "scaling lost": (
        "llama-scaled", config(lambda config: config.update(rope_parameters=dict(rope_type="default", rope_theta=500000.0))),
        0, "decoder.attn.rope", "scaling",
    ),
    "epsilon": ("llama", config(lambda config: config.update(rms_norm_eps=1e-5)), 0, "decoder.rms_norm", "eps: 1e-06 in A, 1e-05 in B"),
    "no norms of heads": ("qwen3", without_norms, 0, "decoder.attn.rms_norm", "only A has this operation"),
    "a head of its own": ("llama-tied", other_head, -1, "logits", "tie_word_embeddings"),
    "attention scale": ("llama", architecture("ScaledForCausalLM"), 0, "decoder.attn.attention", "scale"),
    "sliding window": ("llama", architecture("WindowedForCausalLM"), 0, "decoder.attn.attention", "window"),
    "interleaved rope": ("llama", architecture("InterleavedForCausalLM"), 0, "decoder.attn.rope", "interleaved"),
}

# What the declaration of Llama says otherwise in families that nobody released.
DECLARED = {
    "Scaled": ("scale: 1 / sqrt(head_dim)", "scale: 1 / sqrt(heads)"),
    "Windowed": ("causal: true", "causal: true, window: 6"),
    "Interleaved": ("scaling: scaling)", "scaling: scaling, interleaved: true)"),
}


@pytest.fixture(scope="session")
def declarations(tmp_path_factory):
    """Llama with another attention, under architectures of their own."""
    folder = tmp_path_factory.mktemp("declarations")
    for kind in ("models", "mappings"):
        shutil.copytree(ROOT / kind, folder / "all" / kind)
    for name, (old, new) in DECLARED.items():
        for kind in ("models", "mappings"):
            (folder / kind).mkdir(exist_ok=True)
            text = (folder / "all" / kind / "llama.mbc").read_text()
            text = text.replace("Llama", name).replace('use "', f'use "/mbc/{kind}/')
            if kind == "models":
                text = text.replace(f"/mbc/{kind}/attention.mbc", f"{name.lower()}_attention.mbc")
                attention = (folder / "all" / kind / "attention.mbc").read_text()
                assert old in attention
                (folder / kind / f"{name.lower()}_attention.mbc").write_text(attention.replace(old, new))
            (folder / kind / f"{name.lower()}.mbc").write_text(text)
    return folder


@pytest.fixture(scope="session")
def originals(tmp_path_factory):
    made = {}

    def get(family):
        if family not in made:
            name, changes = FAMILIES[family]
            made[family] = write_model(tmp_path_factory.mktemp(family) / "hf", sum(family.encode()), name, changes)
        return made[family]

    return get


def compare(mbc, *arguments, status):
    return json.loads(mbc("compare", *arguments, "--json", "--quiet", status=status))


def as_checkpoint(mbc, folder, kind, scratch, *options):
    """The folder itself, or what is imported from it."""
    if kind == "folder":
        return folder
    layout = ("--format", "torch", "--tp", 2, "--pp", 2) if kind == "torch" else ("--pp", 2)
    mbc("import", folder, "-o", scratch / kind, "--quiet", *layout, *options)
    return scratch / kind


KINDS = ["folder", "torch_dist", "torch"]


def located(mbc, case, original, planted, scratch, *options):
    """The report on the two, in formats that the case decides."""
    number = sum(case.encode())
    a = as_checkpoint(mbc, original, KINDS[number % 3], scratch / "a")
    b = as_checkpoint(mbc, planted, KINDS[number // 3 % 3], scratch / "b", *options)
    return compare(mbc, a, b, "--tokens", ",".join(map(str, TOKENS)), *options, status=1)


def assert_found(report, layer, operation, said):
    assert not report["same"]
    [culprit, *_] = report["culprits"]
    assert (culprit.get("layer", -1), culprit["operation"]) == (layer, operation), report["verdict"]
    file, line, column = culprit["place"].rsplit(":", 2)
    assert file.endswith(".mbc") and int(line) > 0 and int(column) > 0
    assert said in json.dumps([culprit, report["weights"], report["config_differences"]])
    first = report["steps"][report["first"]]
    assert first.get("layer", -1) == layer
    assert all(step["agrees"] and step["errors"]["differing"] == 0 for step in report["steps"][: report["first"]])


@pytest.fixture
def folders(originals, tmp_path):
    def get(family):
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        planted = tmp_path / "planted"
        shutil.copytree(originals(family), planted)
        return originals(family), planted

    return get


@pytest.mark.parametrize("case", WEIGHTS)
def test_wrong_weights_of_a_layer(mbc, folders, case, tmp_path):
    family, change, operation, said = WEIGHTS[case]
    pick = random.Random(case)
    layer = pick.randrange(LAYERS - 1)
    original, planted = folders(family)
    change_weights(planted, lambda weights: change(weights, layer, pick))
    report = located(mbc, case, original, planted, tmp_path)
    assert_found(report, layer, operation, said)
    # The tensors of either side, in its own words.
    spelled = json.dumps(report["culprits"][0]["parameters"])
    for side in ("a", "b"):
        megatron = "Megatron" in report[side]["format"]
        assert ("decoder.layers" in spelled if megatron else f"model.layers.{layer}." in spelled), spelled


@pytest.mark.parametrize("case", OUTSIDE)
def test_wrong_weights_outside_of_layers(mbc, folders, case, tmp_path):
    family, change, operation, said = OUTSIDE[case]
    original, planted = folders(family)
    change_weights(planted, lambda weights: change(weights, None, None))
    assert_found(located(mbc, case, original, planted, tmp_path), -1, operation, said)


@pytest.mark.parametrize("case", FOLDERS)
def test_wrong_configurations(mbc, folders, declarations, case, tmp_path):
    family, change, layer, operation, said = FOLDERS[case]
    original, planted = folders(family)
    change(planted)
    options = ("--model-path", declarations) if case in ("attention scale", "sliding window", "interleaved rope") else ()
    report = located(mbc, case, original, planted, tmp_path, *options)
    assert_found(report, layer, operation, said)
    assert not report["same_programs"]
    if case == "no norms of heads":
        assert [culprit["operation"] for culprit in report["culprits"]] == ["decoder.attn.rms_norm", "decoder.attn.rms_norm1"]


def test_megatron_fused_in_another_order(mbc, folders, tmp_path):
    """All queries, then all keys, then all values, where Megatron has them group by group."""
    original, _ = folders("llama")
    mbc("import", original, "-o", tmp_path / "megatron", "--quiet")
    layer = random.Random(1).randrange(LAYERS)

    def change(tensors):
        fused = tensors["decoder.layers.self_attention.linear_qkv.weight"][layer]
        groups = fused.view(2, 4, 12, 48)  # two queries, a key and a value
        q, k, v = groups.split([2, 1, 1], dim=1)
        fused.copy_(torch.cat([part.reshape(-1, 48) for part in (q, k, v)]).clone())

    save_with_pytorch(tmp_path / "megatron", tmp_path / "wrong", change)
    report = compare(mbc, tmp_path / "megatron", tmp_path / "wrong", status=1)
    assert_found(report, layer, "decoder.attn.linear", f"decoder.layers.self_attention.linear_qkv.weight[{layer}]")


def test_two_errors_in_a_layer_are_both_named(mbc, folders, tmp_path):
    original, planted = folders("qwen3")

    def change(weights):
        ones("self_attn.k_norm")(weights, 2, None)
        scaled_up(weights, 2, None)
        k_and_v(weights, 3, None)

    change_weights(planted, change)
    report = compare(mbc, original, planted, status=1)
    assert [culprit["operation"] for culprit in report["culprits"]] == ["decoder.attn.rms_norm1"]
    assert "4 of" in report["weights"][0]  # which says of the others


def test_equal_models_are_equal(mbc, originals, tmp_path):
    for family in FAMILIES:
        source = originals(family)
        (tmp_path / family).mkdir()
        for kind in KINDS[1:]:
            report = compare(mbc, source, as_checkpoint(mbc, source, kind, tmp_path / family), status=0)
            assert report["same"] and report["same_programs"] and report["tolerance"] == 0
            assert all(step["errors"]["differing"] == 0 for step in report["steps"])
            assert report["logits"]["max_kl"] == 0 and report["culprits"] == []


@pytest.fixture
def wide(originals, tmp_path):
    """A model in bfloat16, and the same values in float32."""
    folder = tmp_path / "wide"
    shutil.copytree(originals("qwen2"), folder)
    change_weights(folder, lambda weights: weights.update({name: weight.float() for name, weight in weights.items()}))
    change_config(folder, lambda config: config.update(dtype="float32"))
    return originals("qwen2"), folder


def test_widened_weights_are_equal(mbc, wide):
    report = compare(mbc, *wide, status=0)
    assert report["tolerance"] == 0 and all(step["errors"]["differing"] == 0 for step in report["steps"])


def test_a_small_error_beside_widened_weights_is_found(mbc, wide):
    narrow, folder = wide
    change_weights(folder, lambda weights: weights[layer_name(1, "mlp.down_proj")].view(-1)[:1].mul_(1.001))
    report = compare(mbc, narrow, folder, status=1)
    assert_found(report, 1, "decoder.mlp.linear1", "1 of")


def test_rounded_weights_are_within_tolerance(mbc, tmp_path):
    for dtype, tolerance in (("bfloat16", 0.03125), ("float16", 0.0078125)):
        exact = write_model(tmp_path / dtype / "exact", 7, "Qwen3", dict(num_hidden_layers=3, head_dim=16), "float32")
        rounded = tmp_path / dtype / "rounded"
        shutil.copytree(exact, rounded)
        change_weights(rounded, lambda weights: weights.update(
            {name: weight.to(getattr(torch, dtype)) for name, weight in weights.items()}
        ))
        report = compare(mbc, exact, rounded, status=0)
        assert report["tolerance"] == tolerance
        assert 0 < report["steps"][-1]["errors"]["relative"] < tolerance
        # An error is beyond what rounding does, and the tensor is told from those that are rounded.
        change_weights(rounded, lambda weights: gate_and_up(weights, 1, None))
        report = compare(mbc, exact, rounded, status=1)
        assert (report["culprits"][0]["layer"], report["culprits"][0]["operation"]) == (1, "decoder.mlp.linear")
        assert report["weights"][0].startswith("2 of ") and "exchanged" in report["weights"][1]


def test_padded_vocabularies_are_left_out(mbc, originals, tmp_path):
    padded = tmp_path / "padded"
    mbc("import", originals("llama"), "-o", padded, "--format", "torch", "--make-vocab-size-divisible-by", 100, "--quiet")
    assert compare(mbc, originals("llama"), padded, status=0)["logits"]["max_kl"] == 0


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bits(mbc, folders, dtype):
    original, planted = folders("llama")
    assert compare(mbc, original, original, "--dtype", dtype, status=0)["dtype"] == dtype
    change_weights(planted, lambda weights: swapped_heads("q_proj", 4)(weights, 2, random.Random(2)))
    assert_found(compare(mbc, original, planted, "--dtype", dtype, status=1), 2, "decoder.attn.linear", "exchanged")


def test_a_trained_model(mbc, smollm2, tmp_path):
    """Query heads 3 and 5 of layer 11 exchanged, and what the logits make of it."""
    assert compare(mbc, smollm2.source, smollm2.megatron, status=0)["logits"]["max_kl"] == 0
    planted = tmp_path / "planted"
    shutil.copytree(smollm2.source, planted)

    def change(weights):
        heads = weights[layer_name(11, "self_attn.q_proj")].view(9, 64, -1)
        heads[[3, 5]] = heads[[5, 3]]

    change_weights(planted, change)
    page = tmp_path / "report.html"
    report = compare(mbc, smollm2.megatron, planted, "--prompt", "<b>The capital of France", "--html", page, status=1)
    assert_found(report, 11, "decoder.attn.linear", "(kv_heads, slot.q) 3 and 5 of 9 are exchanged")
    assert report["token_texts"][:4] == ["<", "b", ">", "The"]
    assert report["logits"]["max_kl"] > 1e-3
    text = page.read_text()
    assert "&lt;" in text and "<b>The" not in text and "http" not in text
    states = write_states(smollm2.source, tmp_path / "states.safetensors", "--prompt", "The capital of France is")
    report = compare(mbc, smollm2.megatron, "--reference", states, status=0)
    assert max(step["errors"]["relative"] for step in report["steps"]) < 1e-5
    assert compare(mbc, planted, "--reference", states, status=1)["culprits"][0]["layer"] == 11


# --- Reference states ---


def write_states(folder, target, *options):
    write_reference([str(argument) for argument in (folder, "-o", target, *options)])
    return target


@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_states_agree(mbc, originals, family, tmp_path):
    states = write_states(originals(family), tmp_path / "states.safetensors", "--tokens", ",".join(map(str, TOKENS)))
    report = compare(mbc, originals(family), "--reference", states, status=0)
    assert all(step["seen"] for step in report["steps"])
    assert max(step["errors"]["relative"] for step in report["steps"]) < 1e-5
    # The model as a whole, its layers' list and rope are no operations; a tied head has no tensor of its own.
    assert not report["notes"] or "left out" in report["notes"][0]


# operation, and those that the reference has no values of
SEEN = {
    "query heads exchanged": [],
    "gate and up exchanged": [],
    "query norm lost": [],
    "down bias lost": [],
    "output transposed": [],
    "norm before the MLP": [],
}


@pytest.mark.parametrize("case", SEEN)
def test_errors_beside_a_reference(mbc, folders, case, tmp_path):
    family, change, operation, _ = WEIGHTS[case]
    pick = random.Random(case)
    layer = pick.randrange(LAYERS)
    original, planted = folders(family)
    states = write_states(original, tmp_path / "states.safetensors", "--tokens", ",".join(map(str, TOKENS)))
    change_weights(planted, lambda weights: change(weights, layer, pick))
    report = compare(mbc, planted, "--reference", states, status=1)
    [culprit, *_] = report["culprits"]
    assert (culprit["layer"], culprit["operation"], culprit["unseen"]) == (layer, operation, SEEN[case])


def test_wrong_rope_beside_a_reference(mbc, folders, tmp_path):
    """transformers has no module that gives what rope does: attention differs first, and rope is named with it."""
    original, planted = folders("llama")
    states = write_states(original, tmp_path / "states.safetensors", "--tokens", ",".join(map(str, TOKENS)))
    rope(rope_theta=20000.0)(planted)
    [culprit] = compare(mbc, planted, "--reference", states, status=1)["culprits"]
    assert (culprit["layer"], culprit["operation"], culprit["unseen"]) == (0, "decoder.attn.attention", ["decoder.attn.rope"])


def test_reference_of_other_tokens_or_another_model(mbc, originals, tmp_path):
    states = write_states(originals("llama"), tmp_path / "states.safetensors", "--tokens", "1,2,3")
    said = mbc("compare", originals("llama"), "--reference", states, "--tokens", "1,2,4", status=2)
    assert "are of other tokens" in said
    narrow = write_model(tmp_path / "narrow", 1, "Llama", dict(hidden_size=40, num_attention_heads=4))
    said = mbc("compare", narrow, "--reference", states, status=2)
    assert "has 48 numbers a token, expected 40" in said


def test_tokens_from_a_file(mbc, originals, tmp_path):
    np.save(tmp_path / "tokens.npy", np.array(TOKENS))
    report = compare(mbc, originals("llama"), originals("llama"), "--tokens", tmp_path / "tokens.npy", status=0)
    assert report["tokens"] == TOKENS
