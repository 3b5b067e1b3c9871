"""Changes a torch_dist checkpoint, without PyTorch: its .metadata as objects, its records as bytes."""

import os
import pickle
import struct
import sys
import types


class Thing:
    """An instance of any class: pickled again as it was read."""

    def __setstate__(self, state):
        if isinstance(state, dict):
            self.__dict__.update(state)
        else:
            self.__dict__["state"] = state

    def __getstate__(self):
        return self.__dict__.get("state", self.__dict__ or None)


class Named:
    """torch.bfloat16 and its like, which are pickled as a name."""

    def __init__(self, module, name):
        self.__module__, self.name = module, name

    def __reduce__(self):
        return self.name


class Called:
    """The result of a call that is repeated when it is read."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def fake(module, name):
    for end in [at for at, letter in enumerate(module) if letter == "."] + [len(module)]:
        space = sys.modules.setdefault(module[:end], types.ModuleType(module[:end]))
    if not hasattr(space, name):
        if name == "Size":
            made = type(name, (tuple,), {"__reduce__": lambda self: (type(self), (tuple(self),))})
        elif name == "_get_layout":
            def made(*arguments):
                return Called(made, *arguments)
            made.__qualname__ = made.__name__ = name
        elif name == "_MEM_FORMAT_ENCODING":
            made = type(name, (Called,), {"__init__": lambda self, *a: Called.__init__(self, type(self), *a)})
        elif module == "torch":
            made = Named(module, name)
        else:
            made = type(name, (Thing,), {})
        made.__module__ = module
        setattr(space, name, made)
    return getattr(space, name)


def size(*numbers):
    return fake("torch", "Size")(numbers)


class Reader(pickle.Unpickler):
    def find_class(self, module, name):
        return fake(module, name)


def read_metadata(folder):
    with open(os.path.join(folder, ".metadata"), "rb") as file:
        return Reader(file).load()


def write_metadata(folder, metadata):
    with open(os.path.join(folder, ".metadata"), "wb") as file:
        pickle.dump(metadata, file, protocol=2)


def edit(change):
    def apply(folder):
        metadata = read_metadata(folder)
        change(metadata)
        write_metadata(folder, metadata)
    return apply


def entry(metadata, key):
    return metadata.state_dict_metadata[key]


def slices(metadata, key):
    """[(index, storage)] of a key, in the order of their offsets."""
    found = [(index, info) for index, info in metadata.storage_data.items() if index.fqn == key]
    return sorted(found, key=lambda pair: tuple(getattr(pair[0], "offset", ())))


def record(key, change):
    """Changes the bytes of the first record of a key, whose length stays."""
    def apply(folder):
        _, info = slices(read_metadata(folder), key)[0]
        with open(os.path.join(folder, info.relative_path), "r+b") as file:
            file.seek(info.offset)
            raw = bytearray(file.read(info.length))
            change(raw)
            assert len(raw) == info.length
            file.seek(info.offset)
            file.write(raw)
    return apply


def central(raw, name=b"archive/data/0"):
    """Where the central directory has the entry of a name."""
    at = raw.rfind(b"PK\x01\x02", 0, raw.rfind(name))
    assert at >= 0
    return at


def payload(raw, name=b"archive/data/0"):
    """Where the bytes of an entry begin."""
    at = raw.find(b"PK\x03\x04", 0)
    while at >= 0:
        length, extra = struct.unpack_from("<HH", raw, at + 26)
        if raw[at + 30:at + 30 + length] == name:
            return at + 30 + length + extra
        at = raw.find(b"PK\x03\x04", at + 4)
    raise KeyError(name)
