//===- ComputeLogits.h - From a program to a file of logits -----*- C++ -*-===//
#pragma once

#include "runtime/commands/BaseCommand.h"
#include "runtime/commands/Tokens.h"
#include "runtime/program/RunnableModel.h"

namespace mbc {

/// Loads the weights, computes the logits of `tokens` and writes them to
/// `target` as float32 [batch, length, vocabulary], whole or not at all. What
/// else the program gives of every token goes beside it, a file for each: with
/// `target` x.npy the layers' results to x.decoder.npy, [batch, length, layers,
/// ...]. An Input error for tokens outside of the vocabulary and sequences that
/// the program's state does not hold, before any weight is read.
Expected<Outcome> computeLogits(const RunnableModel &model,
                                const Tokens &tokens, const std::string &target,
                                const BaseOptions &options);

} // namespace mbc
