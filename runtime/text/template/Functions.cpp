#include "runtime/text/template/Functions.h"

#include "runtime/core/Text.h"
#include "runtime/text/template/Iteration.h"
#include "runtime/text/template/Printing.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <fmt/format.h>

namespace mbc::text::jinja {
namespace {

Value range(Run &, const Arguments &arguments) {
  auto values = bindPositional(arguments, "range()", 1, 3);
  auto made = std::make_shared<Range>();
  bool one = values[1].is(Kind::Missing);
  made->start = one ? 0 : integerOr(values[0], 0, "the start of range()");
  made->stop = integerOr(values[one ? 0 : 1], 0, "the stop of range()");
  made->step = integerOr(values[2], 1, "the step of range()");
  if (made->step == 0)
    throw Problem{"the step of range() cannot be 0"};
  // jinja2.sandbox.MAX_RANGE.
  constexpr int64_t limit = 100'000;
  if (made->size() > limit)
    throw Problem{fmt::format("range() has more than {} items", limit)};
  return Value::of(Kind::Range, std::move(made));
}

/// As Python's dict(): of a dict or of pairs, and of names.
void fill(Run &run, Mapping &dict, const Arguments &arguments,
          std::string_view function) {
  if (arguments.positional.size() > 1)
    throw Problem{fmt::format("{} takes one value and names", function)};
  for (const Value &source : arguments.positional) {
    if (source.is(Kind::Undefined))
      throw Problem{source.text()};
    if (source.is(Kind::Dict)) {
      for (const auto &[key, value] : source.mapping().entries)
        dict.set(key, value);
      continue;
    }
    for (const Value &pair : itemsOf(run, source)) {
      std::vector<Value> both = itemsOf(run, pair);
      if (both.size() != 2)
        throw Problem{fmt::format("{} needs a dict or pairs", function)};
      requireHashable(both[0]);
      dict.set(both[0], both[1]);
    }
  }
  for (const auto &[name, value] : arguments.keywords)
    dict.set(Value::str(name), value);
  run.step(dict.entries.size() * (dict.entries.size() / 16 + 1));
  run.allocate(dict.entries.size() * sizeof(Mapping::Entry));
}

Value dict(Run &run, const Arguments &arguments) {
  auto made = std::make_shared<Mapping>();
  fill(run, *made, arguments, "dict()");
  return Value::of(Kind::Dict, std::move(made));
}

Value space(Run &run, const Arguments &arguments) {
  auto made = std::make_shared<Namespace>();
  fill(run, made->attributes, arguments, "namespace()");
  for (const auto &[name, value] : made->attributes.entries)
    if (name.isStr() && name.text().starts_with('_'))
      throw Problem{fmt::format("a namespace cannot have the attribute {}: it "
                                "begins with an underscore",
                                quote(name.text()))};
  run.keep(made);
  return Value::of(Kind::Namespace, std::move(made));
}

Value cycler(Run &run, const Arguments &arguments) {
  if (!arguments.keywords.empty() || arguments.positional.empty())
    throw Problem{"cycler() needs values"};
  run.allocate(arguments.positional.size() * sizeof(Value));
  auto made = std::make_shared<Cycler>();
  made->items = arguments.positional;
  for (const Value &item : made->items)
    made->depth = std::max(made->depth, item.depth() + 1);
  return Value::of(Kind::Cycler, std::move(made));
}

Value joiner(Run &run, const Arguments &arguments) {
  auto values = bindArguments(arguments, "joiner()", {"sep"});
  auto made = std::make_shared<Joiner>();
  made->separator =
      values[0].is(Kind::Missing) ? ", " : requireText(values[0], "'sep'");
  return Value::of(Kind::Joiner, std::move(made));
}

Value raiseException(Run &run, const Arguments &arguments) {
  auto values = bindArguments(arguments, "raise_exception()", {"message"}, 1);
  throw Refusal{printed(run, values[0])};
}

/// datetime.now().strftime(format): %f are microseconds, and a time of no zone
/// has an empty %z and %Z.
Value now(Run &run, const Arguments &arguments) {
  auto values = bindArguments(arguments, "strftime_now()", {"format"}, 1);
  const std::string &given = requireText(values[0], "the format of a time");
  if (given.size() > 1000 || given.find('\0') != std::string::npos)
    throw Problem{"the format of a time has a NUL or more than 1000 bytes"};
  auto clock = std::chrono::system_clock::now();
  auto seconds = std::chrono::time_point_cast<std::chrono::seconds>(clock);
  std::time_t time = std::chrono::system_clock::to_time_t(seconds);
  std::tm local{};
  localtime_r(&time, &local);
  std::string format;
  for (size_t i = 0; i != given.size(); ++i) {
    char next = i + 1 != given.size() ? given[i + 1] : '\0';
    if (given[i] != '%' || next == '\0') {
      format += given[i] == '%' ? "%%" : given.substr(i, 1);
    } else {
      ++i;
      if (next == 'f')
        format += fmt::format(
            "{:06}", std::chrono::duration_cast<std::chrono::microseconds>(
                         clock.time_since_epoch())
                             .count() %
                         1'000'000);
      else if (next != 'z' && next != 'Z')
        format += {'%', next};
    }
  }
  std::string text(format.size() * 32 + 64, '\0');
  text.resize(std::strftime(text.data(), text.size(), format.c_str(), &local));
  return run.str(std::move(text));
}

struct Named {
  std::string_view name;
  Value (*call)(Run &, const Arguments &);
};
constexpr Named functions[] = {
    {"cycler", cycler},    {"dict", dict},
    {"joiner", joiner},    {"namespace", space},
    {"range", range},      {"raise_exception", raiseException},
    {"strftime_now", now},
};

} // namespace

Value globalFunction(std::string_view name) {
  const Named *found = std::ranges::find(functions, name, &Named::name);
  if (found == std::end(functions))
    return {};
  auto function = std::make_shared<Function>();
  function->name = found->name;
  function->call = found->call;
  return Value::of(Kind::Function, std::move(function));
}

} // namespace mbc::text::jinja
