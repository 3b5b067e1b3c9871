class constexpr:
    def __init__(self, v=None):
        self.value = v


class _Dummy:
    def __call__(self, *a, **k):
        return self

    def __getattr__(self, n):
        return self


class dtype:
    pass


def __getattr__(n):
    if n.startswith("__"):
        raise AttributeError(n)
    return _Dummy()
