//===- YamlFile.cpp -------------------------------------------------------===//
#include "compiler/Bridge/YamlFile.h"

#include "runtime/core/File.h"
#include "runtime/core/Text.h"

#include "llvm/ADT/StringRef.h"

#include <algorithm>
#include <fmt/format.h>
#include <sstream>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

namespace fs = std::filesystem;

namespace mbc {

namespace {

constexpr uint64_t kMaxBytes = 16u << 20;
constexpr unsigned kMaxDepth = 64;
constexpr size_t kMaxValues = 200000;

bool isDigits(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// A plain scalar. JSON's spelling of a number is kept, so that one too large
/// for any type is still seen as it stands.
Json plainValue(const std::string &text) {
  std::string lower = llvm::StringRef(text).lower();
  if (text.empty() || text == "~" || lower == "null")
    return Json();
  if (lower == "true" || lower == "yes" || lower == "on")
    return Json(true);
  if (lower == "false" || lower == "no" || lower == "off")
    return Json(false);
  bool negative = text[0] == '-';
  std::string digits = text.substr(negative || text[0] == '+');
  std::erase(digits, '_');
  if (isDigits(digits)) {
    digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));
    if (auto number = Json::parse((negative ? "-" : "") + digits, "number"))
      return *number;
  }
  double real;
  bool mayBeReal =
      digits.find_first_not_of("0123456789.eE+-") == std::string::npos &&
      digits.find_first_of("0123456789") != std::string::npos;
  if (mayBeReal && !llvm::StringRef(digits).getAsDouble(real))
    if (Json number(negative ? -real : real); !number.isNull())
      return number;
  return Json(text);
}

class Converter {
public:
  explicit Converter(std::string where) : where(std::move(where)) {}

  Expected<Json> convert(const YAML::Node &node, unsigned depth = 0) {
    if (depth > kMaxDepth)
      return damaged(node, fmt::format("nested deeper than {}", kMaxDepth));
    if (++values > kMaxValues)
      return damaged(node, fmt::format("more than {} values, aliases written "
                                       "out",
                                       kMaxValues));
    if (node.IsScalar() && !isText(node.Scalar()))
      return damaged(node, "an escape that gives no UTF-8");
    if (node.IsScalar())
      return node.Tag() == "?" || node.Tag().empty() ? plainValue(node.Scalar())
                                                     : Json(node.Scalar());
    if (node.IsSequence()) {
      Json list = Json::array();
      for (const YAML::Node &element : node) {
        MBC_ASSIGN(Json value, convert(element, depth + 1));
        list.push(std::move(value));
      }
      return list;
    }
    if (!node.IsMap())
      return Json();
    std::vector<Json::Member> members;
    std::vector<std::string> names;
    for (const auto &member : node) {
      if (!member.first.IsScalar() || !isText(member.first.Scalar()))
        return damaged(node, "a key that is no text");
      MBC_ASSIGN(Json value, convert(member.second, depth + 1));
      members.emplace_back(member.first.Scalar(), std::move(value));
      names.push_back(member.first.Scalar());
    }
    std::ranges::sort(names);
    if (auto twice = std::ranges::adjacent_find(names); twice != names.end())
      return damaged(node, fmt::format("the key {} twice", quote(*twice)));
    return Json::object(std::move(members));
  }

private:
  /// The library writes some escapes, \N and \_, as single bytes.
  static bool isText(std::string_view text) {
    return utf8Prefix(text) == text.size();
  }

  Failure damaged(const YAML::Node &node, const std::string &what) {
    return inputError(
        fmt::format("{}:{}: has {}", where, node.Mark().line + 1, what));
  }

  std::string where;
  size_t values = 0;
};

} // namespace

Expected<Json> readYamlFile(const fs::path &path) {
  MBC_ASSIGN(std::string text, readWholeFile(path, kMaxBytes));
  return parseYaml(text, path.string());
}

/// YAML in UTF-8. The library passes bytes through that are no text, and takes
/// a file with zero bytes for another encoding, unchecked.
static Status checkText(std::string_view text, const std::string &name) {
  size_t line = 1;
  for (size_t i = 0; i < text.size();) {
    auto byte = static_cast<unsigned char>(text[i]);
    unsigned length = utf8Length(text.substr(i));
    bool control = byte == 0x7f || (byte < 0x20 && byte != '\t' &&
                                    byte != '\n' && byte != '\r');
    if (length == 0 || control)
      return inputError(
          fmt::format("{}:{}: is no YAML: byte {:#04x} is {}", name, line, byte,
                      control ? "a control character" : "no UTF-8"));
    line += byte == '\n';
    i += length;
  }
  return {};
}

namespace {

/// Sees nothing.
class NoEvents : public YAML::EventHandler {
  void OnDocumentStart(const YAML::Mark &) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark &, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark &, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark &, const std::string &, YAML::anchor_t,
                const std::string &) override {}
  void OnSequenceStart(const YAML::Mark &, const std::string &, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark &, const std::string &, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

} // namespace

/// Up to two. After some damages the library finds documents without an end.
static unsigned countDocuments(const std::string &text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  NoEvents events;
  unsigned count = 0;
  while (count < 2 && parser.HandleNextDocument(events))
    ++count;
  return count;
}

Expected<Json> parseYaml(const std::string &text, const std::string &name) {
  MBC_TRY(checkText(text, name));
  // The library reports by exceptions; none of them leaves this function.
  try {
    if (unsigned documents = countDocuments(text); documents != 1)
      return inputError(fmt::format("{}: holds {} YAML documents, expected one",
                                    name, documents ? "several" : "no"));
    return Converter(name).convert(YAML::Load(text));
  } catch (const YAML::Exception &error) {
    return inputError(fmt::format("{}:{}: is no YAML: {}", name,
                                  error.mark.line + 1, error.msg));
  } catch (const std::exception &error) {
    return inputError(fmt::format("{}: is no YAML: {}", name, error.what()));
  }
}

} // namespace mbc
