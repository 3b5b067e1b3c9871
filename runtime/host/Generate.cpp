//===- Generate.cpp -------------------------------------------------------===//

#include "runtime/host/Generate.h"

#include <algorithm>
#include <fmt/format.h>
#include <limits>

namespace mbc::host {

constexpr const char *prefillKind = "prefill", *decodeKind = "decode";

/// The largest function of a kind.
static Expected<const program::FunctionT *>
largest(const program::ProgramT &program, const char *kind,
        const char *option) {
  const program::FunctionT *function =
      findFunction(program, kind, std::numeric_limits<uint32_t>::max());
  if (!function)
    return inputError(fmt::format(
        "the program has no function '{}'; compile it with {}", kind, option));
  return function;
}

Expected<std::unique_ptr<Generator>>
Generator::create(Session &session, const program::ProgramT &program) {
  std::unique_ptr<Generator> result(new Generator(session, program));
  MBC_ASSIGN(result->prefill, largest(program, prefillKind, "--chunk"));
  MBC_ASSIGN(const program::FunctionT *decode,
             largest(program, decodeKind, "--sequences"));
  // So that a prompt has room beside the sequences that have theirs behind
  // them.
  result->most = std::min<int64_t>({decode->rows, result->prefill->rows});
  for (const auto &port : result->prefill->outputs)
    result->most = std::min<int64_t>(result->most, port->dims[0]);
  return result;
}

bool Generator::sequencesAreIndependent() const {
  // The angles of a dynamic rope are those of the longest sequence so far.
  return std::ranges::none_of(program.ropes,
                              [](const auto &rope) { return rope->dynamic; });
}

Expected<std::vector<generate::Choice>>
Generator::step(std::span<const generate::Part> parts) {
  Call call;
  std::vector<int32_t> tokens, outputs;
  bool single = true;
  for (const generate::Part &part : parts) {
    auto count = static_cast<int64_t>(part.tokens.size());
    call.sequences.push_back({call.rows, count, part.slot, part.cached});
    call.rows += count;
    tokens.insert(tokens.end(), part.tokens.begin(), part.tokens.end());
    single &= count == 1 && part.choice.sampling;
    if (part.choice.sampling)
      outputs.push_back(static_cast<int32_t>(call.rows) - 1);
  }
  const program::FunctionT *function = nullptr;
  call.inputs["tokens"] = tokens;
  if (single) {
    // Every row is asked for, and in order.
    function = findFunction(program, decodeKind, parts.size());
  } else {
    // A function gives at least one.
    if (outputs.empty())
      outputs.push_back(static_cast<int32_t>(call.rows) - 1);
    function = findFunction(program, prefillKind, call.rows);
    call.inputs["outputs"] = outputs;
  }
  logits.resize(outputs.size() * program.vocab);
  call.outputs["logits"] = logits;
  MBC_TRY(session.run(*function, call));

  std::vector<generate::Choice> choices;
  std::span<float> rest(logits);
  for (const generate::Part &part : parts) {
    if (!part.choice.sampling)
      continue;
    MBC_ASSIGN(choices.emplace_back(),
               generate::chooseToken(rest.first(program.vocab), part.choice));
    rest = rest.subspan(program.vocab);
  }
  return choices;
}

} // namespace mbc::host
