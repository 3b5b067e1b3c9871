"""Picture files of many kinds, and small models that see, for the tests of pictures."""

import json
import struct
import zlib

import numpy as np
import tokenizers
import transformers
from conftest import BASE, SEEING, write_model
from PIL import Image

SPECIAL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>",
]
# What Qwen2.5-VL's template makes of messages, without its numbering of pictures.
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' or 'image' in part or 'image_url' in part %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def photo(random, height, width, channels=3):
    """Smooth waves, edges and noise."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [128 + 100 * np.sin(x / (5 + i)) + 30 * np.cos(y * (i + 1) / 6) + 60 * ((x // 9 + y // 7) % 2) for i in range(channels)]
    return np.clip(np.stack(waves, -1) + random.normal(0, 15, (height, width, channels)), 0, 255).astype(np.uint8)


def png(width, height, depth, colour, random, interlaced=False, chunks=()):
    """A PNG file of random pixels: any depth and colour type of the format, which Pillow does not write."""
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]

    def rows(columns, lines):
        if columns == 0 or lines == 0:
            return b""
        size = (columns * bits + 7) // 8
        return b"".join(bytes([0]) + random.integers(0, 256, size, dtype=np.uint8).tobytes() for _ in range(lines))

    data = rows(width, height)
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
        data = b"".join(rows(len(range(x, width, dx)), len(range(y, height, dy))) for x, y, dx, dy in passes)

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    palette = [chunk(b"PLTE", random.integers(0, 256, 3 << depth, dtype=np.uint8).tobytes())] if colour == 3 else []
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    parts = [chunk(b"IHDR", head), *palette, *(chunk(*one) for one in chunks), chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def picture_files(folder, random):
    """Files of every kind of PNG and JPEG that is read."""
    files = []

    def add(name, data):
        files.append(folder / name)
        files[-1].write_bytes(data) if isinstance(data, bytes) else data(files[-1])

    kinds = [(0, depth) for depth in (1, 2, 4, 8, 16)] + [(3, depth) for depth in (1, 2, 4, 8)]
    kinds += [(colour, depth) for colour in (2, 4, 6) for depth in (8, 16)]
    for colour, depth in kinds:
        for interlaced in (False, True):
            add(f"{colour}-{depth}-{interlaced}.png", png(43, 29, depth, colour, random, interlaced))
    transparent = {0: bytes(2), 2: bytes(6), 3: bytes([0, 128, 255])}
    for colour, values in transparent.items():
        add(f"{colour}-transparent.png", png(43, 29, 8, colour, random, chunks=[(b"tRNS", values)]))
    gamma = [(b"gAMA", struct.pack(">I", 200000)), (b"sBIT", bytes([5, 6, 5]))]
    add("gamma.png", png(43, 29, 8, 2, random, chunks=gamma))
    for quality, sampling, progressive in [(75, 0, False), (90, 1, True), (60, 2, False), (95, 2, True)]:
        for size in [(8, 8), (65, 33), (1, 90)]:
            image = Image.fromarray(photo(random, *size))
            add(f"{quality}-{size[0]}.jpg", lambda path: image.save(path, quality=quality, subsampling=sampling, progressive=progressive))
    add("grey.jpg", lambda path: Image.fromarray(photo(random, 40, 50)).convert("L").save(path))
    add("inks.jpg", lambda path: Image.fromarray(photo(random, 40, 50, 4), "CMYK").save(path))
    add("restarts.jpg", lambda path: Image.fromarray(photo(random, 90, 50)).save(path, restart_marker_blocks=3))
    for orientation in range(10):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for suffix in ("jpg", "png"):
            add(f"turned-{orientation}.{suffix}", lambda path: Image.fromarray(photo(random, 40, 61)).save(path, exif=exif))
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="8"/></x:xmpmeta>'
    add("turned-xmp.jpg", lambda path: Image.fromarray(photo(random, 40, 61)).save(path, xmp=xmp))
    for height, width in [(56, 56), (57, 55), (10, 300), (300, 10), (400, 601), (1200, 700)]:
        add(f"size-{height}-{width}.png", lambda path: Image.fromarray(photo(random, height, width)).save(path))
    return files


def write_seeing_model(folder, seed=0, **processor):
    """A small Qwen2.5-VL with a tokenizer of bytes, a chat template and a picture processor: its folder."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    ids = {name: tokenizer.token_to_id(name) for name in SPECIAL}
    changes = SEEING | dict(
        text_config=BASE | SEEING["text_config"] | dict(vocab_size=264, max_position_embeddings=1024),
        vision_config=SEEING["vision_config"] | dict(patch_size=4, window_size=16),
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    write_model(folder, seed, "Qwen2_5_VL", changes, "float32")
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=TEMPLATE
    ).save_pretrained(folder)
    settings = dict(
        image_processor_type="Qwen2VLImageProcessor", patch_size=4, merge_size=2, temporal_patch_size=2,
        min_pixels=256, max_pixels=4096,
    )
    (folder / "preprocessor_config.json").write_text(json.dumps(settings | processor))
    return folder
