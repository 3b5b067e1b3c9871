//===- ProgramOptions.cpp -------------------------------------------------===//
#include "compiler/Commands/ProgramOptions.h"

#include "runtime/core/Text.h"

#include <fmt/format.h>

namespace mbc {

void declareWeightType(Command &command, std::string &text) {
  command.option(
      "--weight-dtype", text, "DTYPE",
      "float8_e4m3fn: keep weights that a Hugging Face folder stores as FP8 "
      "with block scales as they are, half of the memory, and apply the scales "
      "inside of matrix products (default: the values in the type of --dtype, "
      "rounded once)");
}

Expected<bool> parseWeightType(const std::string &text) {
  if (!text.empty() && text != torchName(DType::F8E4M3))
    return inputError(
        fmt::format("option '--weight-dtype' is {}, expected {}; --dtype is "
                    "the type of what is computed",
                    quote(text), torchName(DType::F8E4M3)));
  return !text.empty();
}

} // namespace mbc
