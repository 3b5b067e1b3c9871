# The lit configuration of mbc. Run through a build: `lit build/release/test`, or one folder or file of it,
# `lit build/release/test/Frontend`.
import os

import lit.formats

config.name = "mbc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".mbc", ".test", ".json"]
config.excludes = ["Unit", "Interop", "Bench", "Inputs", "corpus"]

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

config.substitutions.append(("%{source}", config.mbc_src_root))
config.substitutions.append(("%{build}", config.mbc_obj_root))
config.substitutions.append(("%{models}", os.path.join(config.mbc_src_root, "models")))
config.substitutions.append(("%{mappings}", os.path.join(config.mbc_src_root, "mappings")))
