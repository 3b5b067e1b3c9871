"""`mbc compare` of mixtures of experts, latent attention and layers for multi-token prediction: errors planted on the
Hugging Face and on the Megatron side, each of which must be located to its layer, operation and tensor, those that no
token comes across included."""

import json
import runpy
import shutil

import conftest
import numpy as np
import pytest
import torch
from conftest import ROOT, V3, change_config, change_weights, write_model

table = runpy.run_path(str(ROOT / "test/Interop/test_compare.py"))
compare, exchange, located, write_states = (table[name] for name in ("compare", "exchange", "located", "write_states"))

TOKENS = ",".join(str(i) for i in table["TOKENS"])
YARN = conftest.YARN
FEW = dict(num_experts=64, num_experts_per_tok=2)


def corrected(folder):
    """A correction that chooses: that of a new model is zero."""

    def change(weights):
        for name in weights:
            if name.endswith("e_score_correction_bias"):
                weights[name] = torch.linspace(-0.2, 0.2, weights[name].numel()).roll(3)

    conftest.router_bias_in_fp32(folder)
    change_weights(folder, change)


def with_mtp(folder):
    conftest.mtp_layer(folder)
    corrected(folder)


FAMILIES = {
    "qwen3": ("Qwen3Moe", conftest.SPARSE | dict(num_experts_per_tok=4), lambda folder: None),
    "qwen3-many": ("Qwen3Moe", conftest.SPARSE | FEW, lambda folder: None),
    "qwen3-mixed": ("Qwen3Moe", conftest.SPARSE | dict(mlp_only_layers=[0]), lambda folder: None),
    "v2": ("DeepseekV2", conftest.V2, lambda folder: None),
    "v2-lite": ("DeepseekV2", conftest.V2 | dict(q_lora_rank=None), lambda folder: None),
    "v3": ("DeepseekV3", V3, corrected),
    "v3-yarn": ("DeepseekV3", V3 | dict(rope_parameters=YARN), corrected),
    "v3-square": ("DeepseekV3", V3 | dict(v_head_dim=24), corrected),
    "v3-mtp": ("DeepseekV3", V3, with_mtp),
}


@pytest.fixture(scope="session")
def originals(tmp_path_factory):
    made = {}

    def get(family):
        if family not in made:
            name, changes, after = FAMILIES[family]
            made[family] = write_model(tmp_path_factory.mktemp(family) / "hf", sum(family.encode()), name, changes)
            after(made[family])
        return made[family]

    return get


def layer_tensor(name, suffix=".weight"):
    return lambda layer: f"model.layers.{layer}.{name}{suffix}"


def scaled(name, factor=1.5):
    return lambda weights, layer: weights[layer_tensor(name)(layer)].mul_(factor)


def exchanged(*pairs):
    def change(weights, layer):
        for first, second in pairs:
            exchange(weights, layer_tensor(first)(layer), layer_tensor(second)(layer))

    return change


def between_layers(weights, layer):
    """The experts of this layer and of the next."""
    for name in [name for name in weights if name.startswith(f"model.layers.{layer}.mlp.experts.")]:
        exchange(weights, name, name.replace(f".{layer}.", f".{layer + 1}.", 1))


def bias(change):
    def apply(weights, layer):
        name = f"model.layers.{layer}.mlp.gate.e_score_correction_bias"
        weights[name] = change(weights[name])

    return apply


def parts_of_latents(weights, layer):
    """What the latent becomes in keys, and in values, of every head."""
    rows = weights[f"model.layers.{layer}.self_attn.kv_b_proj.weight"].view(4, 2, 24, -1)
    rows.copy_(rows.flip(1).clone())


def router_rows(weights, layer):
    rows = weights[f"model.layers.{layer}.mlp.gate.weight"]
    rows[[1, 6]] = rows[[6, 1]]


def halves_of_join(weights, layer):
    name = f"model.layers.{layer}.eh_proj.weight"
    weights[name] = weights[name].roll(weights[name].shape[0], 1).contiguous()


