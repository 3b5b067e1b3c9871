# The lit configuration of mbc. Run through a build: `lit build/release/test`, or one folder or file of it,
# `lit build/release/test/Frontend`.
import os
import shutil
import subprocess

import lit.formats

config.name = "mbc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".mbc", ".test", ".json"]
config.excludes = ["Unit", "Conformance", "Interop", "Bench", "Inputs", "corpus"]

if not hasattr(config, "mbc_obj_root"):
    lit_config.fatal("run lit on the test folder of a build, such as build/release/test")

config.test_source_root = os.path.join(config.mbc_src_root, "test")
config.test_exec_root = os.path.join(config.mbc_obj_root, "test")

# mbc, mbc-opt and mbc-translate of this build; FileCheck, not and split-file of LLVM.
config.environment["PATH"] = os.pathsep.join(
    [os.path.join(config.mbc_obj_root, "bin"), config.llvm_tools_dir, config.environment["PATH"]]
)
# Options of the sanitizers are compiled in (cmake/SanitizerOptions.cpp); these
# come on top. A test that limits memory, which the sanitizers' shadow exceeds,
# asks for MBC_SANITIZE, or says `UNSUPPORTED: sanitizer`.
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "ASAN_SYMBOLIZER_PATH"):
    if name in os.environ:
        config.environment[name] = os.environ[name]
if config.mbc_sanitize:
    config.available_features.add("sanitizer")
    config.environment["MBC_SANITIZE"] = config.mbc_sanitize
# Hundreds of runs that say nothing more of threads than one does: an hour under the thread sanitizer.
if config.mbc_sanitize == "thread":
    config.available_features.add("tsan")

# %{gpu} before a command gives it the emulated driver of test/CudaEmulator.
if config.mbc_has_cuda and not config.mbc_sanitize:
    config.available_features.add("cuda")
if shutil.which("ptxas"):
    config.available_features.add("ptxas")
config.substitutions.append(("%{gpu}", f"env LD_LIBRARY_PATH={config.mbc_obj_root}/emulator"))

# Programs are compiled anew, but where a test says otherwise, and nothing is kept in the home of whoever runs the tests.
config.environment["MBC_CACHE"] = "off"

config.substitutions.append(("%{source}", config.mbc_src_root))
config.substitutions.append(("%{build}", config.mbc_obj_root))
# How much of the random tests is run; `tools/test.sh --mutations` asks for all of it.
config.substitutions.append(("%{mutations}", os.environ.get("MBC_MUTATIONS", "300")))
config.substitutions.append(("%{fault-points}", os.environ.get("MBC_FAULT_POINTS", "20")))
config.substitutions.append(("%{faults}", config.mbc_faults))
# A test with file systems of its own needs a namespace in which it may mount.
namespace = ["unshare", "--mount"] + ([] if os.getuid() == 0 else ["--map-root-user"])
if shutil.which("unshare") and subprocess.run([*namespace, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode == 0:
    config.available_features.add("mounts")

config.substitutions.append(("%{models}", os.path.join(config.mbc_src_root, "models")))
config.substitutions.append(("%{mappings}", os.path.join(config.mbc_src_root, "mappings")))
