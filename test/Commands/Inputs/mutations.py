"""mutations.py FOLDER COUNT SEED [KIND]: changes small models of every family at random, COUNT times, and asks `mbc verify`
about each: against the source, and from the manifest of the import alone.

Every change must be found. With the source, a changed element is named with its tensor and its byte, and what has changed
places is named as exchanged; from the manifest the tensor is named, and exchanges of whole tensors. A change is passed over
only where the byte is one that nobody reads: the reason is worked out here, from the format, and the export of such a
checkpoint must give exactly the source. Prints a table by kind; exit status 1 when something was wrong.
"""

import collections
import concurrent.futures
import filecmp
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys

sys.dont_write_bytecode = True

import torch_dist
from mutation_models import MODELS, finish
from weight_files import Numbers, Safetensors, TorchDist, read, write

PASSED_OVER = "passed over"


def mbc(*arguments):
    done = subprocess.run(["mbc", *arguments, "--quiet", "--threads", "1"], capture_output=True, timeout=600,
                          env={**os.environ, "MLIR_NUM_THREADS": "1"})
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


class Change:
    """What was done, and what must be said of it."""

    def __init__(self, what, files, tensors=(), at=None, says=(), manifest_says=(), any_tensor=False):
        self.what, self.files, self.tensors = what, files, set(tensors)
        self.at = at  # (file, byte): where the first difference is
        self.says, self.manifest_says, self.any_tensor = says, manifest_says, any_tensor


class Base:
    """A model in both formats, and a copy of each to be changed."""

    def __init__(self, root, name):
        config, toy, layout = MODELS[name]
        self.root, self.name, self.config = root, name, config
        os.makedirs(root)
        self.hf, self.megatron = os.path.join(root, "hf"), os.path.join(root, "megatron")
        with open(os.path.join(root, "config.json"), "w") as file:
            json.dump(config, file, indent=2)
        self.expect(mbc("toy", os.path.join(root, "config.json"), "-o", self.hf, *toy))
        finish(self.hf)
        self.plant()
        finish(self.hf)
        self.expect(mbc("import", self.hf, "-o", self.megatron, *layout))
        self.changed_hf, self.changed_megatron = self.hf + "-changed", self.megatron + "-changed"
        shutil.copytree(self.hf, self.changed_hf)
        shutil.copytree(self.megatron, self.changed_megatron, symlinks=True)
        self.weights = Safetensors(self.changed_hf)
        self.iteration = os.path.join(self.changed_megatron, "iter_0000000")
        self.records = TorchDist(self.iteration)

    def expect(self, done):
        if done[0] != 0:
            sys.exit(f"{self.name}: {done[1]}{done[2]}")

    def plant(self):
        """A zero and a NaN in every tensor: their signs and bits are easily lost."""
        weights = Safetensors(self.hf)
        for name, tensor in weights.tensors.items():
            raw, width = bytearray(weights.get(name)), tensor.width
            raw[width:2 * width] = bytes(width)
            if tensor.dtype == "F32":
                raw[2 * width:3 * width] = struct.pack("<I", 0x7fc00001)
            elif width == 2:
                raw[2 * width:3 * width] = struct.pack("<H", 0x7fc1 if tensor.dtype == "BF16" else 0x7e01)
            weights.set(name, bytes(raw))

    def restore(self, folder, pristine, files):
        for file in files:
            source, target = os.path.join(pristine, file), os.path.join(folder, file)
            shutil.copyfile(source, target)


# ---------------------------------------------------------------------------------------------------------------------
# Changes. Each takes (base, random) and gives a Change, or None where the model has nothing of the kind. `hf_` changes the
# Hugging Face folder, `mg_` the Megatron checkpoint.
# ---------------------------------------------------------------------------------------------------------------------

def pick(r, items):
    items = sorted(items)
    return r.choice(items) if items else None


def flip(path, at, r, bit=None):
    byte = read(path, at, 1)[0]
    write(path, at, bytes([byte ^ (1 << (r.randrange(8) if bit is None else bit))]))


