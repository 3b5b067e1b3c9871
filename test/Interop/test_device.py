"""`--device cuda` computes what the host computes: on the emulated driver of test/CudaEmulator, or on a GPU where
MBC_TEST_GPU=1."""

import os
import subprocess
from pathlib import Path

import check_device
import device_cases
import pytest
from conftest import MBC

EMULATOR = MBC.parent.parent / "emulator"
HARDWARE = os.environ.get("MBC_TEST_GPU") == "1"
pytestmark = pytest.mark.skipif(
    not HARDWARE and not (EMULATOR / "libcuda.so.1").exists(), reason="mbc was built without the GPU backend"
)


@pytest.fixture(scope="module")
def driver():
    """The environment in which there is a GPU."""
    return {} if HARDWARE else {"LD_LIBRARY_PATH": str(EMULATOR)}


SEEDS = [0] + [pytest.param(seed, marks=pytest.mark.full) for seed in range(1, 10)]


@pytest.mark.parametrize("seed", SEEDS)
def test_families(driver, monkeypatch, tmp_path, seed):
    for name, value in driver.items():
        monkeypatch.setenv(name, value)
    lengths = (1, 17, 150) if seed or HARDWARE else (1, 20)
    for family, model in device_cases.models(seed):
        case = tmp_path / f"{family}-{seed}"
        device_cases.write_case(case, seed, *model, lengths=lengths)
        check_device.check(case, MBC.parent / "mbc-run", "cuda", tmp_path)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("device") / "llama-0"
    device_cases.write_case(folder, 0, *dict(device_cases.models(0))["llama"], lengths=(3,))
    return folder


def refused(*arguments, status, driver=None):
    done = subprocess.run(
        [str(argument) for argument in arguments], capture_output=True, text=True, env=os.environ | (driver or {})
    )
    assert done.returncode == status, done.stderr
    return done.stderr


@pytest.mark.parametrize("text", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x"])
def test_devices_that_are_none(case, tmp_path, text):
    said = refused(MBC, "generate", case / "hf", "--tokens", "1,2", "--device", text, status=2)
    assert f"option '--device' is '{text}', expected cpu, cuda or cuda:N" in said


def test_a_gpu_that_is_not_there(case, tmp_path, driver):
    said = refused(MBC, "logits", case / "hf", "--tokens", "1,2", "-o", tmp_path / "x.npy", "--device", "cuda:9", status=2, driver=driver)
    assert "there is no GPU 9" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(HARDWARE, reason="there is a driver")
def test_no_driver(case, tmp_path):
    for command in (("generate", case / "hf", "--tokens", "1,2"), ("logits", case / "hf", "--tokens", "1,2", "-o", tmp_path / "x.npy")):
        said = refused(MBC, *command, "--device", "cuda", status=3)
        assert "there is no NVIDIA driver" in said
    assert not list(tmp_path.iterdir())
