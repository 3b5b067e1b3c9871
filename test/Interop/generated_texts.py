"""Texts to try tokenizers with, from a seed."""

import random

WORDS = (
    "the of model tokenizer don't I'LL we've Word word ÀB àb naïve Straße Ελληνικά слово שלום مرحبا हिन्दी ไทย 你好 世界 日本語 "
    "カタカナ 한국어 e\u0301 A\u030a ﬁ ① Ⅷ ½ ª ʼn ǅ İ ſ K Å 'ſ 'S x\u200dy 👩\u200d👩\u200d👧 🇩🇪 ▁x <0x41> ''quote''"
).split()
CODE = [
    "def f(x):\n    return x ** 2  # comment\n", "for (int i = 0; i < n; ++i) {\n\t\tsum += a[i];\n}\n", "<div class=\"a\">&amp;</div>",
    "https://example.org/a?b=c#d", "{\"a\": [1, 2.5e-3, null]}", "x->y::z<T&&>();", "\\begin{x}$\\alpha_{1}$", "user_name@host:~$ ls -la | wc\r\n",
]  # fmt: skip
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n ", "\u00a0", "\u3000", "\u2028", "\x85", "\x0b", "\x0c", "\u180e", "\u200b"]
RANGES = [
    (0x20, 0x7F), (0x80, 0x250), (0x300, 0x370), (0x370, 0x530), (0x590, 0x700), (0x900, 0xE00), (0x1100, 0x1200), (0x1E00, 0x2000),
    (0x2000, 0x2100), (0x2100, 0x2C00), (0x3000, 0x3100), (0x4E00, 0x9FFF), (0xAC00, 0xD7A4), (0xF900, 0xFB50), (0xFE00, 0x10000),
    (0x1D400, 0x1D800), (0x1F300, 0x1FA00), (0x20000, 0x2A000),
]  # fmt: skip


def character(random):
    while True:
        code = random.randrange(*random.choice(RANGES)) if random.random() < 0.8 else random.randrange(0x110000)
        if not 0xD800 <= code < 0xE000:
            return chr(code)


def part(random, special):
    kind = random.randrange(9)
    if kind <= 1:
        return random.choice(WORDS)
    if kind == 2:
        return random.choice(CODE)
    if kind == 3:
        return "".join(random.choice(SPACES) for _ in range(random.randrange(1, 5)))
    if kind == 4:
        return "".join(character(random) for _ in range(random.randrange(1, 6)))
    if kind == 5:
        return str(random.randrange(10 ** random.randrange(1, 12)))
    if kind == 6:
        return random.choice(special) if random.random() < 0.5 else random.choice(special)[: random.randrange(1, 8)]
    if kind == 7:
        raw = bytes(random.randrange(256) for _ in range(random.randrange(1, 8)))
        cut = random.choice(WORDS).encode()
        return (raw + cut[: random.randrange(len(cut) + 1)]).decode("utf-8", "replace")
    return random.choice(["a", "Ab", "z", "é", "ß"]) * random.randrange(1, 40) if random.random() < 0.3 else " "


def texts(seed, count, special=("<|im_start|>",)):
    numbers = random.Random(seed)
    special = list(special)
    return ["".join(part(numbers, special) for _ in range(numbers.randrange(0, 10))) for _ in range(count)]
