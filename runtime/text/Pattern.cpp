//===- Pattern.cpp --------------------------------------------------------===//
#include "runtime/text/Pattern.h"

#include "runtime/core/Text.h"
#include "runtime/text/PatternSyntax.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <new>
#include <pcre2.h>

namespace mbc::text {

/// Steps of backtracking after which a search is given up; patterns of
/// tokenizers need a few for each character.
static constexpr uint32_t matchLimit = 10'000'000;
static constexpr size_t jitStackMost = size_t(8) << 20;

struct PatternScratch::State {
  pcre2_match_data *data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context *context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack *stack =
      pcre2_jit_stack_create(size_t(32) << 10, jitStackMost, nullptr);

  State() {
    if (!data || !context)
      throw std::bad_alloc();
    pcre2_set_match_limit(context, matchLimit);
    // Without one of its own the code uses the thread's, which is smaller.
    if (stack)
      pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~State() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
};

PatternScratch::PatternScratch() : state(std::make_unique<State>()) {}
PatternScratch::~PatternScratch() = default;

struct Pattern::Code {
  pcre2_code *code = nullptr;
  bool jit = false;
  std::string source;
  ~Code() { pcre2_code_free(code); }
};

Pattern::~Pattern() = default;

Expected<std::unique_ptr<Pattern>> Pattern::compile(std::string_view pattern) {
  MBC_ASSIGN(std::string text, toPcre2(pattern));
  std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)>
      context(pcre2_compile_context_create(nullptr),
              &pcre2_compile_context_free);
  if (!context)
    throw std::bad_alloc();
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  std::unique_ptr<Pattern> result(new Pattern);
  result->code = std::make_unique<Code>();
  Code &code = *result->code;
  code.source = pattern;
  int error = 0;
  PCRE2_SIZE offset = 0;
  code.code = pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
      &offset, context.get());
  if (!code.code) {
    PCRE2_UCHAR message[256];
    pcre2_get_error_message(error, message, sizeof message);
    return inputError(fmt::format("pattern {} cannot be compiled: {}",
                                  quote(pattern),
                                  reinterpret_cast<const char *>(message)));
  }
  code.jit = pcre2_jit_compile(code.code, PCRE2_JIT_COMPLETE) == 0;
  return result;
}

size_t Pattern::nextCharacter(std::string_view text, size_t at) {
  ++at;
  while (at < text.size() &&
         (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80)
    ++at;
  return at;
}

Expected<PatternMatch> Pattern::find(std::string_view text, size_t from,
                                     PatternScratch &scratch) const {
  PatternScratch::State &state = *scratch.state;
  auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  int status =
      code->jit ? pcre2_jit_match(code->code, subject, text.size(), from,
                                  PCRE2_NO_UTF_CHECK, state.data, state.context)
                : PCRE2_ERROR_JIT_STACKLIMIT;
  // The interpreter takes its memory from the heap.
  if (status == PCRE2_ERROR_JIT_STACKLIMIT)
    status = pcre2_match(code->code, subject, text.size(), from,
                         PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, state.data,
                         state.context);
  if (status == PCRE2_ERROR_NOMATCH)
    return PatternMatch{std::string_view::npos, 0};
  if (status < 0) {
    PCRE2_UCHAR message[256];
    pcre2_get_error_message(status, message, sizeof message);
    return inputError(fmt::format(
        "the split pattern {} gives up on a text of {} at byte {}: {}",
        quote(code->source), sizeText(text.size()), from,
        reinterpret_cast<const char *>(message)));
  }
  const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(state.data);
  return PatternMatch{bounds[0], bounds[1]};
}

} // namespace mbc::text
