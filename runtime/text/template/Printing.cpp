#include "runtime/text/template/Printing.h"

#include "runtime/core/Text.h"
#include "runtime/text/template/Loop.h"
#include "runtime/text/template/Unicode.h"

#include <cmath>
#include <fmt/format.h>

namespace mbc::text::jinja {
namespace {

void appendRepr(Run &run, std::string &out, const Value &value);

template <typename Range, typename Fn>
void appendJoined(std::string &out, const Range &range, Fn appendOne) {
  bool first = true;
  for (const auto &one : range) {
    if (!first)
      out += ", ";
    first = false;
    appendOne(one);
  }
}

void appendItems(Run &run, std::string &out, const std::vector<Value> &items) {
  appendJoined(out, items,
               [&](const Value &item) { appendRepr(run, out, item); });
}

void appendDict(Run &run, std::string &out, const Mapping &dict) {
  out += '{';
  appendJoined(out, dict.entries, [&](const Mapping::Entry &entry) {
    appendRepr(run, out, entry.first);
    out += ": ";
    appendRepr(run, out, entry.second);
  });
  out += '}';
}

void appendView(Run &run, std::string &out, const View &view) {
  const auto &entries = view.dict.mapping().entries;
  bool keys = view.part == View::Part::Keys;
  out += keys                             ? "dict_keys(["
         : view.part == View::Part::Items ? "dict_items(["
                                          : "dict_values([";
  appendJoined(out, entries, [&](const Mapping::Entry &entry) {
    if (view.part != View::Part::Items)
      return appendRepr(run, out, keys ? entry.first : entry.second);
    out += '(';
    appendRepr(run, out, entry.first);
    out += ", ";
    appendRepr(run, out, entry.second);
    out += ')';
  });
  out += "])";
}

void appendRepr(Run &run, std::string &out, const Value &value) {
  Run::Deeper deeper(run);
  run.step();
  size_t before = out.size();
  switch (value.kind()) {
  case Kind::Missing:
  case Kind::Undefined:
    out += "Undefined";
    break;
  case Kind::None:
    out += "None";
    break;
  case Kind::Bool:
    out += value.asBool() ? "True" : "False";
    break;
  case Kind::Int:
    out += fmt::format("{}", value.asInt());
    break;
  case Kind::BigInt:
    out += value.text();
    break;
  case Kind::Float:
    out += realText(value.asReal());
    break;
  case Kind::Str:
    run.allocate(value.text().size());
    out += value.isMarkup() ? fmt::format("Markup({})", reprText(value.text()))
                            : reprText(value.text());
    break;
  case Kind::List:
    out += '[';
    appendItems(run, out, value.items());
    out += ']';
    break;
  case Kind::Tuple:
    out += '(';
    appendItems(run, out, value.items());
    out += value.items().size() == 1 ? ",)" : ")";
    break;
  case Kind::Dict:
    appendDict(run, out, value.mapping());
    break;
  case Kind::View:
    appendView(run, out, value.as<View>());
    break;
  case Kind::Range: {
    const auto &range = value.as<Range>();
    out += fmt::format("range({}, {}", range.start, range.stop);
    out += range.step == 1 ? ")" : fmt::format(", {})", range.step);
    break;
  }
  case Kind::Namespace:
    out += "<Namespace ";
    appendDict(run, out, value.as<Namespace>().attributes);
    out += '>';
    break;
  case Kind::Loop: {
    auto &loop = value.as<Loop>();
    out +=
        fmt::format("<LoopContext {}/{}>", loop.index0 + 1, loop.length(run));
    break;
  }
  default:
    throw Problem{fmt::format(
        "a {} cannot be printed: its text would be a "
        "place in memory{}",
        typeName(value),
        value.is(Kind::Iterator) ? "; make it a list with '| list'" : "")};
  }
  run.allocate(out.size() - std::min(before, out.size()));
}

} // namespace

std::string realText(double number) {
  if (std::isnan(number))
    return "nan";
  if (std::isinf(number))
    return number < 0 ? "-inf" : "inf";
  return std::string(Json(number).numberText());
}

std::string reprText(std::string_view text) {
  bool doubled = text.find('\'') != std::string_view::npos &&
                 text.find('"') == std::string_view::npos;
  char delimiter = doubled ? '"' : '\'';
  std::string out(1, delimiter);
  for (std::string_view c : characters(text)) {
    uint32_t code = decode(c);
    if (code == uint32_t(delimiter) || code == '\\')
      out += '\\', out += char(code);
    else if (code == '\n')
      out += "\\n";
    else if (code == '\r')
      out += "\\r";
    else if (code == '\t')
      out += "\\t";
    else if (isPrintable(code))
      out += c;
    else
      out += code < 0x100     ? fmt::format("\\x{:02x}", code)
             : code < 0x10000 ? fmt::format("\\u{:04x}", code)
                              : fmt::format("\\U{:08x}", code);
  }
  return out += delimiter;
}

std::string repr(Run &run, const Value &value) {
  std::string out;
  appendRepr(run, out, value);
  return out;
}

void print(Run &run, std::string &out, const Value &value) {
  if (value.isStr()) {
    run.allocate(value.text().size());
    out += value.text();
  } else if (!value.is(Kind::Undefined)) {
    appendRepr(run, out, value);
  }
}

std::string printed(Run &run, const Value &value) {
  std::string out;
  print(run, out, value);
  return out;
}

std::string escapeHtml(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '\'':
      out += "&#39;";
      break;
    case '"':
      out += "&#34;";
      break;
    default:
      out += c;
    }
  }
  return out;
}

} // namespace mbc::text::jinja
