"""`mbc generate --mtp`: the tokens are those without drafts, whatever the drafts are, and drafts are counted exactly."""

import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from conftest import BASE, MBC, V3, change_config, write_model
from drafting_models import HALF, RIGHT, WRONG, construct, is_drafted, successor
from test_generate import generate, tokens_of
from test_logits import mbc_logits
from test_serve import serving

VOCAB = BASE["vocab_size"]


@pytest.fixture(scope="module", params=[RIGHT, WRONG, HALF])
def constructed(request, tmp_path_factory):
    return request.param, construct(tmp_path_factory.mktemp(request.param) / "hf", request.param)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """Drafts that are right now and then, of layers that all take part; its latent attention has a form for prompts and
    one for what follows them."""
    return construct(tmp_path_factory.mktemp("noisy") / "hf", HALF, 1.5, V3 | dict(kv_lora_rank=192))


def random_prompts(number, sizes, **more):
    random = np.random.default_rng(number)
    return [dict(id=i, tokens=random.integers(0, VOCAB, size).tolist(), **more) for i, size in enumerate(sizes)]


def expected_counts(kind, last, count, drafts):
    """How many drafts are tried and are right where `count` tokens come after the token `last`."""
    token, made, tried, right = successor(last), 1, 0, 0
    while made < count:
        most = min(drafts, count - made - 1)
        good, at = 0, token
        while good < most and is_drafted(kind, at):
            at = successor(at)
            good += 1
        tried += most
        right += good
        made += good + 1
        token = successor(at)
    return tried, right


def counts_of(results):
    return [(result["draft_tokens"], result["accepted_tokens"]) for result in results]


OPTIONS = ("--ignore-eos", "--length", 128)
SAMPLED = ("--temperature", 1.3, "--top-p", 0.97, "--repetition-penalty", 1.1)


@pytest.mark.parametrize("drafts", [1, 3])
def test_drafts_are_counted_exactly(mbc, constructed, drafts, tmp_path):
    kind, folder = constructed
    prompts = random_prompts(1, (1, 9, 2, 30, 5))
    options = (*OPTIONS, "--max-new-tokens", 23)
    plain = generate(mbc, folder, prompts, tmp_path, *options)
    for prompt, result in zip(prompts, plain):
        token, expected = prompt["tokens"][-1], []
        for _ in range(23):
            expected.append(token := successor(token))
        assert result["tokens"] == expected
        assert "draft_tokens" not in result
    for company in (("--sequences", 1), ("--sequences", 2, "--chunk", 16), ()):
        found = generate(mbc, folder, prompts, tmp_path, *options, *company, "--mtp", "--draft-tokens", drafts)
        assert tokens_of(found) == tokens_of(plain)
        assert counts_of(found) == [expected_counts(kind, prompt["tokens"][-1], 23, drafts) for prompt in prompts]


def test_what_is_said_of_drafts(mbc, constructed, tmp_path):
    kind, folder = constructed
    options = (folder, "--tokens", "5", "--max-new-tokens", "20", *OPTIONS, "--mtp")
    said = json.loads(mbc("generate", *options, "--json", "--quiet"))
    tried, right = expected_counts(kind, 5, 20, 1)
    # The first token comes from the prompt; every other step gives one, and the drafts that were right.
    assert (said["draft_tokens"], said["accepted_tokens"]) == (tried, right)
    assert said["acceptance"] == right / tried == {RIGHT: 1, WRONG: 0}.get(kind, right / tried)
    assert said["tokens_per_step"] == 19 / (19 - right)
    assert said["results"][0]["acceptance"] == said["acceptance"]
    assert said["decode_tokens"] == 19
    done = subprocess.run([str(part) for part in (MBC, "generate", *options)], capture_output=True, text=True, timeout=300)
    line = f"drafts: {right} of {tried} accepted ({100 * right / tried:.0f} %), {19 / (19 - right):.2f} tokens a step"
    assert line in done.stderr.splitlines(), done.stderr


