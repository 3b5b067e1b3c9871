"""`mbc logits --mtp`: the drafts of the extra layer against a plain PyTorch reference, as transformers has no such layer.

The layer, by DeepSeek-V3's report (section 2.2): h' = W [norm(embedding of the next token); norm(h)], a decoder layer, a
norm, and the head of the model."""

import numpy as np
import pytest
import torch
import transformers
from conftest import V3, mtp_layer, write_model
from safetensors.torch import load_file
from test_logits import mbc_logits
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3DecoderLayer, DeepseekV3RMSNorm

CASES = {
    "low-rank": V3,
    "one-group": V3 | dict(n_group=1, topk_group=1, num_experts_per_tok=3),
    "full-rank": V3 | dict(q_lora_rank=None, kv_lora_rank=22),
}


@pytest.fixture(scope="module", params=CASES)
def model(request, tmp_path_factory):
    folder = write_model(tmp_path_factory.mktemp(request.param) / "hf", 6, "DeepseekV3", CASES[request.param], "float32")
    mtp_layer(folder)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager"
    ).eval()
    return folder, loaded, Reference(loaded, load_file(folder / "model.safetensors"))


class Reference(torch.nn.Module):
    def __init__(self, loaded, weights):
        super().__init__()
        config = loaded.config
        self.loaded, layer = loaded, config.num_hidden_layers
        own = {name.removeprefix(f"model.layers.{layer}."): value.float()
               for name, value in weights.items() if name.startswith(f"model.layers.{layer}.")}
        experts = range(config.n_routed_experts)
        packed = {
            "mlp.experts.gate_up_proj": torch.stack([
                torch.cat([own[f"mlp.experts.{e}.{part}_proj.weight"] for part in ("gate", "up")]) for e in experts]),
            "mlp.experts.down_proj": torch.stack([own[f"mlp.experts.{e}.down_proj.weight"] for e in experts]),
        }
        self.layer = DeepseekV3DecoderLayer(config, layer)
        state = self.layer.state_dict()
        for name in state:
            state[name] = packed[name] if name in packed else own[name]
        self.layer.load_state_dict(state)
        for name in ("enorm", "hnorm", "shared_head.norm"):
            norm = DeepseekV3RMSNorm(config.hidden_size, config.rms_norm_eps)
            norm.weight.data = own[f"{name}.weight"]
            setattr(self, name.split(".")[-1], norm)
        self.joined = own["eh_proj.weight"]

    @torch.no_grad()
    def forward(self, tokens):
        """[batch, sequence - 1, vocabulary]"""
        inner = self.loaded.model
        hidden = inner(tokens).last_hidden_state[:, :-1]
        embedded = inner.embed_tokens(tokens[:, 1:])
        x = torch.nn.functional.linear(torch.cat([self.enorm(embedded), self.hnorm(hidden)], -1), self.joined)
        length = x.shape[1]
        positions = torch.arange(length)[None]
        mask = torch.full((length, length), float("-inf")).triu(1)[None, None]
        x = self.layer(x, attention_mask=mask, position_ids=positions,
                       position_embeddings=inner.rotary_emb(x, positions))
        x = x[0] if isinstance(x, tuple) else x
        return self.loaded.lm_head(self.norm(x)).numpy()


@pytest.mark.parametrize("length", [2, 17, 300])
def test_drafts_are_those_of_the_reference(mbc, model, length, tmp_path):
    folder, loaded, reference = model
    tokens = torch.randint(loaded.config.vocab_size, (2, length), generator=torch.Generator().manual_seed(length))
    expected = reference(tokens)
    plain = mbc_logits(mbc, folder, tokens, tmp_path)
    for chunk in (512, 64, 1):
        logits = mbc_logits(mbc, folder, tokens, tmp_path, "--mtp", "--chunk", chunk)
        if chunk == 512:
            assert np.array_equal(logits, plain)  # a draft changes nothing
        draft = np.load(tmp_path / "logits.draft.npy")
        assert draft.shape == logits.shape
        assert np.isnan(draft[:, -1]).all()
        assert np.abs(draft[:, :-1] - expected).max() <= 3e-5 * np.abs(expected).max(), chunk


def test_megatron_holds_the_same_layer(mbc, model, tmp_path):
    folder, loaded, reference = model
    tokens = torch.randint(loaded.config.vocab_size, (1, 30), generator=torch.Generator().manual_seed(1))
    mbc_logits(mbc, folder, tokens, tmp_path, "--mtp")
    expected = np.load(tmp_path / "logits.draft.npy")
    mbc("import", folder, "-o", tmp_path / "megatron")
    mbc_logits(mbc, tmp_path / "megatron", tokens, tmp_path, "--mtp")
    assert np.array_equal(np.load(tmp_path / "logits.draft.npy"), expected, equal_nan=True)


def test_models_without_such_layers_are_refused(mbc, smollm2, tmp_path):
    said = mbc("logits", smollm2.source, "--tokens", "1,2", "-o", tmp_path / "l.npy", "--mtp", status=2)
    assert "no layers for multi-token prediction" in said, said
    folder = write_model(tmp_path / "hf", 6, "DeepseekV3", V3, "float32")
    said = mbc("logits", folder, "--tokens", "1,2", "-o", tmp_path / "l.npy", "--mtp", status=2)
    assert "no layers for multi-token prediction" in said, said
    assert not list(tmp_path.glob("*.npy"))
