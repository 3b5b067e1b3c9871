#include "runtime/text/template/ChatTemplate.h"

#include "runtime/core/Text.h"
#include "runtime/text/template/Interpreter.h"
#include "runtime/text/template/Parser.h"
#include "runtime/text/template/Scopes.h"

#include <fmt/format.h>

namespace mbc::text {

struct ChatTemplate::Compiled {
  std::string name;
  jinja::Template tree;
};

static std::string located(const std::string &name, jinja::Place place,
                           std::string_view message) {
  return fmt::format("{}:{}:{}: error: {}", name, place.line, place.column,
                     message);
}

static Status checkUtf8(std::string_view source, const std::string &name) {
  size_t valid = utf8Prefix(source);
  if (valid == source.size())
    return {};
  return inputError(
      fmt::format("{}: the template is not UTF-8 at byte {}", name, valid));
}

Expected<ChatTemplate> ChatTemplate::parse(std::string source,
                                           std::string name) {
  constexpr size_t limit = 1 << 20;
  if (source.size() > limit)
    return inputError(fmt::format("{}: the template has {} bytes; at most {} "
                                  "are read",
                                  name, source.size(), limit));
  MBC_TRY(checkUtf8(source, name));
  auto compiled = std::make_shared<Compiled>();
  try {
    compiled->tree = jinja::parseTemplate(source);
    jinja::bindNames(compiled->tree);
  } catch (const jinja::SyntaxProblem &problem) {
    return inputError(located(name, problem.place, problem.message));
  }
  compiled->name = std::move(name);
  ChatTemplate result;
  result.compiled = std::move(compiled);
  return result;
}

/// transformers takes the template for tools where tools are given at all.
static bool hasTools(const Json &variables) {
  const Json *tools = variables.find("tools");
  return tools && !tools->isNull();
}

Expected<std::string> ChatTemplate::render(const Json &variables) const {
  if (!variables.isObject())
    return inputError(fmt::format("the variables of a chat template must be "
                                  "an object, not {}",
                                  kindText(variables.kind())));
  const Compiled &chosen =
      withTools && hasTools(variables) ? *withTools : *compiled;
  try {
    return jinja::runTemplate(chosen.tree, variables);
  } catch (const jinja::RunError &error) {
    return inputError(
        located(chosen.name, error.place,
                error.refused
                    ? "the template refuses the conversation: " + error.message
                    : error.message));
  }
}

} // namespace mbc::text