def element(base, r, where, bit, index):
    """Flips a bit of an element of a tensor of the folder."""
    name = pick(r, base.weights.tensors)
    tensor = base.weights.tensors[name]
    elements = tensor.bytes // tensor.width
    index = r.randrange(elements) if index is None else index
    if index >= elements:
        return None
    bit = r.randrange(8 * tensor.width) if bit is None else bit(tensor)
    file, start = base.weights.places[name]
    at = start + index * tensor.width
    flip(os.path.join(base.changed_hf, file), at + bit // 8, r, bit % 8)
    return Change(f"bit {bit} of element {index} of {name}", [file], [name], (file, at))


def hf_bit(base, r):
    return element(base, r, "hf", None, None)


def hf_zero_sign(base, r):
    return element(base, r, "hf", lambda t: 8 * t.width - 1, 1)


def hf_nan_bits(base, r):
    return element(base, r, "hf", lambda t: 1, 2)


def hf_edge_byte(base, r):
    """The first byte of the data of a file, or the last of the file."""
    file = pick(r, base.weights.files)
    path = os.path.join(base.changed_hf, file)
    last = r.random() < 0.5
    at = os.path.getsize(path) - 1 if last else base.weights.files[file]
    flip(path, at, r)
    places = [(start, name) for name, (f, start) in base.weights.places.items() if f == file]
    name = (max if last else min)(places)[1]
    width = base.weights.tensors[name].width
    return Change(f"{'last' if last else 'first'} byte of {file}", [file], [name], (file, at - at % 1 - (width - 1 if last else 0)))


def mg_element(base, r, bit, index, sign):
    name = pick(r, base.records.tensors)
    tensor = base.records.tensors[name]
    runs = list(base.records.runs(name))
    if index is None:
        file, at, _, size, chunk = r.choice(runs)
        at += r.randrange(size // tensor.width) * tensor.width
    else:  # of the whole tensor: an element that the source planted
        wanted = index(base, name, tensor)
        if wanted is None:
            return None
        for file, at, position, size, chunk in runs:
            if position <= wanted * tensor.width < position + size:
                at += wanted * tensor.width - position
                break
    bit = r.randrange(8 * tensor.width) if bit is None else bit(tensor)
    flip(os.path.join(base.iteration, file), at + bit // 8, r, bit % 8)
    if sign:
        base.records.sign(name, chunk)
    return Change(f"bit {bit} of {name} at {file}:{at}{', signed' if sign else ''}", [f"iter_0000000/{file}"], at=(file, at),
                  any_tensor=True)


def mg_bit(base, r):
    return mg_element(base, r, None, None, False)


def mg_signed_bit(base, r):
    return mg_element(base, r, None, None, True)


def planted(pattern):
    """Index of an element with the planted bytes."""
    def index(base, name, tensor):
        raw, wanted = base.records.get(name), pattern(tensor)
        for at in range(0, len(raw), tensor.width):
            if raw[at:at + tensor.width] == wanted:
                return at // tensor.width
        return None
    return index


def nan(tensor):
    return struct.pack("<I", 0x7fc00001) if tensor.width == 4 else struct.pack("<H", 0x7fc1 if tensor.dtype == "BF16" else 0x7e01)


def mg_zero_sign(base, r):
    return mg_element(base, r, lambda t: 8 * t.width - 1, planted(lambda t: bytes(t.width)), True)


def mg_nan_bits(base, r):
    return mg_element(base, r, lambda t: 1, planted(nan), True)


def any_bit(base, r, folder, files):
    file = pick(r, [f for f in files if os.path.getsize(os.path.join(folder, f))])
    if not file:
        return None
    path = os.path.join(folder, file)
    at = r.randrange(os.path.getsize(path))
    flip(path, at, r)
    return Change(f"a bit of byte {at} of {file}", [file])


def below(folder):
    return [os.path.relpath(os.path.join(root, name), folder) for root, _, names in os.walk(folder) for name in names
            if not os.path.islink(os.path.join(root, name))]


def hf_header_bit(base, r):
    file = pick(r, base.weights.files)
    at = r.randrange(base.weights.files[file])
    flip(os.path.join(base.changed_hf, file), at, r)
    return Change(f"a bit of byte {at} of the header of {file}", [file])


def hf_other_file_bit(base, r):
    return any_bit(base, r, base.changed_hf, [f for f in os.listdir(base.changed_hf) if not f.endswith(".safetensors")])


def mg_other_file_bit(base, r):
    # Small files are as likely as large ones; the links lead to them a second time.
    return any_bit(base, r, base.changed_megatron, [f for f in below(base.changed_megatron) if not f.endswith(".distcp")])


def mg_manifest_bit(base, r):
    return any_bit(base, r, base.changed_megatron, ["iter_0000000/mbc/manifest.json"])


def mg_metadata_bit(base, r):
    return any_bit(base, r, base.changed_megatron, ["iter_0000000/.metadata"])


def mg_frame_bit(base, r):
    """A bit of a .distcp file outside of the weights."""
    file, start, length = r.choice(base.records.slices)
    path = os.path.join(base.iteration, file)
    raw = read(path, start, length)
    inside = {}
    for name, chunks in base.records.chunks.items():
        for _, sizes, f, s, payload, _ in chunks:
            inside[(f, s)] = (payload, payload + base.records.tensors[name].width * max(1, eval_count(sizes)))
    low, high = inside.get((file, start), (0, 0))
    around = [at for at in range(-64, length + 64) if not low <= at < high and 0 <= start + at < os.path.getsize(path)]
    at = start + r.choice(around)
    flip(path, at, r)
    return Change(f"a bit of {file}:{at}", [f"iter_0000000/{file}"])


def eval_count(sizes):
    result = 1
    for size in sizes:
        result *= size
    return result


def twins(tensors, r, same=lambda a, b: True):
    """Two names of equal type and shape."""
    names = sorted(tensors)
    r.shuffle(names)
    for a in names:
        for b in names:
            if a < b and tensors[a].dtype == tensors[b].dtype and tensors[a].shape == tensors[b].shape and same(a, b):
                return a, b
    return None


def exchanged(base, pairs, says):
    files = set()
    for a, b in pairs:
        x, y = base.weights.get(a), base.weights.get(b)
        files.update(base.weights.set(a, y) + base.weights.set(b, x))
    return Change(f"exchanged {pairs[0]} and {len(pairs) - 1} more", sorted(files), [n for pair in pairs for n in pair],
                  says=says)


def hf_tensors(base, r):
    pair = twins(base.weights.tensors, r)
    return pair and exchanged(base, [pair], [either(*pair)])


def either(a, b):
    """Both names, as exchanged; or the layer, expert or part, where that is all of it."""
    return rf"exchanged.*'{re.escape(a)}' and '{re.escape(b)}'|'{re.escape(a)}' and '{re.escape(b)}' are exchanged|are exchanged"


LAYER = re.compile(r"^(.*?(?:layers|blocks)\.)(\d+)\.(.*)$")


def stacks(names):
    """{stack: {layer: {rest of the name: name}}}."""
    found = collections.defaultdict(lambda: collections.defaultdict(dict))
    for name in names:
        if match := LAYER.match(name):
            found[match[1]][int(match[2])][match[3]] = name
    return found


def two_layers(base, r, tensors):
    stack = pick(r, [s for s, layers in stacks(tensors).items() if len(layers) > 1])
    if not stack:
        return None
    layers = stacks(tensors)[stack]
    alike = [(i, j) for i in layers for j in layers if i < j and layers[i].keys() == layers[j].keys() and
             all(tensors[layers[i][k]].shape == tensors[layers[j][k]].shape for k in layers[i])]
    if not alike:
        return None
    i, j = pick(r, alike)
    return i, j, [(layers[i][k], layers[j][k]) for k in sorted(layers[i])]


def hf_layers(base, r):
    found = two_layers(base, r, base.weights.tensors)
    return found and exchanged(base, found[2], [rf"^layers {found[0]} and {found[1]} of \S+ are exchanged"])


def hf_gate_up(base, r):
    gates = [n for n in base.weights.tensors if ".gate_proj." in n]
    gate = pick(r, gates)
    return gate and exchanged(base, [(gate, gate.replace("gate_proj", "up_proj"))],
                              [r"\.gate\w* and \S*\.up\w* of \S+.* are exchanged|\.gate\w* \(\S+ = \d+\) and \S+\.up\w* "])


EXPERT = re.compile(r"^(.*\.experts\.)(\d+)\.(.*)$")


def hf_experts(base, r):
    found = collections.defaultdict(lambda: collections.defaultdict(dict))
    for name in base.weights.tensors:
        if match := EXPERT.match(name):
            found[match[1]][int(match[2])][match[3]] = name
    prefix = pick(r, found)
    if not prefix:
        return None
    i, j = sorted(r.sample(sorted(found[prefix]), 2))
    layer = LAYER.match(prefix)[2]
    says = rf"^experts {i} and {j} of \S+ \(l = {layer}\) are exchanged"
    if int(layer) >= base.config["num_hidden_layers"]:  # MTP counts from 0
        says = rf"^experts {i} and {j} of \S+.* are exchanged"
    return exchanged(base, [(found[prefix][i][k], found[prefix][j][k]) for k in sorted(found[prefix][i])], [says])


def hf_q_k(base, r):
    pairs = [(n, n.replace("q_proj", "k_proj")) for n in base.weights.tensors if "q_proj.weight" in n and "layers." in n]
    pairs = [(q, k) for q, k in pairs if k in base.weights.tensors and
             base.weights.tensors[q].shape == base.weights.tensors[k].shape]
    pair = pick(r, pairs)
    return pair and exchanged(base, [pair], [r"slot\.(q and slot\.k|k and slot\.q) of \S+ \(l = \d+\) are exchanged"])


def matrices(tensors, least=2):
    return {n: t for n, t in tensors.items() if len(t.shape) == 2 and min(t.shape) >= least}


def edited(base, name, change, what, says):
    tensor = base.weights.tensors[name]
    columns = tensor.shape[-1]
    numbers = Numbers(base.weights.get(name), tensor.bytes // tensor.width // columns, columns, tensor.width)
    before = numbers.at[:]
    change(numbers)
    if numbers.at == before:
        return None
    file, start = base.weights.places[name]
    first = next(i for i, (x, y) in enumerate(zip(before, numbers.at)) if x != y)
    base.weights.set(name, numbers.bytes())
    return Change(f"{what} of {name}", [file], [name], (file, start + first * tensor.width), says)


def hf_rows(base, r):
    name = pick(r, matrices(base.weights.tensors))
    i, j = sorted(r.sample(range(base.weights.tensors[name].shape[0]), 2))
    return edited(base, name, lambda n: n.swap_rows(i, j), f"rows {i} and {j}",
                  [rf" {i} and {j} of {base.weights.tensors[name].shape[0]} are exchanged"])


def hf_columns(base, r):
    name = pick(r, matrices(base.weights.tensors))
    i, j = sorted(r.sample(range(base.weights.tensors[name].shape[1]), 2))
    return edited(base, name, lambda n: n.swap_columns(i, j), f"columns {i} and {j}",
                  [rf" {i} and {j} of {base.weights.tensors[name].shape[1]} are exchanged"])


def hf_transposed(base, r):
    name = pick(r, [n for n, t in matrices(base.weights.tensors, 3).items() if t.shape[0] == t.shape[1]])
    return name and edited(base, name, lambda n: n.transpose(), "transposed", ["is transposed"])


def heads(base, name):
    """How many heads the rows of a tensor have; 0: none."""
    c = base.config
    if "layers." not in name:
        return 0
    if "kv_lora_rank" in c:
        return c["num_attention_heads"] if re.search(r"\.(q_proj|q_b_proj|kv_b_proj)\.weight$", name) else 0
    if ".q_proj." in name:
        return c["num_attention_heads"]
    return c["num_key_value_heads"] if re.search(r"\.[kv]_proj\.", name) else 0


def hf_heads(base, r):
    name = pick(r, [n for n in base.weights.tensors if heads(base, n) > 1])
    if not name:
        return None
    tensor, number = base.weights.tensors[name], heads(base, name)
    height = tensor.shape[0] // number
    i, j = sorted(r.sample(range(number), 2))

    def change(numbers):
        rows = Numbers(numbers.bytes(), tensor.shape[0], tensor.bytes // tensor.width // tensor.shape[0], tensor.width)
        rows.swap_rows(i, j, height)
        numbers.at = rows.at
    return edited(base, name, change, f"heads {i} and {j}",
                  [rf": (heads|kv_heads|slot\.q|\(kv_heads, slot\.q\)) {i} and {j} of {number} are exchanged"])


def hf_zeroed(base, r):
    name = pick(r, base.weights.tensors)
    tensor = base.weights.tensors[name]
    elements = tensor.bytes // tensor.width
    size = r.randrange(3, max(4, elements))
    at = r.randrange(max(1, elements - size + 1))

    def change(numbers):
        numbers.at[at:at + size] = [bytes(tensor.width)] * len(numbers.at[at:at + size])
    return edited(base, name, change, f"{size} zeros from {at}", [])


def hf_renamed(base, r):
    """Two names of the header point to each other's data."""
    pair = twins(base.weights.tensors, r, lambda a, b: base.weights.places[a][0] == base.weights.places[b][0])
    if not pair:
        return None
    file = base.weights.places[pair[0]][0]
    path = os.path.join(base.changed_hf, file)
    raw = read(path)
    length = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + length])
    a, b = (header[name]["data_offsets"] for name in pair)
    header[pair[0]]["data_offsets"], header[pair[1]]["data_offsets"] = b, a
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + raw[8 + length:])
    return Change(f"data_offsets of {pair}", [file], pair, says=[either(*pair)])


def cut(base, r, folder, files):
    file = pick(r, files)
    path = os.path.join(folder, file)
    size = os.path.getsize(path)
    if size == 0:
        return None
    keep = r.choice([0, size - 1, r.randrange(size)])
    os.truncate(path, keep)
    return Change(f"{file} cut to {keep} of {size} bytes", [file])


def lengthened(base, r, folder, files):
    file = pick(r, files)
    with open(os.path.join(folder, file), "ab") as out:
        out.write(r.choice([b"\0", b" ", b"\n", b"\0" * 4096, b"x"]))
    return Change(f"{file} lengthened", [file])


def hf_cut(base, r):
    return cut(base, r, base.changed_hf, os.listdir(base.changed_hf))


def hf_lengthened(base, r):
    return lengthened(base, r, base.changed_hf, os.listdir(base.changed_hf))


def mg_cut(base, r):
    return cut(base, r, base.changed_megatron, below(base.changed_megatron))


def mg_lengthened(base, r):
    return lengthened(base, r, base.changed_megatron, below(base.changed_megatron))


def files_exchanged(base, r, folder, files):
    if len(files) < 2:
        return None
    a, b = r.sample(sorted(files), 2)
    x, y = os.path.join(folder, a), os.path.join(folder, b)
    if filecmp.cmp(x, y, shallow=False):
        return None
    raw = read(x)
    shutil.copyfile(y, x)
    with open(y, "wb") as out:
        out.write(raw)
    return Change(f"{a} and {b} exchanged", [a, b])


def hf_files(base, r):
    kind = r.choice([".safetensors", ".json"])
    return files_exchanged(base, r, base.changed_hf, [f for f in os.listdir(base.changed_hf) if f.endswith(kind)])


def mg_files(base, r):
    kind = r.choice([".distcp", ".json", ".pt", ""])
    return files_exchanged(base, r, base.changed_megatron, [f for f in below(base.changed_megatron) if f.endswith(kind)])


def set_records(base, changes, what, **expected):
    files = set()
    for name, raw in changes.items():
        files.update(base.records.set(name, raw))
    return Change(what, [f"iter_0000000/{f}" for f in sorted(files)], any_tensor=True, **expected)


def mg_tensors(base, r):
    pair = twins(base.records.tensors, r)
    if not pair or base.records.get(pair[0]) == base.records.get(pair[1]):
        return None
    a, b = pair
    # Whole parameters of one kind are whole tensors on the other side too; others only happen to have equal shapes.
    says = ["exchanged"] if re.sub(r"[0-9]", "", a) == re.sub(r"[0-9]", "", b) else []
    return set_records(base, {a: base.records.get(b), b: base.records.get(a)}, f"exchanged {pair}",
                       says=says, manifest_says=says)


STACKED = re.compile(r"^decoder\.layers\.[a-z]")


def mg_layers(base, r):
    records, layers = base.records, base.config["num_hidden_layers"]
    i, j = sorted(r.sample(range(layers), 2))
    changes = {}
    stacked = [n for n in records.tensors if STACKED.match(n)]
    for name in stacked:
        tensor = records.tensors[name]
        numbers = Numbers(records.get(name), tensor.shape[0], eval_count(tensor.shape[1:]), tensor.width)
        numbers.swap_rows(i, j)
        changes[name] = numbers.bytes()
    if not stacked:
        found = two_layers(base, r, {n: t for n, t in records.tensors.items() if n.startswith("decoder.layers.")})
        if not found:
            return None
        i, j = found[0], found[1]
        for a, b in found[2]:
            changes[a], changes[b] = records.get(b), records.get(a)
    says = [rf"^layers {i} and {j} of decoder are exchanged"]
    return set_records(base, changes, f"layers {i} and {j}", says=says, manifest_says=says)


def layer_part(base, r, ending, least_rank=1):
    """(tensor, layer, first byte, bytes, shape) of one layer of a weight; None where there is none."""
    name = pick(r, [n for n in base.records.tensors if n.startswith("decoder.layers.") and n.endswith(ending)])
    if not name:
        return None
    tensor = base.records.tensors[name]
    if STACKED.match(name):
        layer, size = r.randrange(tensor.shape[0]), tensor.bytes // tensor.shape[0]
        return name, layer, layer * size, size, tensor.shape[1:]
    return name, int(name.split(".")[2]), 0, tensor.bytes, tensor.shape


def mg_part(base, found, change, what, **expected):
    name, _, start, size, _ = found
    raw = bytearray(base.records.get(name))
    part = bytes(raw[start:start + size])
    new = change(part)
    assert len(new) == size
    if new == part:
        return None
    raw[start:start + size] = new
    return set_records(base, {name: bytes(raw)}, f"{what} of {name}", **expected)


def mg_gate_up(base, r):
    found = layer_part(base, r, r.choice(["mlp.linear_fc1.weight", "mlp.shared_experts.linear_fc1.weight"]))
    if not found or len(found[4]) != 2:
        return None
    half = found[3] // 2
    says = [rf"\.gate and \S*\.up of \S+ \(l = {found[1]}.* are exchanged"]
    return mg_part(base, found, lambda raw: raw[half:] + raw[:half], f"gate and up (l = {found[1]})", says=says,
                   manifest_says=says)


def mg_experts(base, r):
    first = layer_part(base, r, "experts.experts.linear_fc1.weight")
    if not first:
        return None
    experts = first[4][0]
    i, j = sorted(r.sample(range(experts), 2))
    changes = {}
    for name in (first[0], first[0].replace("linear_fc1", "linear_fc2")):
        raw, tensor = base.records.get(name), base.records.tensors[name]
        layers = tensor.shape[0] if STACKED.match(name) else 1
        numbers = Numbers(raw, layers * experts, len(raw) // tensor.width // layers // experts, tensor.width)
        at = first[1] * experts if STACKED.match(name) else 0
        numbers.swap_rows(at + i, at + j)
        changes[name] = numbers.bytes()
    says = [rf"^experts {i} and {j} of \S+ \(l = {first[1]}\) are exchanged"]
    return set_records(base, changes, f"experts {i} and {j} (l = {first[1]})", says=says, manifest_says=says)


def mg_heads(base, r):
    """Rows of q, k or v heads inside of linear_qkv, whose rows are kv head, then q heads, k, v, then head_dim."""
    if "kv_lora_rank" in base.config or "vision_config" in base.config:
        return None
    found = layer_part(base, r, r.choice(["linear_qkv.weight", "linear_qkv.bias"]))
    if not found:
        return None
    kv = base.config["num_key_value_heads"]
    group = base.config["num_attention_heads"] // kv
    slot = r.choice(["q", "q", "k", "v"])
    number = kv * group if slot == "q" else kv
    if number < 2:
        return None
    i, j = sorted(r.sample(range(number), 2))

    def head(h):
        return h // group * (group + 2) + h % group if slot == "q" else h * (group + 2) + group + (slot == "v")

    def change(raw):
        numbers = Numbers(raw, kv * (group + 2), len(raw) // kv // (group + 2), 1)
        numbers.swap_rows(head(i), head(j))
        return numbers.bytes()
    return mg_part(base, found, change, f"heads {i} and {j} of {slot} (l = {found[1]})",
                   says=[rf"\(l = {found[1]}\): (kv_heads|slot\.q|\(kv_heads, slot\.q\)) {i} and {j} of {number} are exchanged"])


def mg_rows(base, r):
    found = layer_part(base, r, r.choice(["linear_fc2.weight", "linear_proj.weight"]))
    if not found or len(found[4]) != 2 or found[4][0] < 2:
        return None
    width = base.records.tensors[found[0]].width
    i, j = sorted(r.sample(range(found[4][0]), 2))

    def change(raw):
        numbers = Numbers(raw, *found[4], width)
        numbers.swap_rows(i, j)
        return numbers.bytes()
    return mg_part(base, found, change, f"rows {i} and {j} (l = {found[1]})",
                   says=[rf"\(l = {found[1]}\): hidden {i} and {j} of {found[4][0]} are exchanged"])


def mg_transposed(base, r):
    found = layer_part(base, r, "linear_proj.weight")
    if not found or found[4][0] != found[4][1]:
        return None
    width = base.records.tensors[found[0]].width

    def change(raw):
        numbers = Numbers(raw, *found[4], width)
        numbers.transpose()
        return numbers.bytes()
    return mg_part(base, found, change, f"transposed (l = {found[1]})", says=["is transposed"])


def mg_zeroed(base, r):
    name = pick(r, base.records.tensors)
    raw, width = bytearray(base.records.get(name)), base.records.tensors[name].width
    size = r.randrange(3, max(4, len(raw) // width)) * width
    at = r.randrange(max(1, (len(raw) - size) // width)) * width
    if not any(raw[at:at + size]):
        return None
    raw[at:at + size] = bytes(len(raw[at:at + size]))
    return set_records(base, {name: bytes(raw)}, f"{size} zero bytes from {at} of {name}")


def mg_renamed(base, r):
    """Two keys of .metadata point to each other's records."""
    pair = twins(base.records.tensors, r, lambda a, b: len(base.records.chunks[a]) == len(base.records.chunks[b]) and
                 [c[:2] for c in base.records.chunks[a]] == [c[:2] for c in base.records.chunks[b]])
    if not pair or base.records.get(pair[0]) == base.records.get(pair[1]):
        return None
    metadata = torch_dist.read_metadata(base.iteration)
    a, b = (torch_dist.slices(metadata, name) for name in pair)
    for (x, info_x), (y, info_y) in zip(a, b):
        metadata.storage_data[x], metadata.storage_data[y] = info_y, info_x
    torch_dist.write_metadata(base.iteration, metadata)
    return Change(f"records of {pair}", ["iter_0000000/.metadata"], any_tensor=True, says=["exchanged"],
                  manifest_says=["exchanged"])


CHANGES = {f.__name__: f for f in (
    hf_bit, hf_bit, hf_zero_sign, hf_nan_bits, hf_edge_byte, hf_header_bit, hf_other_file_bit, hf_tensors, hf_layers, hf_gate_up,
    hf_experts, hf_q_k, hf_rows, hf_columns, hf_transposed, hf_heads, hf_zeroed, hf_renamed, hf_cut, hf_lengthened, hf_files,
    mg_bit, mg_signed_bit, mg_zero_sign, mg_nan_bits, mg_other_file_bit, mg_manifest_bit, mg_metadata_bit, mg_frame_bit, mg_tensors,
    mg_layers, mg_gate_up, mg_experts, mg_heads, mg_rows, mg_transposed, mg_zeroed, mg_renamed, mg_cut, mg_lengthened, mg_files)}
# How often a kind is tried beside the others.
WEIGHTS = collections.defaultdict(lambda: 1, hf_bit=3, mg_bit=3, mg_signed_bit=3, hf_header_bit=2, mg_other_file_bit=2,
                                  mg_frame_bit=3)


# ---------------------------------------------------------------------------------------------------------------------
# Bytes that nobody reads
# ---------------------------------------------------------------------------------------------------------------------

def unread(pristine, changed):
    """Why no reader of the format takes notice of what differs between two files; None: somebody may."""
    a, b = read(pristine), read(changed)
    name = os.path.basename(pristine)
    if name.endswith(".json") and name != "manifest.json" or name.endswith(".txt"):
        stripped = a.strip() == b.strip() and b.startswith(a.rstrip())
        return "white space at the end" if stripped else None
    differing = [i for i, (x, y) in enumerate(zip(a, b)) if x != y]
    if name.endswith(".distcp"):
        folder = os.path.dirname(pristine)
        slices = [(o, l) for f, o, l in TorchDist(folder).slices if f == name]
        if len(b) > len(a) and not differing and all(o + l <= len(a) for o, l in slices):
            return "behind the last record"
        if len(a) != len(b):
            return None
        reasons = {unread_in_record(a, at, slices) for at in differing}
        return reasons.pop() if len(reasons) == 1 else None
    if name == "latest_train_state.pt" and len(a) == len(b):
        reasons = {unread_in_record(a, at, [(0, len(a))]) for at in differing}
        return reasons.pop() if len(reasons) == 1 else None
    return None


def unread_in_record(raw, at, slices):
    """Fields of zip (PKWARE's APPNOTE) that say nothing of a stored entry, and bytes outside of all records."""
    inside = [(o, l) for o, l in slices if o <= at < o + l]
    if not inside:
        return "between records"
    start, length = inside[0]
    record, at = raw[start:start + length], at - start
    directory = struct.unpack_from("<I", record, len(record) - 6)[0]
    end64 = record.rfind(b"PK\x06\x06")
    if end64 >= 0 and directory == 0xffffffff:
        directory = struct.unpack_from("<Q", record, end64 + 48)[0]
    position = directory
    while record[position:position + 4] == b"PK\x01\x02":
        name, extra, comment = struct.unpack_from("<HHH", record, position + 28)
        local = struct.unpack_from("<I", record, position + 42)[0]
        size, field = struct.unpack_from("<I", record, position + 24)[0], at - position
        # Sizes of 32 bits that are all ones stand in a zip64 extra field, which is read.
        for first, count, why in ((4, 4, "versions that a zip entry needs"), (12, 4, "date of a zip entry"),
                                  (36, 6, "attributes of a zip entry"), (34, 2, "disk of a zip entry"),
                                  (8, 2, "flags of a zip entry")):
            if first <= field < first + count:
                return why
        name_length, extra_length = struct.unpack_from("<HH", record, local + 26)
        field = at - local
        for first, count, why in ((4, 2, "versions that a zip entry needs"), (6, 2, "flags of a zip entry"),
                                  (10, 4, "date of a zip entry"),
                                  (14, 12, "sizes of a zip entry, which the directory has too")):
            if first <= field < first + count:
                return why
        if 30 + name_length <= field < 30 + name_length + extra_length:
            return "padding that aligns a zip entry"
        data = local + 30 + name_length + extra_length
        if data + size <= at < data + size + 24 and record[data + size:data + size + 4] == b"PK\x07\x08":
            return "descriptor of a zip entry, which the directory has too"
        position += 46 + name + extra + comment
    if end64 >= 0:
        field = at - end64
        for first, count, why in ((4, 8, "size of the zip64 record, which has no more fields"),
                                  (12, 4, "versions that a zip archive needs"), (16, 8, "disks of a zip archive"),
                                  (56 + 4, 4, "disks of a zip archive"), (56 + 16, 4, "disks of a zip archive")):
            if first <= field < first + count:
                return why
    end = len(record) - 22
    if 4 <= at - end < 8:
        return "disks of a zip archive"
    if end64 >= 0 and 8 <= at - end < 20:
        return "end of a zip directory, of which there is a zip64 one"
    return None


# ---------------------------------------------------------------------------------------------------------------------
# Judging
# ---------------------------------------------------------------------------------------------------------------------

class Result:
    def __init__(self, kind):
        self.kind, self.source, self.manifest, self.passed, self.wrong = kind, "", "", "", []


def verdict(status, out):
    """(found, differing names, texts of exchanges, first differences, all text)."""
    answer = json.loads(out) if out else {}
    differences = [d for d in answer.get("differences", [])]
    names = {d["name"] for d in differences}
    names |= {d["name"] for d in answer.get("manifest_differences", [])}
    texts = [e["text"] for e in answer.get("exchanges", [])]
    return answer, names, texts, {d["name"]: d["first"]["b"] for d in differences if "first" in d}


def check_said(result, who, change_says, texts, status):
    for pattern in change_says:
        if not any(re.search(pattern, text) for text in texts):
            result.wrong.append(f"{who}: no {pattern!r} in {texts[:4]} (status {status})")


def judge(base, kind, change):
    result, hf = Result(kind), kind.startswith("hf_")
    folder, pristine = (base.changed_hf, base.hf) if hf else (base.changed_megatron, base.megatron)
    from_megatron = hf and len(change.what) % 2
    source = base.megatron if from_megatron else base.hf
    status, out, error = mbc("verify", source, folder, "--json")
    answer, names, texts, firsts = verdict(status, out)
    if status not in (0, 1, 2):
        result.wrong.append(f"source: status {status}: {error[:300]}")
    if status == 0:
        pass_over(base, result, change, folder, pristine, hf, "source")
    else:
        result.source = "found"
        whole = change.tensors or change.any_tensor or change.at
        if whole and status == 1 or change.says:
            if not names:
                result.wrong.append(f"source: no tensor is named: {out[:400]}")
            if change.tensors and names != change.tensors and not tied(base, names, change.tensors):
                result.wrong.append(f"source: names {sorted(names)}, expected {sorted(change.tensors)}")
            if change.at:
                at = [f for f in firsts.values() if os.path.basename(f.get("file", "")) == change.at[0] and
                      f["offset"] == change.at[1]]
                if not at:
                    result.wrong.append(f"source: the place is {list(firsts.values())}, expected {change.at}")
            check_said(result, "source", change.says, texts, status)
            result.source = "named"
        elif whole:
            result.wrong.append(f"source: no tensor is named: {out[:400]}")
    if not hf:
        status, out, error = mbc("verify", folder, "--json")
        answer, held, texts, _ = verdict(status, out)
        if status not in (0, 1, 2):
            result.wrong.append(f"manifest: status {status}: {error[:300]}")
        if status == 0:
            pass_over(base, result, change, folder, pristine, hf, "manifest")
        else:
            result.manifest = "found"
            if change.any_tensor:
                tensors = {n for n in held if n in base.weights.tensors}
                if not names <= tensors:
                    result.wrong.append(f"manifest: names {sorted(tensors)}, the source {sorted(names)}")
                check_said(result, "manifest", change.manifest_says, texts, status)
                result.manifest = "named"
    return result


def tied(base, names, expected):
    """A tied copy, presented beside its original, differs with it."""
    copies = ("lm_head.weight", "embed_tokens.weight", "shared_head.head.weight")
    return expected <= names and all(name.endswith(copies) for name in names - expected)


def pass_over(base, result, change, folder, pristine, hf, who):
    if result.passed:
        return
    reasons = [unread(os.path.join(pristine, f), os.path.join(folder, f)) for f in change.files]
    if not reasons or None in reasons:
        result.wrong.append(f"{who}: not found")
        return
    result.passed = reasons[0]
    # What is accepted gives exactly the right result.
    back, between = os.path.join(base.root, "back"), os.path.join(base.root, "between")
    for path in (back, between):
        shutil.rmtree(path, ignore_errors=True)
    if hf:
        done = mbc("import", folder, "-o", between)
        if done[0] == 0:
            done = mbc("export", between, "-o", back)
        same = Safetensors(back) if done[0] == 0 else None
        if not same or any(same.get(n) != Safetensors(base.hf).get(n) for n in base.weights.tensors):
            result.wrong.append(f"{who}: accepted, but comes out otherwise: {done[2][:300]}")
        return
    done = mbc("export", folder, "-o", back)
    names = os.listdir(base.hf)
    if done[0] != 0 or sorted(os.listdir(back)) != sorted(names) or filecmp.cmpfiles(base.hf, back, names, shallow=False)[0] != names:
        result.wrong.append(f"{who}: accepted, but comes out otherwise: {done[2][:300]}")


def run_base(root, name, seed, count, only):
    base, results = Base(os.path.join(root, name), name), []
    r = random.Random(f"{seed} {name}")
    kinds = [k for k in CHANGES for _ in range(WEIGHTS[k]) if only in k]
    r.shuffle(kinds)
    at, misses = 0, 0
    while len(results) < count and misses < 200:
        kind = kinds[at % len(kinds)]
        at += 1
        change = CHANGES[kind](base, r)
        if change is None:
            misses += 1
            continue
        folder, pristine = (base.changed_hf, base.hf) if kind.startswith("hf_") else (base.changed_megatron, base.megatron)
        result = judge(base, kind, change)
        result.wrong = [f"{name}: {kind}: {change.what}: {text}" for text in result.wrong]
        results.append(result)
        base.restore(folder, pristine, change.files)
    shutil.rmtree(base.root)
    return results


def main():
    root, count, seed = os.path.abspath(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    only = sys.argv[4] if len(sys.argv) > 4 else ""
    share = -(-count // len(MODELS))
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        jobs = [pool.submit(run_base, root, name, seed, share, only) for name in MODELS]
        results = [result for job in jobs for result in job.result()]
    table = collections.defaultdict(collections.Counter)
    reasons = collections.Counter()
    for result in results:
        row = table[result.kind]
        row["changes"] += 1
        row["source " + result.source] += bool(result.source)
        row["manifest " + result.manifest] += bool(result.manifest)
        row[PASSED_OVER] += bool(result.passed)
        reasons[result.passed] += bool(result.passed)
        for text in result.wrong[:3]:
            print("WRONG " + text)
    columns = ["changes", "source found", "source named", "manifest found", "manifest named", PASSED_OVER]
    print(f"{'kind':24}" + "".join(f"{c:>16}" for c in columns))
    for kind in sorted(table):
        print(f"{kind:24}" + "".join(f"{table[kind][c]:16}" for c in columns))
    for reason, number in sorted(reasons.items()):
        print(f"passed over, {number}: {reason}")
    wrong = sum(1 for result in results if result.wrong)
    print(f"{len(results)} mutations of {len(MODELS)} models, {sum(reasons.values())} of bytes that nobody reads, {wrong} wrong verdicts")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
