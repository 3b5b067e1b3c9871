#include "runtime/text/template/JsonText.h"

#include "runtime/text/template/Arguments.h"
#include "runtime/text/template/Iteration.h"
#include "runtime/text/template/Printing.h"
#include "runtime/text/template/Unicode.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace mbc::text::jinja {
namespace {

class Writer {
public:
  Writer(Run &run, const JsonOptions &options) : run(run), options(options) {
    auto given = [](const Value &value) {
      return !value.is(Kind::Missing) && !value.is(Kind::None);
    };
    if (given(options.indent)) {
      indents = true;
      if (options.indent.isStr())
        step = options.indent.text();
      else
        step.assign(
            std::clamp<int64_t>(
                integerOr(options.indent, 0, "'indent' of tojson"), 0, 1000),
            ' ');
      between = ",";
    }
    if (!given(options.separators))
      return;
    std::vector<Value> pair = itemsOf(run, options.separators);
    if (pair.size() != 2)
      throw Problem{"'separators' of tojson must be two texts"};
    between = requireText(pair[0], "a separator of tojson");
    behindKey = requireText(pair[1], "a separator of tojson");
  }

  std::string write(const Value &value) {
    append(value, 0);
    return std::move(out);
  }

private:
  void append(const Value &value, unsigned level) {
    Run::Deeper deeper(run);
    run.step();
    size_t before = out.size();
    switch (value.kind()) {
    case Kind::None:
      out += "null";
      break;
    case Kind::Bool:
      out += value.asBool() ? "true" : "false";
      break;
    case Kind::Int:
    case Kind::BigInt:
      out += repr(run, value);
      break;
    case Kind::Float:
      out += number(value.asReal());
      break;
    case Kind::Str:
      appendText(value.text());
      break;
    case Kind::List:
    case Kind::Tuple:
      return appendAll(value.items(), '[', ']', level,
                       [&](const Value &item) { append(item, level + 1); });
    case Kind::Dict:
      return appendDict(value.mapping(), level);
    default:
      throw Problem{
          value.is(Kind::Undefined)
              ? fmt::format("tojson of an undefined value: {}", value.text())
              : fmt::format("JSON has no form of a {}", typeName(value))};
    }
    run.allocate(out.size() - before);
  }

  static std::string number(double value) {
    return std::isnan(value)   ? "NaN"
           : std::isinf(value) ? (value < 0 ? "-Infinity" : "Infinity")
                               : realText(value);
  }

  void newLine(unsigned level) {
    if (!indents)
      return;
    run.allocate(1 + level * step.size());
    out += '\n';
    for (unsigned i = 0; i != level; ++i)
      out += step;
  }

  template <typename All, typename Fn>
  void appendAll(const All &all, char open, char close, unsigned level,
                 Fn appendOne) {
    out += open;
    bool first = true;
    for (const auto &one : all) {
      if (!first)
        out += between;
      first = false;
      newLine(level + 1);
      appendOne(one);
    }
    if (!first)
      newLine(level);
    out += close;
  }

  void appendDict(const Mapping &dict, unsigned level) {
    std::vector<Mapping::Entry> entries = dict.entries;
    if (options.sortKeys)
      std::ranges::stable_sort(entries, less, &Mapping::Entry::first);
    appendAll(entries, '{', '}', level, [&](const Mapping::Entry &entry) {
      appendKey(entry.first);
      out += behindKey;
      append(entry.second, level + 1);
    });
  }

  void appendKey(const Value &key) {
    switch (key.kind()) {
    case Kind::Str:
      return appendText(key.text());
    case Kind::Float:
      return appendText(number(key.asReal()));
    case Kind::Bool:
      return appendText(key.asBool() ? "true" : "false");
    case Kind::None:
      return appendText("null");
    case Kind::Int:
    case Kind::BigInt:
      return appendText(repr(run, key));
    default:
      throw Problem{fmt::format("a {} cannot be a key of JSON", typeName(key))};
    }
  }

  void appendText(std::string_view text) {
    size_t before = out.size();
    if (!options.asciiOnly) {
      appendJsonString(out, text);
    } else {
      std::string quoted;
      appendJsonString(quoted, text);
      for (std::string_view c : characters(quoted))
        appendAscii(decode(c));
    }
    run.allocate(out.size() - before);
  }

  void appendAscii(uint32_t code) {
    if (code < 0x7f || code == 0x7f) {
      out += char(code);
    } else if (code < 0x10000) {
      out += fmt::format("\\u{:04x}", code);
    } else {
      code -= 0x10000;
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + (code >> 10),
                         0xdc00 + (code & 0x3ff));
    }
  }

  Run &run;
  const JsonOptions &options;
  bool indents = false;
  std::string step, between = ", ", behindKey = ": ", out;
};

} // namespace

std::string jsonText(Run &run, const Value &value, const JsonOptions &options) {
  return Writer(run, options).write(value);
}

} // namespace mbc::text::jinja