EXPERTS = [(f"mlp.experts.3.{part}_proj", f"mlp.experts.5.{part}_proj") for part in ("gate", "up", "down")]
# name -> (family, layer, what is done to its weights, operation, its kind, what must be said)
WEIGHTS = {
    "down of an expert": ("qwen3", 2, scaled("mlp.experts.3.down_proj"), "decoder.moe.grouped_linear1", "experts 3 of 8|mlp.experts.3.down_proj"),
    "gate of an expert": ("qwen3", 1, scaled("mlp.experts.5.gate_proj"), "decoder.moe.grouped_linear", "experts 5 of 8|mlp.experts.5.gate_proj"),
    "an expert beside a shared one": ("v3", 2, scaled("mlp.experts.6.up_proj"), "decoder.moe.routed.grouped_linear", "experts 6 of 8|mlp.experts.6.up_proj"),
    "two experts exchanged": ("qwen3", 0, exchanged(*EXPERTS), "decoder.moe.grouped_linear", "experts 3, 5 of 8|experts 3 and 5 of decoder.moe (l = 0) are exchanged"),
    "gate and up of an expert": ("v2", 3, exchanged(("mlp.experts.4.gate_proj", "mlp.experts.4.up_proj")), "decoder.moe.routed.grouped_linear", "experts 4 of 8|exchanged"),
    "router": ("qwen3", 3, scaled("mlp.gate", 1.01), "decoder.moe.linear", "mlp.gate.weight"),
    "rows of the router": ("v3", 1, router_rows, "decoder.moe.routed.linear", "mlp.gate.weight|exchanged"),
    "correction zeroed": ("v3", 1, bias(torch.zeros_like), "decoder.moe.routed.route", "e_score_correction_bias"),
    "correction reversed": ("v3", 3, bias(lambda values: values.flip(0).contiguous()), "decoder.moe.routed.route", "e_score_correction_bias"),
    "shared expert": ("v3", 2, scaled("mlp.shared_experts.down_proj"), "decoder.moe.shared.linear1", "shared_experts.down_proj"),
    "keys and values of the latent": ("v3-square", 1, parts_of_latents, "decoder.attn.mla_attention", "kv_b_proj|exchanged"),
    "norm of the queries' latent": ("v3", 2, scaled("self_attn.q_a_layernorm", 0.5), "decoder.attn.rms_norm", "q_a_layernorm"),
    "norm of the latent": ("v2-lite", 1, scaled("self_attn.kv_a_layernorm", 0.5), "decoder.attn.rms_norm", "kv_a_layernorm"),
    "experts of two layers": ("qwen3", 1, between_layers, "decoder.moe.grouped_linear", "layers 1 and 2|exchanged"),
    "a dense layer beside sparse ones": ("qwen3-mixed", 0, scaled("mlp.down_proj"), "decoder.mlp.linear1", "mlp.down_proj"),
    "norms of the MTP layer": ("v3-mtp", 4, exchanged(("enorm", "hnorm")), "mtp.rms_norm|mtp.rms_norm1", "layers.4.enorm|layers.4.hnorm"),
    "product of the MTP layer": ("v3-mtp", 4, halves_of_join, "mtp.linear", "eh_proj"),
    "expert of the MTP layer": ("v3-mtp", 4, scaled("mlp.experts.2.down_proj"), "mtp.moe.routed.grouped_linear1", "experts 2 of 8|layers.4.mlp.experts.2.down_proj"),
}


def scale_of_rope(**fields):
    return lambda folder: change_config(folder, lambda config: config["rope_parameters"].update(fields))


def setting(**fields):
    return lambda folder: change_config(folder, lambda config: config.update(fields))


# name -> (family, change, first layer that differs, operation, what must be said)
SETTINGS = {
    "mscale_all_dim": ("v3-yarn", scale_of_rope(mscale_all_dim=0.5), 0, "decoder.attn.rope", "scaling.mscale_all_dim: 0.707 in A, 0.5 in B"),
    "mscale": ("v3-yarn", scale_of_rope(mscale=0.3), 0, "decoder.attn.rope", "mscale"),
    "factor of rope": ("v3-yarn", scale_of_rope(factor=8.0), 0, "decoder.attn.rope", "scaling.factor"),
    "experts a token": ("qwen3", setting(num_experts_per_tok=3), 0, "decoder.moe.route", "topk: 4 in A, 3 in B"),
    "fewer experts a token": ("v3", setting(num_experts_per_tok=2), 1, "decoder.moe.routed.route", "topk: 4 in A, 2 in B"),
    "routed scaling": ("v3", setting(routed_scaling_factor=1.0), 1, "decoder.moe.routed.route", "scale: 2.5 in A, 1.0 in B"),
    "weights that do not add up": ("qwen3", setting(norm_topk_prob=False), 0, "decoder.moe.route", "renorm: true in A, false in B"),
    "groups": ("v3", setting(topk_group=3), 1, "decoder.moe.routed.route", "group_topk: 2 in A, 3 in B"),
}


