"""Only named in annotations."""


def __getattr__(name):  # GroupedLinear, Sequential, ... : only named in annotations
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (), {})
