"""Pictures against Pillow and transformers: the pixels of files, what the processor makes of them, and the tokens that a model
that sees continues them with."""

import base64
import json
import subprocess
import time

import numpy as np
import pytest
import torch
import transformers
from conftest import MBC
from PIL import Image
from picture_files import photo, picture_files, write_seeing_model
from test_generate import generate
from test_serve import Server
from transformers.image_utils import load_image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

# The sizes at which patches and squares are cut, and the values: of the class, of Qwen2.5-VL, and others.
PROCESSORS = [
    {},
    dict(min_pixels=3136, max_pixels=12845056),
    dict(size=dict(shortest_edge=100, longest_edge=20000), patch_size=5, merge_size=3, temporal_patch_size=1),
    dict(patch_size=16, image_mean=[0.5, 0.4, 0.3], image_std=[0.5, 0.25, 1.0], rescale_factor=1 / 127.5),
    dict(do_rescale=False, image_mean=[127.0] * 3, image_std=[3.0] * 3),
    dict(do_normalize=False, do_convert_rgb=False),
]


class Probe:
    def __init__(self):
        self.process = subprocess.Popen(
            [MBC.with_name("picture_probe")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, path, output, **more):
        self.process.stdin.write(json.dumps(dict(picture=str(path), output=str(output), **more)) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer
        return answer

    def pixels(self, path, scratch):
        shape = self(path, scratch / "out")["shape"]
        return np.fromfile(scratch / "out", np.uint8).reshape(shape)

    def values(self, path, scratch, config):
        answer = self(path, scratch / "out", processor=config)
        return answer["shape"], np.fromfile(scratch / "out", np.float32), answer["seconds"]


@pytest.fixture(scope="module")
def probe():
    probe = Probe()
    yield probe
    probe.process.stdin.close()
    probe.process.wait(10)


def test_files_have_the_pixels_that_pillow_reads(probe, tmp_path, record_property):
    files = picture_files(tmp_path, np.random.default_rng(1))
    equal = 0
    for path in files:
        expected, found = np.array(load_image(str(path))), probe.pixels(path, tmp_path)
        assert found.shape == expected.shape, path.name
        difference = np.abs(found.astype(int) - expected).max()
        assert difference <= 1, path.name
        equal += difference == 0
    record_property("files", len(files))
    record_property("equal", equal)
    print(f"{equal} of {len(files)} files are equal to the bit")


@pytest.mark.parametrize("config", PROCESSORS, ids=range(len(PROCESSORS)))
def test_values_are_those_of_the_processor(probe, config, tmp_path, record_property):
    processor = Qwen2VLImageProcessorPil(**config)
    scale = np.array(processor.image_std if processor.do_normalize else [1.0] * 3) if processor.do_rescale else np.array([255.0] * 3)
    random = np.random.default_rng(2)
    equal = count = 0
    sizes = [(56, 56), (29, 31), (30, 400), (400, 30), (500, 333), (333, 500), (1003, 1301), (140, 3), (1, 1)]
    sizes += [tuple(int(side) for side in random.integers(20, 700, 2)) for _ in range(12)]
    for height, width in sizes:
        path = tmp_path / "picture.png"
        Image.fromarray(photo(random, height, width)).save(path)
        expected = processor(images=load_image(str(path)), return_tensors="np")
        grid, found, _ = probe.values(path, tmp_path, config)
        assert grid == expected["image_grid_thw"][0].tolist()
        found = found.reshape(expected["pixel_values"].shape)
        channels = (len(found), 3, -1)
        difference = np.abs(found.reshape(channels) - expected["pixel_values"].reshape(channels)).max((0, 2))
        assert (difference * scale <= 1 / 255 + 1e-6).all(), (height, width)
        equal += (found == expected["pixel_values"]).all()
        count += 1
    record_property("equal", int(equal))
    print(f"{equal} of {count} pictures are equal to the bit")


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    folder = write_seeing_model(tmp_path_factory.mktemp("seeing") / "hf")
    loaded = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    random = np.random.default_rng(3)
    for name, height, width in [("a.png", 60, 50), ("b.jpg", 33, 90), ("c.png", 20, 20), ("d.png", 60, 50)]:
        Image.fromarray(photo(random, height, width)).save(folder / name)
    return Seeing(folder, loaded)


class Seeing:
    def __init__(self, folder, loaded):
        self.folder, self.loaded = folder, loaded
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        settings = json.loads((folder / "preprocessor_config.json").read_text())
        self.processor = Qwen2VLImageProcessorPil(**settings)

    def expected(self, text, images, count):
        """The tokens of a text with a place for each picture, and transformers' greedy continuation."""
        seen = {}
        if images:
            seen = dict(self.processor(images=[load_image(str(self.folder / name)) for name in images], return_tensors="pt"))
            for grid in seen["image_grid_thw"]:
                text = text.replace("<|image_pad|>", "<|place|>" * (int(grid.prod()) // 4), 1)
            text = text.replace("<|place|>", "<|image_pad|>")
        ids = torch.tensor([self.tokenizer(text)["input_ids"]])
        if images:
            seen["mm_token_type_ids"] = (ids == self.loaded.config.image_token_id).int()
        self.loaded.model.rope_deltas = None
        if text.endswith("<|image_pad|>"):
            return ids.shape[1], self.without_cache(ids, seen, count)
        with torch.no_grad():
            out = self.loaded.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False, pad_token_id=0, **seen
            )
        return ids.shape[1], out[0, ids.shape[1] :].tolist()

    def without_cache(self, ids, seen, count):
        """Behind a picture that ends the prompt, generate() of transformers 5.23 goes on otherwise than its own model does."""
        size = ids.shape[1]
        for _ in range(count):
            seen["mm_token_type_ids"] = (ids == self.loaded.config.image_token_id).int()
            self.loaded.model.rope_deltas = None
            with torch.no_grad():
                last = self.loaded(ids, **seen, use_cache=False).logits[0, -1].argmax()
            ids = torch.cat([ids, last.reshape(1, 1)], 1)
        return ids[0, size:].tolist()

    def chat(self, messages):
        return self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


PLACE = "<|vision_start|><|image_pad|><|vision_end|>"


def test_greedy_tokens_are_those_of_transformers(mbc, seeing, tmp_path):
    folder = seeing.folder
    # What is asked, the text that transformers is given, and the pictures.
    user = lambda *parts: [dict(role="user", content=list(parts))]
    image, text = dict(type="image"), dict(type="text", text="what is this?")
    again = user(image, text) + [dict(role="assistant", content="a"), *user(image, dict(type="text", text="and this?"))]
    cases = [
        (dict(prompt="hello there"), "hello there", []),
        (dict(prompt="hello", images=["a.png"]), PLACE + "hello", ["a.png"]),
        (dict(prompt="ab", images=["a.png", "b.jpg", "c.png"]), PLACE * 3 + "ab", ["a.png", "b.jpg", "c.png"]),
        (dict(prompt="x<|image_pad|>y<|image_pad|>z", images=["c.png", "b.jpg"]), "x<|image_pad|>y<|image_pad|>z", ["c.png", "b.jpg"]),
        (dict(prompt="x<|image_pad|>", images=["c.png"]), "x<|image_pad|>", ["c.png"]),
        (dict(messages=user(image, text), images=["b.jpg"]), seeing.chat(user(image, text)), ["b.jpg"]),
        (dict(messages=user(image, text, image), images=["b.jpg", "d.png"]), seeing.chat(user(image, text, image)), ["b.jpg", "d.png"]),
        (dict(messages=again, images=["a.png", "d.png"]), seeing.chat(again), ["a.png", "d.png"]),
        (dict(messages=again, images=["d.png", "a.png"]), seeing.chat(again), ["d.png", "a.png"]),
        (dict(messages=[dict(role="user", content="no picture")]), seeing.chat([dict(role="user", content="no picture")]), []),
    ]
    prompts = [
        dict(prompt, images=[str(folder / name) for name in prompt["images"]]) if "images" in prompt else prompt for prompt, _, _ in cases
    ]
    options = ("--dtype", "float32", "--max-new-tokens", 24, "--ignore-eos")
    expected = [seeing.expected(text, images, 24) for _, text, images in cases]
    together = generate(mbc, folder, prompts, tmp_path, *options)
    for result, (size, tokens), case in zip(together, expected, cases):
        assert result["prompt_tokens"] == size, case
        assert result["tokens"] == tokens, case
    # Pictures in pieces, beside others and after what is used again.
    for more in (("--chunk", 16, "--sequences", 3), ("--sequences", 1)):
        assert [result["tokens"] for result in generate(mbc, folder, prompts, tmp_path, *options, *more)] == [
            tokens for _, tokens in expected
        ]


def test_one_prompt_and_files_of_options(mbc, seeing, tmp_path):
    folder = seeing.folder
    shared = ("--dtype", "float32", "--max-new-tokens", 12, "--ignore-eos", "--json", "--quiet")
    def results(*arguments):
        out = json.loads(mbc("generate", folder, *shared, *arguments))
        return out["results"][0]

    _, expected = seeing.expected(PLACE * 2 + "hi", ["a.png", "b.jpg"], 12)
    images = ("--image", folder / "a.png", "--image", folder / "b.jpg")
    found = results("--prompt", "hi", *images)
    assert found["tokens"] == expected
    messages = [dict(role="user", content=[dict(type="image"), dict(type="image"), dict(type="text", text="hi")])]
    _, expected = seeing.expected(seeing.chat(messages), ["a.png", "b.jpg"], 12)
    assert results("--chat", "--prompt", "hi", *images)["tokens"] == expected
    # Tokens with one of each picture, or all.
    one = seeing.tokenizer("x" + PLACE + "y")["input_ids"]
    size, expected = seeing.expected("x" + PLACE + "y", ["a.png"], 12)
    token = seeing.loaded.config.image_token_id
    full = [id for i in one for id in ([i] * (size - len(one) + 1) if i == token else [i])]
    for ids in (one, full):
        assert results("--tokens", ",".join(str(id) for id in ids), "--image", folder / "a.png")["tokens"] == expected
    # Of a Megatron checkpoint, and compiled before.
    mbc("import", folder, "-o", tmp_path / "megatron")
    out = json.loads(mbc("generate", tmp_path / "megatron", *shared, "--prompt", "x" + PLACE + "y", "--image", folder / "a.png"))
    assert out["results"][0]["tokens"] == expected
    mbc("compile", folder, "-o", tmp_path / "p.mbcp", "--patches", 256, "--dtype", "float32", "--quiet")
    command = [MBC.with_name("mbc-run"), "generate", tmp_path / "p.mbcp", "--weights", folder, *shared[2:]]
    command += ["--prompt", "x" + PLACE + "y", "--image", folder / "a.png"]
    out = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, check=True)
    assert json.loads(out.stdout)["results"][0]["tokens"] == expected


def test_what_does_not_fit_is_refused(mbc, seeing, tmp_path):
    folder, picture = seeing.folder, seeing.folder / "a.png"
    (tmp_path / "cut.png").write_bytes(picture.read_bytes()[:300])
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    for arguments, message in [
        (("--prompt", "a", "--image", tmp_path / "cut.png"), "cut.png: the PNG file is cut off"),
        (("--prompt", "a", "--image", tmp_path / "a.gif"), "is a GIF picture"),
        (("--prompt", "a", "--image", tmp_path / "a.mp4"), "is a video (MP4); videos are not supported"),
        (("--prompt", "a", "--video", tmp_path / "a.mp4"), "option '--video'"),
        (("--prompt", "a", "--image", tmp_path / "none.png"), "none.png"),
        (("--prompt", "<|image_pad|>"), "1 place for pictures, and 0 pictures are given"),
        (("--prompt", "<|image_pad|><|image_pad|>", "--image", picture), "2 places for pictures, and 1 picture is given"),
        (("--prompt", "<|video_pad|>"), "video"),
        (("--prompt", "a", "--image", picture, "--length", 20), "the context holds 20"),
    ]:
        assert message in mbc("generate", folder, *arguments, status=2)
    lines = tmp_path / "in.jsonl"
    for line, message in [
        (dict(prompt="a", images="a.png"), "in.jsonl:1: images is"),
        (dict(prompt="a", images=["a.png"]), f"{tmp_path}/a.png"),
        (dict(messages=[dict(role="user", content=[dict(type="image")])]), "1 place for pictures, and 0"),
        (dict(messages=[dict(role="user", content=[dict(type="video")])]), "video"),
    ]:
        lines.write_text(json.dumps(line))
        assert message in mbc("generate", folder, "--prompts-file", lines, status=2)


def data_url(path):
    kind = "png" if path.suffix == ".png" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def test_a_server_sees_pictures_of_requests(seeing, tmp_path):
    folder = seeing.folder

    def ask(client, *names):
        """The text that comes behind pictures, and the tokens that were there from before."""
        parts = [dict(type="image_url", image_url=dict(url=data_url(folder / name))) for name in names]
        answer = client.chat.completions.create(
            model=server.name, messages=[dict(role="user", content=[*parts, dict(type="text", text="hi")])],
            max_tokens=12, temperature=0, extra_body=dict(ignore_eos=True),
        )
        return answer.choices[0].message.content, answer.usage.prompt_tokens_details.cached_tokens

    def expected(*names):
        parts = [dict(type="image") for _ in names]
        text = seeing.chat([dict(role="user", content=[*parts, dict(type="text", text="hi")])])
        size, tokens = seeing.expected(text, list(names), 12)
        return size, seeing.tokenizer.decode(tokens, skip_special_tokens=True)

    server = Server(folder, tmp_path / "log", "--dtype", "float32")
    try:
        size, text = expected("a.png")
        assert ask(server.client, "a.png") == (text, 0)
        assert ask(server.client, "a.png") == (text, size - 1)
        # The same tokens, and another picture: what is before it may be used again.
        _, other = expected("d.png")
        found, reused = ask(server.client, "d.png")
        assert found == other and reused < 25
        assert ask(server.client, "b.jpg", "a.png")[0] == expected("b.jpg", "a.png")[1]
        body = lambda url: dict(messages=[dict(role="user", content=[dict(type="image_url", image_url=dict(url=url))])])
        cut = base64.b64encode((folder / "a.png").read_bytes()[:200]).decode()
        for url, message in [
            (f"data:image/png;base64,{cut}", "picture 1: the PNG file is cut off"),
            ("http://127.0.0.1/a.png", "fetches nothing"),
            (str(folder / "a.png"), "fetches nothing"),
        ]:
            status, answer = server.post("/v1/chat/completions", body(url))
            assert status == 400 and message in answer["error"]["message"]
        said = dict(messages=[dict(role="user", content="<|image_pad|>")])
        status, answer = server.post("/v1/chat/completions", said)
        assert status == 400 and "0 pictures are given" in answer["error"]["message"]
    finally:
        server.stop()


def test_models_that_do_not_see_say_so(mbc, smollm2, seeing):
    for more in ((), ("--chat",)):
        out = mbc("generate", smollm2.source, "--prompt", "a", "--image", seeing.folder / "a.png", *more, status=2)
        assert "sees no pictures" in out


def test_a_large_photo_beside_transformers(probe, tmp_path):
    random = np.random.default_rng(4)
    path = tmp_path / "photo.jpg"
    Image.fromarray(np.kron(photo(random, 300, 400), np.ones((10, 10, 1), np.uint8))).save(path, quality=90)
    config = PROCESSORS[1]
    processor = Qwen2VLImageProcessorPil(**config)
    for _ in range(3):
        start = time.time()
        expected = processor(images=load_image(str(path)), return_tensors="np")["pixel_values"]
        theirs = time.time() - start
        _, found, ours = probe.values(path, tmp_path, config)
        print(f"12 megapixels: transformers {theirs:.2f} s, mbc {ours:.2f} s")
    assert np.abs(found.reshape(expected.shape) - expected).max() <= 1e-6
