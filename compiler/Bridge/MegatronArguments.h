//===- MegatronArguments.h - Megatron-LM's names of fields ------*- C++ -*-===//
#pragma once

#include <span>

namespace mbc {

/// A field of a provider class (megatron.bridge.models) and the argument of
/// Megatron-LM that holds it (megatron/training/arguments.py).
struct MegatronArgument {
  const char *field, *argument;
  /// The argument says the opposite.
  bool negated = false;
};

/// The fields that Megatron-LM calls otherwise; all others have one name.
std::span<const MegatronArgument> renamedArguments();

/// The arguments with a field's name that --use-checkpoint-args reads, or that
/// a converter needs to know the model.
std::span<const char *const> sharedArguments();

} // namespace mbc