@pytest.mark.parametrize("sampling", [(), SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_tokens_are_those_without_drafts(mbc, noisy, sampling, dtype, tmp_path):
    prompts = random_prompts(2, (1, 40, 3, 17, 70, 2, 9, 33), seed=5)
    options = (*OPTIONS, "--max-new-tokens", 40, "--dtype", dtype, "--logprobs", 3, *sampling)
    plain = generate(mbc, noisy, prompts, tmp_path, *options, "--sequences", 1)
    assert any(b != successor(a) for result in plain for a, b in zip(result["tokens"], result["tokens"][1:]))
    parts = ("tokens", "logprobs", "top_logprobs", "finish_reason")
    for company in (("--sequences", 1), ("--sequences", 3, "--chunk", 24), ("--threads", 1)):
        for drafts in (1, 4):
            found = generate(mbc, noisy, prompts, tmp_path, *options, *company, "--mtp", "--draft-tokens", drafts)
            for a, b in zip(plain, found):
                # The same bits too: who tries a token computes it as who continues by it.
                assert [a[part] for part in parts] == [b[part] for part in parts], (company, drafts)
            tried, right = np.sum(counts_of(found), 0)
            assert 0 < right < tried
    # Nor do prompts beside it change a text.
    together = generate(mbc, noisy, prompts, tmp_path, *options, "--sequences", 3, "--chunk", 24)
    assert [[a[part] for part in parts] for a in together] == [[a[part] for part in parts] for a in plain]


def test_drawn_drafts_are_right_where_the_layer_is(mbc, tmp_path):
    folder = construct(tmp_path / "hf", RIGHT)
    prompts = random_prompts(3, (4, 11, 2), seed=9)
    options = (*OPTIONS, "--max-new-tokens", 40, "--temperature", 3)
    plain = generate(mbc, folder, prompts, tmp_path, *options)
    assert any(b != successor(a) for result in plain for a, b in zip(result["tokens"], result["tokens"][1:]))
    found = generate(mbc, folder, prompts, tmp_path, *options, "--mtp", "--draft-tokens", 2)
    assert tokens_of(found) == tokens_of(plain)
    tried, right = np.sum(counts_of(found), 0)
    assert right == tried > 0


def test_drafts_are_those_of_the_logits(mbc, tmp_path):
    """One draft at a time is what `mbc logits --mtp` says of the whole text: the layer's state is never behind, of which
    half of these drafts depend."""
    folder = construct(tmp_path / "hf", RIGHT, own=10)
    prompts = random_prompts(4, (1, 25, 60, 44, 37), max_new_tokens=60)
    for company in ((), ("--sequences", 1, "--chunk", 4)):
        found = generate(mbc, folder, prompts, tmp_path, *OPTIONS, "--mtp", *company)
        for prompt, result in zip(prompts, found):
            text = prompt["tokens"] + result["tokens"]
            mbc_logits(mbc, folder, torch.tensor([text]), tmp_path, "--mtp")
            drafts = np.load(tmp_path / "logits.draft.npy")[0].argmax(-1)
            first, tried, right = len(prompt["tokens"]), 0, 0
            at = first + 1  # after the first new token
            while at < len(text) - 1:
                tried += 1
                good = drafts[at - 2] == text[at]
                right += good
                at += 1 + good
            assert counts_of([result]) == [(tried, right)]
        tried, right = np.sum(counts_of(found), 0)
        assert tried > right > 0


def test_ends_lie_within_drafts(mbc, tmp_path):
    folder = construct(tmp_path / "hf", RIGHT)
    chain = [3]
    while len(chain) < 20:
        chain.append(successor(chain[-1]))
    for end in range(1, 8):
        change_config(folder, lambda config: config.update(eos_token_id=chain[end]))
        (folder / "generation_config.json").unlink(missing_ok=True)
        for drafts in (1, 2, 5):
            [found] = generate(mbc, folder, [dict(tokens=[3])], tmp_path, "--length", 64, "--max-new-tokens", 18,
                               "--mtp", "--draft-tokens", drafts)
            assert found["tokens"] == chain[1 : end + 1], (end, drafts)
            assert found["finish_reason"] == "stop_token"
            # What was guessed behind the end is not counted.
            assert found["draft_tokens"] == found["accepted_tokens"] < end


def test_what_was_rejected_is_not_used_again(mbc, noisy, tmp_path):
    options = (*OPTIONS, "--max-new-tokens", 20, "--sequences", 1)
    [first] = random_prompts(5, (30,))
    [answer] = generate(mbc, noisy, [first], tmp_path, *options)
    turns = [first, dict(tokens=first["tokens"] + answer["tokens"] + [7, 8]),
             dict(tokens=first["tokens"] + answer["tokens"][:11] + [9]), first]
    plain = generate(mbc, noisy, turns, tmp_path, *options)
    assert all(result["reused_tokens"] > 0 for result in plain[1:])
    found = generate(mbc, noisy, turns, tmp_path, *options, "--mtp", "--draft-tokens", 3)
    for part in ("tokens", "reused_tokens"):
        assert [result[part] for result in found] == [result[part] for result in plain], part


def test_megatron_checkpoints_draft_alike(mbc, noisy, tmp_path):
    prompts = random_prompts(6, (1, 20, 5))
    options = (*OPTIONS, "--max-new-tokens", 24, "--dtype", "float32", "--mtp")
    expected = generate(mbc, noisy, prompts, tmp_path, *options)
    mbc("import", noisy, "-o", tmp_path / "dist")
    mbc("reshard", tmp_path / "dist", "-o", tmp_path / "legacy", "--format", "torch", "--ep", 2)
    for source in (tmp_path / "dist", tmp_path / "legacy"):
        found = generate(mbc, source, prompts, tmp_path, *options)
        assert tokens_of(found) == tokens_of(expected)
        assert counts_of(found) == counts_of(expected)
    mbc("compile", noisy, "-o", tmp_path / "p.mbcp", "--mtp", "--draft-tokens", 2, "--sequences", 4, "--quiet")
    run = [MBC.with_name("mbc-run"), "generate", tmp_path / "p.mbcp", "--weights", tmp_path / "dist", "--quiet",
           "--ignore-eos", "--max-new-tokens", 24, "--prompts-file", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl"]
    # As many drafts as it was made for, fewer, none, and more, with fewer sequences at a time.
    for more in (["--mtp", "--draft-tokens", 2], ["--mtp"], [], ["--mtp", "--draft-tokens", 7]):
        subprocess.run([str(part) for part in (*run, *more)], check=True, timeout=300)
        found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
        assert tokens_of(found) == tokens_of(expected)
        if more == ["--mtp"]:
            assert counts_of(found) == counts_of(expected)


def test_who_cannot_draft_says_so(mbc, smollm2, noisy, tmp_path):
    tokens = ("--tokens", "1,2")
    plain = write_model(tmp_path / "hf", 6, "DeepseekV3", V3, "float32")
    for folder in (smollm2.source, plain):
        said = mbc("generate", folder, *tokens, "--mtp", status=2)
        assert "no layers for multi-token prediction" in said, said
    said = mbc("generate", noisy, *tokens, "--draft-tokens", 2, status=2)
    assert "option '--draft-tokens' needs '--mtp'" in said
    said = mbc("generate", noisy, *tokens, "--mtp", "--draft-tokens", 0, status=2)
    assert "option '--draft-tokens' is '0', expected a whole number from 1 to 16" in said
    said = mbc("generate", noisy, *tokens, "--mtp", "--chunk", 1, status=2)
    assert "option '--chunk' is 1, expected at least the 2 tokens and drafts" in said
    grown = tmp_path / "dynamic"
    shutil.copytree(noisy, grown)
    rope = dict(rope_type="dynamic", rope_theta=10000.0, factor=2.0, original_max_position_embeddings=64)
    change_config(grown, lambda config: config.update(rope_parameters=rope))
    said = mbc("generate", grown, *tokens, "--mtp", "--max-new-tokens", 2, status=2)
    assert "dynamic" in said, said
    for options, complaint in (((), "no function 'draft'; compile it with --mtp"),
                               (("--mtp", "--sequences", 2), "is 9, and the program tries 3 at most")):
        mbc("compile", noisy, "-o", tmp_path / "p.mbcp", "--overwrite", "--quiet", *options)
        done = subprocess.run(
            [str(part) for part in (MBC.with_name("mbc-run"), "generate", tmp_path / "p.mbcp", "--weights", noisy,
                                    *tokens, "--mtp", "--draft-tokens", 9)], capture_output=True, text=True, timeout=300)
        assert done.returncode == 2 and complaint in done.stderr, done.stderr


def test_a_server_drafts_and_counts(mbc, smollm2, tmp_path):
    """The same texts with and without, many at a time, with stop strings; a tokenizer of another model names the tokens."""
    folder = construct(tmp_path / "hf", HALF, 1.0, V3 | dict(vocab_size=49152))
    options = ("--tokenizer", smollm2.source, "--length", 256, "--sequences", 3)
    questions = [dict(prompt=f"{i} bottles of beer on the wall, take {i} down", max_tokens=30, temperature=i % 3 / 2, seed=i,
                      logprobs=2, ignore_eos=True) for i in range(6)]

    def answers(log, *more):
        (tmp_path / log).mkdir()
        with serving(folder, tmp_path / log, *options, *more) as server:
            with ThreadPoolExecutor(len(questions)) as pool:
                found = list(pool.map(lambda body: server.post("/v1/completions", body), questions))
            assert {status for status, _ in found} == {200}
            texts = [body["choices"][0] for _, body in found]
            [cut] = {choice["text"][4:6] for choice in texts[:1]}
            _, stopped = server.post("/v1/completions", questions[0] | dict(stop=[cut]))
            texts.append(stopped["choices"][0])
            return texts, server.metric("draft_tokens_total"), server.metric("draft_tokens_accepted_total")

    plain, tried, right = answers("plain")
    assert tried == right == 0 and plain[-1]["finish_reason"] == "stop"
    found, tried, right = answers("drafts", "--mtp", "--draft-tokens", 2)
    assert found == plain
    assert 0 < right < tried
