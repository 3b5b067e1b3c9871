"""FP8 is off."""

from contextlib import contextmanager


class FP8GlobalStateManager:
    @staticmethod
    def is_fp8_enabled():
        return False

    @staticmethod
    def is_fp8_calibration():
        return False

    @staticmethod
    def get_fp8_recipe():
        return None

    @staticmethod
    def reset():
        pass

    @staticmethod
    def is_first_fp8_module():
        return False

    IS_FIRST_FP8_MODULE = False


@contextmanager
def fp8_autocast(*a, **k):
    yield


@contextmanager
def fp8_model_init(*a, **k):
    yield


def check_fp8_support():
    return False, "stub"
