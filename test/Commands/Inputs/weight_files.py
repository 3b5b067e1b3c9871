"""Weights of both formats as named byte strings that can be read and written in place. Knows nothing but the formats: no
PyTorch, no safetensors package, and nothing of mbc."""

import json
import os
import struct
import zlib

import torch_dist

SIZES = {"F32": 4, "BF16": 2, "F16": 2, "F64": 8, "F8_E4M3": 1}
TORCH = {"float32": "F32", "bfloat16": "BF16", "float16": "F16", "float64": "F64"}


def read(path, offset=0, size=-1):
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(size)


def write(path, offset, raw):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(raw)


def count(shape):
    result = 1
    for size in shape:
        result *= size
    return result


class Tensor:
    def __init__(self, name, dtype, shape):
        self.name, self.dtype, self.shape, self.width = name, dtype, list(shape), SIZES[dtype]
        self.bytes = count(shape) * self.width


class Safetensors:
    """The weight files of a folder."""

    def __init__(self, folder):
        self.folder, self.tensors, self.places, self.files = folder, {}, {}, {}
        for file in sorted(os.listdir(folder)):
            if not file.endswith(".safetensors"):
                continue
            length = struct.unpack("<Q", read(os.path.join(folder, file), 0, 8))[0]
            self.files[file] = 8 + length
            header = json.loads(read(os.path.join(folder, file), 8, length))
            for name, entry in header.items():
                if name != "__metadata__":
                    self.tensors[name] = Tensor(name, entry["dtype"], entry["shape"])
                    self.places[name] = (file, 8 + length + entry["data_offsets"][0])

    def get(self, name):
        file, at = self.places[name]
        return read(os.path.join(self.folder, file), at, self.tensors[name].bytes)

    def set(self, name, raw):
        assert len(raw) == self.tensors[name].bytes
        file, at = self.places[name]
        write(os.path.join(self.folder, file), at, raw)
        return [file]


class TorchDist:
    """The records of an iteration folder. What is set gets its checksum too, as if it had been saved so."""

    def __init__(self, folder):
        self.folder, self.tensors, self.chunks, self.slices = folder, {}, {}, []
        metadata = torch_dist.read_metadata(folder)
        by_place = {}
        for index, info in metadata.storage_data.items():
            self.slices.append((info.relative_path, info.offset, info.length))
            offset = getattr(index, "offset", None)
            by_place[(index.fqn, tuple(offset) if offset is not None else None)] = info
        for name, entry in metadata.state_dict_metadata.items():
            if not hasattr(entry, "chunks"):
                continue
            properties = entry.properties
            kind = (properties.__dict__.get("dtype") or properties.state[0]).name
            self.tensors[name] = Tensor(name, TORCH[kind], entry.size)
            self.chunks[name] = []
            for chunk in entry.chunks:
                info = by_place[(name, tuple(chunk.offsets))]
                path = os.path.join(folder, info.relative_path)
                raw = read(path, info.offset, info.length)
                self.chunks[name].append((list(chunk.offsets), list(chunk.sizes), info.relative_path, info.offset,
                                          torch_dist.payload(raw), torch_dist.central(raw)))

    def runs(self, name):
        """(file, offset, position, bytes, chunk): rows of chunks that lie contiguously in the tensor too."""
        tensor = self.tensors[name]
        for chunk in self.chunks[name]:
            offsets, sizes, file, start, payload, _ = chunk
            row = sizes[-1] if sizes else 1
            for r in range(count(sizes) // row if row else 0):
                rest, position, stride = r, 0, 1
                index = []
                for size in reversed(sizes[:-1]):
                    index.insert(0, rest % size)
                    rest //= size
                for i in range(len(sizes) - 1, -1, -1):
                    position += (offsets[i] + (index[i] if i < len(index) else 0)) * stride
                    stride *= tensor.shape[i]
                yield file, start + payload + r * row * tensor.width, position * tensor.width, row * tensor.width, chunk

    def get(self, name):
        out = bytearray(self.tensors[name].bytes)
        for file, at, position, size, _ in self.runs(name):
            out[position:position + size] = read(os.path.join(self.folder, file), at, size)
        return bytes(out)

    def set(self, name, raw):
        assert len(raw) == self.tensors[name].bytes
        for file, at, position, size, _ in self.runs(name):
            write(os.path.join(self.folder, file), at, raw[position:position + size])
        for chunk in self.chunks[name]:
            self.sign(name, chunk)
        return sorted({chunk[2] for chunk in self.chunks[name]})

    def sign(self, name, chunk):
        _, sizes, file, start, payload, central = chunk
        path, size = os.path.join(self.folder, file), count(sizes) * self.tensors[name].width
        crc = struct.pack("<I", zlib.crc32(read(path, start + payload, size)))
        assert read(path, start + payload + size, 4) == b"PK\x07\x08"
        write(path, start + payload + size + 4, crc)
        write(path, start + central + 16, crc)


class Numbers:
    """A tensor's bytes as a matrix of elements: [rows, columns] of `width` bytes."""

    def __init__(self, raw, rows, columns, width):
        self.rows, self.columns, self.width = rows, columns, width
        self.at = [raw[i:i + width] for i in range(0, len(raw), width)]
        assert len(self.at) == rows * columns

    def swap_rows(self, i, j, height=1):
        n = self.columns * height
        self.at[i * n:(i + 1) * n], self.at[j * n:(j + 1) * n] = self.at[j * n:(j + 1) * n], self.at[i * n:(i + 1) * n]

    def swap_columns(self, i, j):
        for r in range(self.rows):
            a, b = r * self.columns + i, r * self.columns + j
            self.at[a], self.at[b] = self.at[b], self.at[a]

    def transpose(self):
        self.at = [self.at[c * self.columns + r] for r in range(self.rows) for c in range(self.columns)]

    def bytes(self):
        return b"".join(self.at)