def assert_located(report, step, operation, said):
    assert not report["same"] and not report["hidden"]
    assert report["steps"][report["first"]]["name"] == step, report["verdict"]
    names = [culprit["operation"] for culprit in report["culprits"]]
    assert names == operation.split("|"), report["verdict"]
    assert not report["culprits"][0]["unseen"]
    spoken = json.dumps([report["culprits"], report["weights"], report["config_differences"]])
    for part in said.split("|"):
        assert part in spoken, spoken


@pytest.fixture
def folders(originals, tmp_path):
    def get(family):
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
        return originals(family), shutil.copytree(originals(family), tmp_path / "planted")

    return get


def step_of(layer):
    return "mtp 0" if layer == 4 else f"decoder {layer}"


@pytest.mark.parametrize("case", WEIGHTS)
def test_wrong_weights(mbc, folders, case, tmp_path):
    family, layer, change, operation, said = WEIGHTS[case]
    original, planted = folders(family)
    change_weights(planted, lambda weights: change(weights, layer))
    assert_located(located(mbc, case, original, planted, tmp_path), step_of(layer), operation, said)


@pytest.mark.parametrize("case", SETTINGS)
def test_wrong_settings(mbc, folders, case, tmp_path):
    family, change, layer, operation, said = SETTINGS[case]
    original, planted = folders(family)
    change(planted)
    assert_located(located(mbc, case, original, planted, tmp_path), step_of(layer), operation, said)


def test_other_dense_layers(mbc, originals, tmp_path):
    """Layer 1 is dense in one and a mixture in the other; all that both have is equal."""
    mixture = originals("v3")
    dense = write_model(tmp_path / "dense", 2, "DeepseekV3", V3 | dict(first_k_dense_replace=2))

    def change(weights):
        weights.update({name: tensor for name, tensor in conftest.load_file(mixture / "model.safetensors").items() if name in weights})

    corrected(dense)
    change_weights(dense, change)
    report = compare(mbc, mixture, dense, "--tokens", TOKENS, status=1)
    assert report["steps"][report["first"]]["name"] == "decoder 1"
    [culprit, *_] = report["culprits"]
    assert culprit["operation"].startswith(("decoder.moe.", "decoder.mlp.")) and "has this operation" in culprit["cause"]
    assert any(text.startswith("first_k_dense_replace: 1 in A, 2 in B") for text in report["config_differences"])


# What no token comes across: (family, layer, tensor, operation)
UNSEEN = {
    "expert": ("qwen3-many", 2, "mlp.experts.{e}.down_proj", "decoder.moe.grouped_linear1"),
    "gate of an expert": ("qwen3-many", 1, "mlp.experts.{e}.gate_proj", "decoder.moe.grouped_linear"),
}


@pytest.mark.parametrize("kind", table["KINDS"])
@pytest.mark.parametrize("case", UNSEEN)
def test_weights_that_no_token_shows(mbc, folders, case, kind, tmp_path):
    family, layer, name, operation = UNSEEN[case]
    original, planted = folders(family)
    few = "3,99,17"
    mbc("logits", original, "--tokens", few, "--tap", "decoder.moe.route.1", "-o", tmp_path / "logits.npy", "--quiet")
    chosen = np.load(tmp_path / "logits.decoder.moe.route.1.npy")[0, :, layer]
    assert chosen.shape == (3, 2)
    one = f"model.layers.{layer}.{name.format(e=min(set(range(64)) - set(chosen.astype(int).flat)))}.weight"
    change_weights(planted, lambda weights: weights[one].mul_(1.5))
    target = table["as_checkpoint"](mbc, planted, kind, tmp_path / "b")
    report = compare(mbc, original, target, "--tokens", few, status=1)
    assert report["first"] is None and report["hidden"] and "these tokens do not show" in report["verdict"]
    [culprit] = report["culprits"]
    assert (culprit["layer"], culprit["operation"], culprit["state"]) == (layer, operation, "agrees")
    assert one in culprit["cause"] and culprit["place"].startswith("/mbc/models/moe.mbc:")
    assert report["weights"][0].startswith("1 of ")
    assert all(step["errors"]["differing"] == 0 for step in report["steps"])
    assert compare(mbc, original, target, "--tokens", few, "--no-weights", status=0)["same"]
    assert compare(mbc, original, target, "--tokens", few, "--tolerance", "0.1", status=0)["weights"][0].startswith("1 of ")


