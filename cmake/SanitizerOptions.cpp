//===- SanitizerOptions.cpp - How sanitized programs of mbc run -----------===//
//
// The sanitizers ask the program for these when they start, so that a program
// runs the same from a test, a script or by hand. ASAN_OPTIONS and its like
// still come on top.
//
// The shared libraries of LLVM and MLIR are not instrumented. Templates and
// inline functions of theirs are, where they are compiled into mbc.
//
//===----------------------------------------------------------------------===//

extern "C" {

/// llvm::BumpPtrAllocator poisons its slabs. The library's own allocations
/// from one that mbc has poisoned do not unpoison what they take, so every
/// context would report a use after poison. Nothing of mbc's poisons memory.
const char *__asan_default_options() { return "allow_user_poisoning=0"; }

/// What the libraries do is not seen, their locks among it.
const char *__tsan_default_options() {
  return "ignore_noninstrumented_modules=1:halt_on_error=1";
}

const char *__ubsan_default_options() { return "print_stacktrace=1"; }
}
