"""Generated conversations: with a system message or none, tools, calls and results with nested arguments, thinking, parts
of text and images, absent content, odd white space, all of Unicode."""

import random

WORDS = ["hi", "The capital of France?", " ", "\n\n", "  lead", "trail \t", "é中\U0001f600", "<think>\nwhy\n</think>\n\nso", "</think>", "{\"a\": [1, 2]}", "it's \"q\"", "<|im_end|>", "\u2028x\x85", "a\r\nb", "{{ x }}", "", "ß İ ǅ", "&<>", "\\n", "\x00\x1f\x7f"]
PLAIN = dict(bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token=None)


class Conversations:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def text(self):
        return "".join(self.r.choice(WORDS) for _ in range(self.r.randint(0, 4)))

    def value(self, depth=2):
        r = self.r.random()
        if depth and r < 0.25:
            return [self.value(depth - 1) for _ in range(self.r.randint(0, 3))]
        if depth and r < 0.5:
            return {self.r.choice(["a", "b", "é", "items", "x y", "0"]): self.value(depth - 1) for _ in range(self.r.randint(0, 3))}
        return self.r.choice([1, -2, 0.5, 1e22, 1e-7, True, False, None, "s", self.text(), 12345678901234567890])

    def content(self, plain):
        r = self.r.random()
        if r < plain:
            return self.text()
        if r < plain + (1 - plain) / 2:
            return None
        return [self.r.choice([{"type": "text", "text": self.text()}, {"type": "image", "image": "x.png"}, {"type": "video"}]) for _ in range(self.r.randint(0, 3))]

    def call(self):
        arguments = {self.r.choice("abc"): self.value() for _ in range(self.r.randint(0, 3))}
        call = {"type": "function", "function": {"name": self.r.choice(["get", "wëb"]), "arguments": self.text() if self.r.random() < 0.2 else arguments}}
        if self.r.random() < 0.9:
            call["id"] = "id%07d" % self.r.randint(0, 10**7 - 1)
        return call

    def variables(self):
        plain = self.r.choice([1.0, 1.0, 0.7])
        messages = [{"role": "system", "content": self.content(plain)}] if self.r.random() < 0.5 else []
        for _ in range(self.r.randint(0, 4)):
            messages.append({"role": "user", "content": self.content(plain)})
            if self.r.random() < 0.35:
                calls = [self.call() for _ in range(self.r.randint(1, 2))]
                messages.append({"role": "assistant", "content": self.r.choice([None, "", self.text()]), "tool_calls": calls})
                messages += [{"role": "tool", "name": "get", "content": self.text()} for _ in calls]
            if self.r.random() < 0.8:
                messages.append({"role": "assistant", "content": self.content(plain)})
                if self.r.random() < 0.3:
                    messages[-1]["reasoning_content"] = self.text()
        if self.r.random() < 0.05:
            messages.append({"role": "narrator", "content": "?"})
        tool = lambda name: {"type": "function", "function": {"name": name, "description": self.text(), "parameters": {"type": "object", "properties": self.value(), "required": ["a"]}, "return": {"type": "string"}}}
        made = dict(PLAIN, messages=messages, tools=[tool("get"), tool("set")][: self.r.randint(1, 2)] if self.r.random() < 0.4 else None, documents=None)
        made["add_generation_prompt"] = self.r.random() < 0.5
        for name in ("enable_thinking", "thinking", "add_vision_id"):
            if self.r.random() < 0.4:
                made[name] = self.r.random() < 0.5
        if self.r.random() < 0.1:
            made["builtin_tools"] = ["get", "code"]
        return made
