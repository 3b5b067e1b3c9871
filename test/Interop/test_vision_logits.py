"""`mbc logits` of a model that sees against transformers' eager fp32 logits, and what its tower makes of pictures.

Positions, windows and the order of patches are transformers' own there, and those of runtime/vision here."""

import copy
import subprocess

import numpy as np
import pytest
import torch
import transformers
from conftest import BASE, MBC, SEEING, old_spellings, write_model
from test_logits import mbc_logits

IMAGE, VIDEO = 7, 8


def pick(random, *options):
    return options[random.integers(len(options))]


def seeing(seed):
    """Sizes that nothing divides; windows that cut pictures anywhere; full layers first, last, all or none; both forms of
    config.json."""
    random = np.random.default_rng([seed, 25])
    kv_heads = int(pick(random, 1, 2, 3))
    heads = kv_heads * int(pick(random, 1, 2, 3))
    pairs = int(random.integers(3, 9))
    cuts = sorted(int(cut) for cut in random.integers(0, pairs + 1, 2))
    depth = int(pick(random, 1, 2, 3, 5))
    full = ([0], [depth - 1], list(range(depth)), [])[seed % 4]
    vis_heads = int(pick(random, 1, 2, 3))
    fold = (2, 2, 3, 1)[seed % 4]
    patch = int(random.integers(1, 5))
    text = BASE | dict(
        hidden_size=heads * pairs * 2,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        intermediate_size=int(random.integers(17, 90)),
        num_hidden_layers=int(pick(random, 1, 2, 3)),
        vocab_size=int(random.integers(50, 300)),
        tie_word_embeddings=bool(seed % 2),
        rope_parameters=dict(
            rope_type="default", rope_theta=10000.0, mrope_section=[cuts[0], cuts[1] - cuts[0], pairs - cuts[1]]
        ),
    )
    vision = SEEING["vision_config"] | dict(
        depth=depth,
        hidden_size=vis_heads * 4 * int(random.integers(1, 6)),
        intermediate_size=int(random.integers(5, 70)),
        num_heads=vis_heads,
        out_hidden_size=heads * pairs * 2,
        fullatt_block_indexes=full,
        in_channels=int(pick(random, 1, 3)),
        temporal_patch_size=int(pick(random, 1, 2)),
        patch_size=patch,
        spatial_merge_size=fold,
        window_size=fold * patch * int(random.integers(1, 5)) + int(random.integers(patch)),
    )
    return SEEING | dict(
        text_config=text,
        vision_config=vision,
        tie_word_embeddings=bool(seed % 2),
        image_token_id=IMAGE,
        video_token_id=VIDEO,
        vision_start_token_id=9,
        vision_end_token_id=10,
    ), old_spellings if seed % 3 == 0 else None


PARAMS = [pytest.param(seed, marks=[pytest.mark.full] if seed > 4 else []) for seed in range(12)]


@pytest.fixture(scope="module", params=PARAMS)
def model(request, tmp_path_factory):
    changes, spelling = seeing(request.param)
    folder = write_model(
        tmp_path_factory.mktemp("seeing") / "hf", request.param, "Qwen2_5_VL", copy.deepcopy(changes), "float32"
    )
    loaded = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    if spelling:
        spelling(folder)
    return folder, loaded