def test_a_row_of_the_embedding_that_no_token_shows(mbc, folders):
    original, planted = folders("qwen3")
    change_weights(planted, lambda weights: weights["model.embed_tokens.weight"][6].add_(1))
    report = compare(mbc, original, planted, "--tokens", "1,2,3", status=1)
    [culprit] = report["culprits"]
    assert report["hidden"] and (culprit["operation"], "layer" in culprit) == ("embedding", False)
    assert "embed_tokens" in culprit["cause"]


def test_an_expert_wrong_beside_rounded_weights(mbc, tmp_path):
    """Rounding is no difference; an expert that no token shows is, though everything is rounded."""
    changes = conftest.SPARSE | dict(num_experts=32, num_experts_per_tok=1)
    exact = write_model(tmp_path / "exact", 7, "Qwen3Moe", changes, "float32")
    rounded = shutil.copytree(exact, tmp_path / "rounded")
    change_weights(rounded, lambda weights: weights.update({name: tensor.bfloat16() for name, tensor in weights.items()}))
    agrees = compare(mbc, exact, rounded, "--tokens", "3,99", status=0)
    assert agrees["weights"][0].startswith("all ") and "once rounded" in agrees["weights"][0]
    mbc("logits", exact, "--tokens", "3,99", "--tap", "decoder.moe.route.1", "-o", tmp_path / "logits.npy", "--quiet")
    chosen = np.load(tmp_path / "logits.decoder.moe.route.1.npy")[0, :, 2].astype(int)
    wrong = f"model.layers.2.mlp.experts.{min(set(range(32)) - set(chosen.flat))}.up_proj.weight"
    change_weights(rounded, lambda weights: weights[wrong].mul_(1.5))
    report = compare(mbc, exact, rounded, "--tokens", "3,99", status=1)
    assert report["hidden"] and wrong in report["culprits"][0]["cause"]


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_models_are_equal(mbc, originals, family, tmp_path):
    for kind in table["KINDS"][1:]:
        report = compare(mbc, originals(family), table["as_checkpoint"](mbc, originals(family), kind, tmp_path), status=0)
        assert report["same"] and report["tolerance"] == 0
        assert [step["name"] for step in report["steps"]].count("draft") == (family == "v3-mtp")


def test_a_model_without_its_mtp_layer(mbc, folders):
    """What one side alone has is left out, and said."""
    original, planted = folders("v3-mtp")
    change_weights(planted, lambda weights: [weights.pop(name) for name in list(weights) if name.startswith("model.layers.4.")])
    change_config(planted, lambda config: config.update(num_nextn_predict_layers=0))
    report = compare(mbc, original, planted, "--tokens", TOKENS, status=0)
    assert report["same"] and any("A alone has layers for multi-token prediction" in note for note in report["notes"])


# --- Reference states ---


@pytest.mark.parametrize("family", ["qwen3", "v2", "v2-lite", "v3", "v3-yarn"])
def test_transformers_states_agree(mbc, originals, family, tmp_path):
    states = write_states(originals(family), tmp_path / "states.safetensors", "--tokens", TOKENS)
    report = compare(mbc, originals(family), "--reference", states, status=0)
    assert all(step["seen"] for step in report["steps"])
    assert max(step["errors"]["relative"] for step in report["steps"]) < 3e-5


# name -> operation, and those before it of which transformers shows nothing
SEEN = {
    "down of an expert": ("decoder.moe.combine", "decoder.moe.grouped_linear1"),
    "shared expert": ("decoder.moe.shared.linear1", ""),
    "router": ("decoder.moe.linear", ""),
    "norm of the queries' latent": ("decoder.attn.rms_norm", ""),
}


@pytest.mark.parametrize("case", SEEN)
def test_errors_beside_a_reference(mbc, folders, case, tmp_path):
    family, layer, change, _, _ = WEIGHTS[case]
    original, planted = folders(family)
    states = write_states(original, tmp_path / "states.safetensors", "--tokens", TOKENS)
    change_weights(planted, lambda weights: change(weights, layer))
    report = compare(mbc, planted, "--reference", states, status=1)
    assert report["steps"][report["first"]]["name"] == f"decoder {layer}"
    [culprit, *_] = report["culprits"]
    operation, unseen = SEEN[case]
    assert culprit["operation"] == operation and unseen in " ".join(culprit["unseen"])
