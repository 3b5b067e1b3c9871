"""`mbc serve` with OpenAI's own client: the shapes it parses, the same texts as `mbc generate`, limits and failures."""

import contextlib
import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import openai
import pytest
from conftest import MBC, ROOT

INPUTS = ROOT / "test/Commands/Inputs"
QUESTION = [dict(role="user", content="What is the capital of France? Answer in one sentence.")]


class Server:
    """A server on a free port of this machine, ended with its block."""

    def __init__(self, folder, log, *options):
        self.log = log
        self.name = folder.name
        self.process = subprocess.Popen(
            [MBC, "serve", folder, "--port", "0", *map(str, options)],
            stdout=subprocess.DEVNULL,
            stderr=log.open("w"),
        )
        line = self.wait_for(r"http://127\.0\.0\.1:(\d+)/v1")
        self.port = int(line.group(1))
        self.client = self.connect()

    def wait_for(self, pattern, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := re.search(pattern, self.log.read_text()):
                return found
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)
        pytest.fail(f"no {pattern} in: {self.log.read_text()}")

    def connect(self, key="any"):
        return openai.OpenAI(
            base_url=f"http://127.0.0.1:{self.port}/v1", api_key=key, timeout=60, max_retries=0
        )

    def post(self, path, body, **headers):
        """Status and JSON of any body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", path, data, {"Content-Type": "application/json"} | headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text)

    def metric(self, name):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return float(re.search(rf"^mbc_{name} (.*)$", text, re.M).group(1))

    def becomes_idle(self, seconds=5):
        end = time.monotonic() + seconds
        while self.metric("texts_running") + self.metric("texts_waiting"):
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def serving(folder, scratch, *options):
    server = Server(folder, scratch / "log.txt", *options)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def smol(smollm2, tmp_path_factory):
    with serving(
        smollm2.source, tmp_path_factory.mktemp("serve"), "--dtype", "float32", "--length", 512
    ) as server:
        yield server


@pytest.fixture(scope="module")
def bytes_folder(mbc, tmp_path_factory):
    """A small model of bytes, whose texts are full of broken characters."""
    scratch = tmp_path_factory.mktemp("bytes")
    config = subprocess.run(
        [sys.executable, INPUTS / "tiny.py", "llama", "vocab_size=260", "max_position_embeddings=4096"],
        check=True, capture_output=True,
    ).stdout
    (scratch / "llama.json").write_bytes(config)
    mbc("toy", scratch / "llama.json", "-o", scratch / "hf", "--quiet")
    subprocess.run([sys.executable, INPUTS / "byte_tokenizer.py", scratch / "hf"], check=True)
    return scratch / "hf"


@pytest.fixture(scope="module")
def small(bytes_folder, tmp_path_factory):
    with serving(
        bytes_folder, tmp_path_factory.mktemp("serve"), "--sequences", 4, "--queue", 4, "--max-body", 20000
    ) as server:
        yield server


def generated(mbc, folder, scratch, prompts, *options):
    (scratch / "in.jsonl").write_text("".join(json.dumps(prompt) + "\n" for prompt in prompts))
    mbc("generate", folder, "--prompts-file", scratch / "in.jsonl", "-o", scratch / "out.jsonl", "--quiet", *options)
    return [json.loads(line) for line in (scratch / "out.jsonl").read_text().splitlines()]


def test_models(smol):
    [model] = smol.client.models.list().data
    assert (model.id, model.object, model.owned_by) == (smol.name, "model", "mbc")
    assert smol.client.models.retrieve(smol.name) == model
    with pytest.raises(openai.NotFoundError):
        smol.client.models.retrieve("other")


def test_texts_are_those_of_generate(mbc, smol, smollm2, tmp_path):
    prompts = ["Once upon a time", "1, 1, 2, 3, 5, 8,", "日本の首都は"]
    expected = generated(
        mbc, smollm2.source, tmp_path,
        [dict(prompt=prompt) for prompt in prompts] + [dict(messages=QUESTION)],
        "--dtype", "float32", "--max-new-tokens", 24,
    )
    answer = smol.client.completions.create(model=smol.name, prompt=prompts, max_tokens=24, temperature=0)
    assert answer.object == "text_completion"
    assert [choice.text for choice in answer.choices] == [result["text"] for result in expected[:3]]
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage.prompt_tokens == sum(result["prompt_tokens"] for result in expected[:3])
    assert answer.usage.completion_tokens == sum(len(result["tokens"]) for result in expected[:3])
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    chat = smol.client.chat.completions.create(model=smol.name, messages=QUESTION, max_tokens=24, temperature=0)
    [choice] = chat.choices
    assert chat.object == "chat.completion"
    assert choice.message.role == "assistant"
    assert choice.message.content == expected[3]["text"]
    assert choice.finish_reason == {"stop_token": "stop", "length": "length"}[expected[3]["finish_reason"]]
    assert chat.usage.completion_tokens == len(expected[3]["tokens"])


def test_streams_are_the_whole_in_pieces(smol):
    ask = dict(model=smol.name, messages=QUESTION, max_tokens=24, temperature=0)
    whole = smol.client.chat.completions.create(**ask)
    chunks = list(
        smol.client.chat.completions.create(**ask, stream=True, stream_options=dict(include_usage=True))
    )
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    told = [chunk.choices[0] for chunk in chunks[:-1]]
    assert "".join(choice.delta.content or "" for choice in told) == whole.choices[0].message.content
    assert [choice.finish_reason for choice in told if choice.finish_reason] == [whole.choices[0].finish_reason]
    assert len(told) > 5


@pytest.mark.parametrize("seed", range(4))
def test_pieces_have_whole_characters(small, seed):
    ask = dict(model="hf", prompt="aé🐈", max_tokens=200, temperature=1, seed=seed)
    whole = small.client.completions.create(**ask).choices[0].text
    pieces = [chunk.choices[0].text for chunk in small.client.completions.create(**ask, stream=True)]
    assert "".join(pieces) == whole
    assert len(pieces) > 20
    echoed = small.client.completions.create(**ask, echo=True, stream=True)
    assert "".join(chunk.choices[0].text for chunk in echoed) == "aé🐈" + whole


def test_seeds(small):
    def texts(**more):
        answer = small.client.completions.create(model="hf", prompt="a", max_tokens=30, **more)
        return [choice.text for choice in answer.choices]

    assert texts(seed=1, n=3) == texts(seed=1, n=3)
    assert len(set(texts(seed=1, n=3))) == 3
    assert texts(seed=1) == texts(seed=1, n=3)[:1]
    assert texts(seed=1) != texts(seed=2)
    assert texts() != texts()
    assert len(set(texts(temperature=0, n=3))) == 1


def test_stops(smol):
    ask = dict(model=smol.name, messages=QUESTION, max_tokens=24, temperature=0)
    whole = smol.client.chat.completions.create(**ask).choices[0].message.content
    assert "Paris" in whole
    for stop in ("Paris", ["never", "Paris"]):
        [choice] = smol.client.chat.completions.create(**ask, stop=stop).choices
        assert choice.message.content == whole[: whole.index("Paris")]
        assert choice.finish_reason == "stop"
    chunks = smol.client.chat.completions.create(**ask, stop="Paris", stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole[: whole.index("Paris")]


def test_log_probabilities(smol):
    ask = dict(model=smol.name, max_tokens=6, temperature=0)
    answer = smol.client.completions.create(**ask, prompt="The capital of France is", logprobs=3)
    found = answer.choices[0].logprobs
    assert "".join(found.tokens) == answer.choices[0].text
    assert found.text_offset == [len("".join(found.tokens[:i])) for i in range(6)]
    for token, score, best in zip(found.tokens, found.token_logprobs, found.top_logprobs):
        assert len(best) == 3 and best[token] == score == max(best.values()) <= 0
    chat = smol.client.chat.completions.create(**ask, messages=QUESTION, logprobs=True, top_logprobs=2)
    content = chat.choices[0].logprobs.content
    assert len(content) == 6
    for entry in content:
        assert bytes(entry.bytes).decode() == entry.token == entry.top_logprobs[0].token
        assert len(entry.top_logprobs) == 2
    chunks = smol.client.chat.completions.create(
        **ask, messages=QUESTION, logprobs=True, top_logprobs=2, stream=True
    )
    streamed = [entry for chunk in chunks if chunk.choices[0].logprobs for entry in chunk.choices[0].logprobs.content]
    assert streamed == content


def test_eight_clients_get_what_one_gets(smol):
    prompts = [f"{number} is a number that" for number in range(8)]

    def ask(prompt):
        answer = smol.connect().completions.create(model=smol.name, prompt=prompt, max_tokens=16, temperature=0)
        return answer.choices[0].text

    alone = [ask(prompt) for prompt in prompts]
    together = [None] * 8

    def work(index):
        together[index] = ask(prompts[index])

    steps = smol.metric("steps_total")
    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert together == alone
    # They were computed together.
    assert smol.metric("steps_total") - steps < 8 * 16


LONG = dict(model="hf", prompt="a", max_tokens=3900, extra_body=dict(ignore_eos=True))


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_frees_its_slots(small, stream):
    body = json.dumps(dict(prompt="a", max_tokens=3900, ignore_eos=True, n=4, stream=stream)).encode()
    before = small.metric("completion_tokens_total")
    with socket.create_connection(("127.0.0.1", small.port), timeout=10) as client:
        client.sendall(
            b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
        )
        if stream:
            assert client.recv(4096)
        while not small.metric("texts_running"):
            time.sleep(0.01)
    assert small.becomes_idle()
    assert small.metric("completion_tokens_total") == before  # none came to its end
    assert small.client.completions.create(model="hf", prompt="a", max_tokens=2).usage.completion_tokens


def test_a_full_queue(small):
    stream = small.client.completions.create(**LONG, n=8, stream=True)  # four of them wait
    try:
        next(iter(stream))
        with pytest.raises(openai.RateLimitError) as refused:
            small.client.completions.create(model="hf", prompt="a", max_tokens=1)
        assert refused.value.code == "queue_full"
        assert refused.value.response.headers["retry-after"] == "1"
        assert small.client.models.list().data  # others are answered
    finally:
        stream.close()
    assert small.becomes_idle()
    assert small.client.completions.create(model="hf", prompt="a", max_tokens=1).choices


TEXT, CHAT = "/v1/completions", "/v1/chat/completions"
HELLO = [dict(role="user", content="a")]
REFUSED = [
    (TEXT, b"", 400, None),
    (TEXT, b"{", 400, None),
    (TEXT, b"[1]", 400, None),
    (TEXT, b"null", 400, None),
    (TEXT, b'{"prompt": "\xff"}', 400, None),
    (TEXT, b'{"prompt": "\\ud83d"}', 400, None),
    (TEXT, b'{"prompt": "a", "temperature": NaN}', 400, None),
    (TEXT, b'{"prompt": "a", "temperature": Infinity}', 400, None),
    (TEXT, b'{"prompt": "a", "temperature": 1e400}', 400, "temperature"),
    (TEXT, b'{"prompt": ' + b"[" * 10000, 400, None),
    (TEXT, b'{"prompt": "a", "n": 99999999999999999999999}', 400, "n"),
    (TEXT, b" " * 30000, 413, None),
    (TEXT, {}, 400, "prompt"),
    (TEXT, dict(prompt=""), 400, "prompt"),
    (TEXT, dict(prompt=[]), 400, "prompt"),
    (TEXT, dict(prompt=[[]]), 400, "prompt"),
    (TEXT, dict(prompt=[260]), 400, "prompt"),
    (TEXT, dict(prompt=[-1]), 400, "prompt"),
    (TEXT, dict(prompt={"a": 1}), 400, "prompt"),
    (TEXT, dict(prompt="a", max_tokens=-1), 400, "max_tokens"),
    (TEXT, dict(prompt="a", max_tokens=0), 400, "max_tokens"),
    (TEXT, dict(prompt="a", max_tokens=4096), 400, "prompt"),
    (TEXT, dict(prompt="a" * 4096), 400, "prompt"),
    (TEXT, dict(prompt="a", n=0), 400, "n"),
    (TEXT, dict(prompt="a", n=9), 400, "n"),
    (TEXT, dict(prompt="a", n=10**6), 400, "n"),
    (TEXT, dict(prompt="a", temperature=-0.1), 400, "temperature"),
    (TEXT, dict(prompt="a", top_p=0), 400, "top_p"),
    (TEXT, dict(prompt="a", stop=["a"] * 5), 400, "stop"),
    (TEXT, dict(prompt="a", stop=""), 400, "stop"),
    (TEXT, dict(prompt="a", seed="x"), 400, "seed"),
    (TEXT, dict(prompt="a", stream=1), 400, "stream"),
    (TEXT, dict(prompt="a", logprobs=99), 400, "logprobs"),
    (TEXT, dict(prompt="a", echo=True, logprobs=1), 400, "echo"),
    (TEXT, dict(prompt="a", suffix="b"), 400, "suffix"),
    (TEXT, dict(prompt="a", best_of=2), 400, "best_of"),
    (TEXT, dict(prompt="a", logit_bias={"1": 5}), 400, "logit_bias"),
    (TEXT, dict(prompt="a", frequency_penalty=1), 400, "frequency_penalty"),
    (TEXT, dict(prompt="a", max_new_tokens=1), 400, "max_new_tokens"),
    (TEXT, dict(prompt="a", model="gpt-4"), 404, "model"),
    (CHAT, dict(prompt="a"), 400, "messages"),
    (CHAT, dict(messages=[]), 400, "messages"),
    (CHAT, dict(messages=[dict(role="robot", content="a")]), 400, "messages[0]"),
    (CHAT, dict(messages=[dict(role="tool", content="a")]), 400, "messages"),  # what the template says
    (CHAT, dict(messages=[dict(role="user", content=[dict(type="image_url")])]), 400, "messages[0]"),
    (CHAT, dict(messages=HELLO, response_format=dict(type="json_object")), 400, "response_format"),
    (CHAT, dict(messages=HELLO, tool_choice="required"), 400, "tool_choice"),
    (CHAT, dict(messages=HELLO, top_logprobs=2), 400, "top_logprobs"),
    (CHAT, dict(messages=HELLO, max_completion_tokens=5000), 400, "messages"),
    (CHAT, dict(messages=HELLO, model="gpt-4"), 404, "model"),
    ("/v1/embeddings", dict(input="a"), 404, None),
    ("/v1/models", {}, 405, None),
]


def test_bad_requests(small):
    for path, body, status, param in REFUSED:
        found, answer = small.post(path, body)
        error = answer["error"]
        assert (found, error["param"]) == (status, param), (body, answer)
        assert set(error) == {"message", "type", "param", "code"}
        assert error["type"] == "invalid_request_error" and error["message"]
    assert small.post(TEXT, b"{}", **{"Content-Type": "text/plain"})[0] == 415
    with pytest.raises(openai.BadRequestError, match="the context holds 4096 tokens; the prompt has 1, and 5000") as error:
        small.client.completions.create(model="hf", prompt="a", max_tokens=5000)
    assert error.value.code == "context_length_exceeded"
    assert small.process.poll() is None


def test_keys(bytes_folder, tmp_path):
    with serving(bytes_folder, tmp_path, "--api-key", "secret", "--served-model-name", "a/b") as server:
        with pytest.raises(openai.AuthenticationError) as refused:
            server.client.models.list()
        assert refused.value.code == "invalid_api_key"
        assert [model.id for model in server.connect("secret").models.list().data] == ["a/b"]
        assert server.connect("secret").models.retrieve("a/b").id == "a/b"
    assert "secret" not in (tmp_path / "log.txt").read_text()


def test_a_model_without_a_template_has_completions(bytes_folder, tmp_path):
    plain = tmp_path / "plain"
    shutil.copytree(bytes_folder, plain)
    (plain / "tokenizer_config.json").unlink()
    with serving(plain, tmp_path) as server:
        assert server.client.completions.create(model="plain", prompt="a", max_tokens=1).choices
        with pytest.raises(openai.BadRequestError, match="has no chat template"):
            server.client.chat.completions.create(model="plain", messages=HELLO)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_streams_end(bytes_folder, tmp_path, number):
    with serving(bytes_folder, tmp_path) as server:
        stream = iter(server.client.completions.create(**LONG | dict(max_tokens=300), stream=True))
        chunks = [next(stream)]
        server.process.send_signal(number)
        chunks += stream
        assert chunks[-1].choices[0].finish_reason == "length"
        assert server.process.wait(20) == 0
    with pytest.raises(openai.APIConnectionError):
        server.client.models.list()


def test_a_second_signal_ends_at_once(bytes_folder, tmp_path):
    with serving(bytes_folder, tmp_path) as server:
        stream = server.client.completions.create(**LONG, n=8, stream=True)
        next(iter(stream))
        server.process.terminate()
        time.sleep(0.2)
        server.process.terminate()
        assert server.process.wait(2) == -signal.SIGTERM


def test_an_idle_server_sleeps(small):
    assert small.becomes_idle()
    time.sleep(0.2)

    def ticks():
        fields = open(f"/proc/{small.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    time.sleep(1)
    assert ticks() - before <= 1  # of 100 a second


def test_the_log_has_no_texts(small):
    small.client.completions.create(model="hf", prompt="a secret", max_tokens=3)
    line = small.wait_for(r".*'POST' '/v1/completions' 200, 8 \+ 3 tokens .* s\n", 5).group()
    assert "secret" not in line
    assert "secret" not in small.log.read_text()
