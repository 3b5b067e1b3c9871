"""Only named: FP8 is off."""


class Recipe:
    pass


class DelayedScaling(Recipe):
    def __init__(self, **kw):
        self.__dict__.update(kw)


class Float8CurrentScaling(DelayedScaling):
    pass


class Float8BlockScaling(DelayedScaling):
    pass


class MXFP8BlockScaling(DelayedScaling):
    pass


class NVFP4BlockScaling(DelayedScaling):
    pass


class CustomRecipe(DelayedScaling):
    pass


class Format:
    E4M3 = "E4M3"
    HYBRID = "HYBRID"
    E5M2 = "E5M2"
