"""Folders with tokenizers, as checkpoints bring them: of package data (tools/get-tokenizers.sh), and with the components
of families whose vocabulary is in no package over a small one that is trained here."""

import base64
import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = Path(__file__).resolve().parents[2]
SMOLLM2 = ROOT / "build/models/SmolLM2-135M-Instruct"
PACKAGES = ROOT / "build/tokenizers"
LLAMA3 = PACKAGES / "llama_models/llama3/tokenizer.model"
QWEN = PACKAGES / "dashscope/resources/qwen.tiktoken"

LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_WORDS = LLAMA3_WORDS.replace(r"\p{N}{1,3}", r"\p{N}")
# Letters with case: written as escapes, since an editor may normalize some of them.
DEEPSEEK_V2_LETTERS = (
    r"\s?["
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d"
    "\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd"
    "\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59"
    "\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4"
    "\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149"
    "\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e"
    "\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb"
    "\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943"
    r"]+"
)
DEEPSEEK_V2_SPLITS = [
    "[\r\n]",
    DEEPSEEK_V2_LETTERS,
    "\\s?[!-/:-~！-／：-～‘-‟　-。]+",
    r"\s+$",
    "[一-龥ࠀ-一가-퟿]+",
]
DEEPSEEK_V3_SPLITS = [
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    r"""| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
]
MOONSHOT_WORDS = "|".join(
    [
        r"[\p{Han}]+",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)


def byte_characters():
    """GPT-2's characters for bytes."""
    printable = [b for b in range(256) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or 0xAE <= b]
    characters = {b: chr(b) for b in printable}
    for b in range(256):
        characters.setdefault(b, chr(256 + len(characters) - len(printable)))
    return characters


BYTES = byte_characters()


def spell(token: bytes):
    return "".join(BYTES[b] for b in token)


def read_ranks(path):
    lines = Path(path).read_bytes().splitlines()
    return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines if line)}


def from_ranks(path):
    """The model that makes of a tiktoken vocabulary what tiktoken does: every way in which a token can be cut."""
    ranks = read_ranks(path)
    merges = []
    for token in sorted(ranks, key=ranks.get):
        cuts = [(token[:i], token[i:]) for i in range(1, len(token)) if token[:i] in ranks and token[i:] in ranks]
        merges += sorted(cuts, key=lambda cut: (ranks[cut[0]], ranks[cut[1]]))
    vocabulary = {spell(token): rank for token, rank in ranks.items()}
    return models.BPE(vocabulary, [(spell(a), spell(b)) for a, b in merges], ignore_merges=True)


def split_words(*patterns):
    steps = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    return pre_tokenizers.Sequence([*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def with_bos(tokenizer, bos):
    template = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])


def llama3():
    tokenizer = Tokenizer(from_ranks(LLAMA3))
    names = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    tokenizer.add_special_tokens(names + [f"<|reserved_special_token_{i}|>" for i in range(251)])
    tokenizer.pre_tokenizer = split_words(LLAMA3_WORDS)
    tokenizer.decoder = decoders.ByteLevel()
    with_bos(tokenizer, "<|begin_of_text|>")
    return tokenizer


def qwen():
    tokenizer = Tokenizer(from_ranks(QWEN))
    tokenizer.model.ignore_merges = False
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>"])
    tokenizer.add_tokens(["<tool_call>", "</tool_call>", "<think>", "</think>"])
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = split_words(QWEN_WORDS)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def train(tokenizer, texts, special):
    trainer = trainers.BpeTrainer(
        vocab_size=3000,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)


def deepseek(version, texts):
    tokenizer = Tokenizer(models.BPE())
    splits = DEEPSEEK_V2_SPLITS if version == 2 else DEEPSEEK_V3_SPLITS
    steps = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in splits]
    if version == 2:
        steps.append(pre_tokenizers.Digits(individual_digits=True))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    special = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"]
    train(tokenizer, texts, special)
    tokenizer.add_special_tokens(["<｜User｜>", "<｜Assistant｜>"])
    tokenizer.normalizer = normalizers.Sequence([])
    tokenizer.decoder = decoders.ByteLevel()
    with_bos(tokenizer, special[0])
    return tokenizer


def odd(texts):
    """What no family above has, at once."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace(Regex(r"\d{4,}"), "<number>"),
         normalizers.Replace("''", '"'), normalizers.Strip(left=True, right=False)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(" ", "merged_with_next"), pre_tokenizers.Split(Regex(r"[,;.]+"), "merged_with_previous"),
         pre_tokenizers.Split(Regex(r"\w+"), "contiguous", invert=True), pre_tokenizers.Punctuation("isolated"),
         pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.ByteLevel(add_prefix_space=True)]
    )
    train(tokenizer, texts, ["<s>", "</s>"])
    from tokenizers import AddedToken

    tokenizer.add_tokens(
        [AddedToken("Word", single_word=True), AddedToken("<left>", lstrip=True), AddedToken("<right>", rstrip=True),
         AddedToken("<both>", lstrip=True, rstrip=True, normalized=False), AddedToken("ÀB", normalized=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    return tokenizer


def sentencepiece(texts):
    """BPE over characters with byte fallback, as converted SentencePiece models have it."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    trainer = trainers.BpeTrainer(
        vocab_size=2000, limit_alphabet=300, show_progress=False,
        special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)],
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    tokenizer.train_from_iterator([text[:40] for text in texts], trainer)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def write(tokenizer, folder, config=None):
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(config or {}))
    return folder


def moonlight(folder):
    """A tiktoken.model folder and tiktoken's own encoding of it."""
    import tiktoken

    ranks = read_ranks(QWEN)
    base = len(ranks)
    named = {base: "[BOS]", base + 1: "[EOS]", base + 2: "<|im_end|>", base + 3: "<|im_user|>"}
    folder.mkdir(parents=True)
    (folder / "tiktoken.model").write_bytes(QWEN.read_bytes())
    flags = dict(lstrip=False, rstrip=False, normalized=False, single_word=False, special=True)
    config = {"tokenizer_class": "TikTokenTokenizer", "bos_token": "[BOS]", "eos_token": "[EOS]",
              "added_tokens_decoder": {str(id): dict(flags, content=name) for id, name in named.items()}}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    special = {named.get(id, f"<|reserved_token_{id}|>"): id for id in range(base, base + 256)}
    return tiktoken.Encoding("moonlight", pat_str=MOONSHOT_WORDS, mergeable_ranks=ranks, special_tokens=special)
