//===- ComputeLogits.h - From a program to a file of logits -----*- C++ -*-===//
#pragma once

#include "runtime/commands/BaseCommand.h"
#include "runtime/commands/PictureOptions.h"
#include "runtime/commands/Tokens.h"
#include "runtime/execute/Devices.h"
#include "runtime/program/RunnableModel.h"

namespace mbc {

/// The options of every command that computes logits, as they were typed.
struct LogitsTexts {
  std::string tokens, target, device;

  /// --tokens, -o and --device.
  template <typename Self> void declare(ChainedCommand<Self> &command) {
    command
        .option("--tokens", tokens, "IDS|FILE",
                "Token ids 1,2,3, or a .npy file of integers [sequence] or "
                "[batch, sequence]",
                true)
        .option("-o,--output", target, "FILE", "The .npy file to write", true)
        .option("--device", device, "DEVICE", execute::deviceHelp);
  }
};

/// Loads the weights, computes the logits of `tokens` and writes them to
/// `target` as float32 [batch, length, vocabulary], whole or not at all. What
/// else the program gives of every token goes beside it, a file for each: with
/// `target` x.npy the layers' results to x.decoder.npy, [batch, length, layers,
/// ...]. `pixels`: the pictures, in the order of their tokens. An Input error
/// for tokens outside of the vocabulary and sequences that the program's state
/// does not hold, and for pictures that are none of the tokens' or of a model
/// that does not see, before any weight is read.
Expected<Outcome> computeLogits(const RunnableModel &model,
                                const Tokens &tokens, const Pixels &pixels,
                                const std::string &target,
                                const execute::Device &device,
                                const BaseOptions &options);

} // namespace mbc
