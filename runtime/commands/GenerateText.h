//===- GenerateText.h - Prompts in, text out --------------------*- C++ -*-===//
#pragma once

#include "runtime/commands/GenerateOptions.h"
#include "runtime/commands/GenerationModel.h"

namespace mbc {

/// The request of a prompt, with what the options and the model say of it. An
/// Input error, with the prompt's place, for one that is empty, or with the new
/// tokens longer than a sequence may be.
Expected<generate::Request> makeRequest(const Prompt &prompt,
                                        const GenerateOptions &options,
                                        const GenerationModel &model);

/// Continues the prompts of `options`: their text goes to stdout as it is made,
/// or to lines, or into the outcome. Nothing is loaded before every prompt is
/// known to fit. `details` are members of the outcome's JSON: how the program
/// was come by.
Expected<Outcome> generateText(RunnableModel model,
                               const GenerateOptions &options,
                               const BaseOptions &common, Json details);

/// A conversation on the terminal, until the end of its input.
Expected<Outcome> converse(GenerationModel &model,
                           const GenerateOptions &options,
                           const BaseOptions &common);

} // namespace mbc