class Prompt:
    """Tokens of some texts, each with as many pictures, and the pictures."""

    def __init__(self, loaded, random, pictures, length, texts=1):
        vision = loaded.config.vision_config
        self.grids, self.tokens, fold = [], [], vision.spatial_merge_size
        self.vocab = loaded.config.text_config.vocab_size
        for _ in range(texts):
            text = []
            for _ in range(pictures):
                rows, columns = (fold * int(size) for size in random.integers(1, 9, 2))
                self.grids.append((1, rows, columns))
                text += self.words(random, int(random.integers(1, 6))) + [9] + [IMAGE] * (rows * columns // fold**2) + [10]
            self.tokens.append(text)
        length = max([length] + [len(text) + 1 for text in self.tokens])
        self.tokens = [text + self.words(random, length - len(text)) for text in self.tokens]
        self.tokens = torch.tensor(self.tokens)
        width = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
        patches = sum(rows * columns for _, rows, columns in self.grids)
        self.pixels = random.standard_normal((patches, width)).astype(np.float32)

    def words(self, random, count):
        return [int(word) for word in random.integers(11, self.vocab, count)]

    def expected(self, loaded, **more):
        seen = {}
        if self.grids:
            seen = dict(
                pixel_values=torch.from_numpy(self.pixels),
                image_grid_thw=torch.tensor(self.grids),
                mm_token_type_ids=(self.tokens == IMAGE).int(),
            )
        loaded.model.rope_deltas = None  # of an earlier call
        with torch.no_grad():
            return loaded(self.tokens, **seen, **more).logits.float().numpy()

    def features(self, loaded):
        with torch.no_grad():
            seen = loaded.model.get_image_features(torch.from_numpy(self.pixels), torch.tensor(self.grids))
        return torch.cat(list(seen.pooler_output)).float().numpy()

    def options(self, folder):
        if not self.grids:
            return []
        np.save(folder / "pixels.npy", self.pixels)
        grids = [part for grid in self.grids for part in ("--grid", ",".join(str(size) for size in grid))]
        return ["--pixels", folder / "pixels.npy", *grids]

    def logits(self, mbc, source, folder, *options):
        return mbc_logits(mbc, source, self.tokens, folder, *self.options(folder), *options)


@pytest.mark.parametrize("pictures", [0, 1, 3])
@pytest.mark.parametrize("length", [1, 17, 512])
def test_logits_are_those_of_transformers(mbc, model, length, pictures, tmp_path, record_property):
    folder, loaded = model
    prompt = Prompt(loaded, np.random.default_rng([length, pictures]), pictures, length, texts=2)
    expected = prompt.expected(loaded)
    found = prompt.logits(mbc, folder, tmp_path)
    assert found.shape == expected.shape and found.dtype == np.float32
    error = np.abs(found - expected).max() / np.abs(expected).max()
    record_property("error", float(error))
    assert error <= 1e-5
    # In chunks, and token by token: pictures are cut anywhere.
    for chunk in (64, 1):
        found = prompt.logits(mbc, folder, tmp_path, "--chunk", chunk)
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max(), chunk


def test_pictures_are_seen_as_by_transformers(mbc, model, tmp_path, record_property):
    folder, loaded = model
    prompt = Prompt(loaded, np.random.default_rng(5), 4, 1)
    expected = prompt.features(loaded)
    prompt.logits(mbc, folder, tmp_path, "--tap", "place")
    found = np.load(tmp_path / "logits.place.npy")[0, :, 0][(prompt.tokens[0] == IMAGE).numpy()]
    assert found.shape == expected.shape
    error = np.abs(found - expected).max()
    record_property("error", float(error))
    record_property("largest", float(np.abs(expected).max()))
    assert error <= 1e-4 and error <= 1e-5 * np.abs(expected).max()


def test_same_bits_in_any_company_from_any_format_and_for_any_threads(mbc, model, tmp_path):
    folder, loaded = model
    prompt = Prompt(loaded, np.random.default_rng(6), 2, 1, texts=3)
    expected = prompt.logits(mbc, folder, tmp_path, "--threads", 1)
    np.save(tmp_path / "grids.npy", np.array(prompt.grids))
    np.save(tmp_path / "tokens.npy", prompt.tokens.numpy())
    mbc("import", folder, "-o", tmp_path / "megatron")
    mbc("import", folder, "-o", tmp_path / "legacy", "--ckpt-format", "torch")
    for source in (folder, tmp_path / "megatron", tmp_path / "legacy"):
        assert np.array_equal(prompt.logits(mbc, source, tmp_path, "--threads", 3), expected)
    # Pictures of a text alone, and calls of one picture.
    largest = max(rows * columns for _, rows, columns in prompt.grids)
    mbc("compile", folder, "-o", tmp_path / "p.mbcp", "--patches", largest, "--length", prompt.tokens.shape[1], "--quiet")
    run = [MBC.with_name("mbc-run"), "logits", tmp_path / "p.mbcp", "--weights", folder, "--tokens", tmp_path / "tokens.npy"]
    run += ["--pixels", tmp_path / "pixels.npy", "--grid", tmp_path / "grids.npy", "-o", tmp_path / "run.npy"]
    subprocess.run(run, check=True, capture_output=True, timeout=300)
    assert np.array_equal(np.load(tmp_path / "run.npy"), expected)
    before = sum(rows * columns for _, rows, columns in prompt.grids[:2])
    prompt.grids, prompt.pixels, prompt.tokens = prompt.grids[2:4], prompt.pixels[before:], prompt.tokens[1:2]
    prompt.pixels = prompt.pixels[: sum(rows * columns for _, rows, columns in prompt.grids)]
    assert np.array_equal(prompt.logits(mbc, folder, tmp_path)[0], expected[1])


def test_sixteen_bit_types_are_near(mbc, model, tmp_path):
    folder, loaded = model
    prompt = Prompt(loaded, np.random.default_rng(8), 2, 40)
    exact = prompt.expected(loaded)
    theirs = prompt.expected(loaded.to(torch.bfloat16))
    loaded.to(torch.float32)
    ours = prompt.logits(mbc, folder, tmp_path, "--dtype", "bfloat16")
    assert np.abs(ours - exact).mean() <= 1.2 * np.abs(theirs - exact).mean()


def test_wrong_pictures_are_refused(mbc, model, tmp_path):
    folder, loaded = model
    prompt = Prompt(loaded, np.random.default_rng(9), 2, 1)
    fold = loaded.config.vision_config.spatial_merge_size
    pixels, grids = prompt.options(tmp_path)[:2], prompt.options(tmp_path)[2:]

    def refused(why, *options, tokens=prompt.tokens):
        np.save(tmp_path / "tokens.npy", tokens.numpy())
        said = mbc("logits", folder, "--tokens", tmp_path / "tokens.npy", "-o", tmp_path / "no.npy", *options, status=2)
        assert why in said, said
        assert not (tmp_path / "no.npy").exists()

    count = int((prompt.tokens == IMAGE).sum())
    refused(f"{count} image tokens ({IMAGE}) and no pictures; options '--pixels' and '--grid' give them")
    refused("come together", *pixels)
    refused("come together", *grids)
    more = torch.cat([prompt.tokens, torch.tensor([[IMAGE]])], 1)
    refused(f"{count + 1} image tokens ({IMAGE}) for 2 pictures, which are {count} tokens", *pixels, *grids, tokens=more)
    refused(f"{count - 1} image tokens", *pixels, *grids, tokens=prompt.tokens[:, prompt.tokens[0].tolist().index(IMAGE) + 1 :])
    refused("is a video's (8)", *pixels, *grids, tokens=torch.cat([torch.tensor([[VIDEO]]), prompt.tokens], 1))
    refused("expected [", *pixels, *grids, "--grid", f"1,{fold},{fold}")
    refused("is no size of a picture", *pixels, "--grid", "0,2,2")
    refused("expected T,H,W", *pixels, "--grid", "1,2")
    if fold > 1:
        np.save(tmp_path / "pixels.npy", prompt.pixels[:1])
        refused(f"multiples of {fold}", *pixels, "--grid", "1,1,1")
    np.save(tmp_path / "pixels.npy", prompt.pixels[:, :-1])
    if prompt.pixels.shape[1] > 1:
        refused("patches have", *pixels, *grids)
