"""A GPU kernel: importable, not callable."""


def parallel_cross_entropy(*a, **k):
    raise NotImplementedError
