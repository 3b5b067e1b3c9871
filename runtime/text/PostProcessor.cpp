//===- PostProcessor.cpp --------------------------------------------------===//
#include "runtime/text/PostProcessor.h"

#include "runtime/core/Text.h"

#include <fmt/format.h>

namespace mbc::text {

/// ["<s>", 1]
static Expected<int32_t> tokenAndId(const Field &field) {
  MBC_ASSIGN(auto pair, field.elements());
  if (pair.size() != 2)
    return field.fail("is no pair; expected a token and its id");
  return pair[1].id();
}

Status PostProcessor::add(const Field &field) {
  MBC_ASSIGN(std::string type, field.type());
  if (type == "ByteLevel") // of offsets alone
    return {};
  if (type == "Sequence") {
    MBC_ASSIGN(auto fields, field.at("processors").elements());
    for (const Field &each : fields)
      MBC_TRY(add(each));
    return {};
  }
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    MBC_ASSIGN(int32_t before, tokenAndId(field.at("cls")));
    MBC_ASSIGN(int32_t after, tokenAndId(field.at("sep")));
    templates.push_back({{false, {before}}, {true, {}}, {false, {after}}});
    return {};
  }
  if (type != "TemplateProcessing")
    return field.unknownType("post-processor",
                             "Sequence, ByteLevel, TemplateProcessing, "
                             "BertProcessing and RobertaProcessing");
  std::vector<Part> parts;
  MBC_ASSIGN(auto fields, field.at("single").elements());
  for (const Field &each : fields) {
    Field sequence = each.at("Sequence"), token = each.at("SpecialToken");
    if (!sequence.isNull()) {
      MBC_ASSIGN(std::string which, sequence.at("id").text());
      if (which != "A")
        return sequence.at("id").fail(
            fmt::format("is {}; one text is 'A'", quote(which)));
      parts.push_back({true, {}});
      continue;
    }
    MBC_ASSIGN(std::string name, token.at("id").text());
    Field ids = field.at("special_tokens").at(name).at("ids");
    MBC_ASSIGN(auto list, ids.elements());
    Part part{false, {}};
    for (const Field &id : list) {
      MBC_ASSIGN(int32_t value, id.id());
      part.ids.push_back(value);
    }
    parts.push_back(std::move(part));
  }
  templates.push_back(std::move(parts));
  return {};
}

Expected<PostProcessor> PostProcessor::parse(const Field &field) {
  PostProcessor result;
  if (!field.isNull())
    MBC_TRY(result.add(field));
  return result;
}

PostProcessor PostProcessor::around(std::vector<int32_t> before,
                                    std::vector<int32_t> after) {
  PostProcessor result;
  result.templates.push_back(
      {{false, std::move(before)}, {true, {}}, {false, std::move(after)}});
  return result;
}

std::vector<int32_t> PostProcessor::apply(std::vector<int32_t> ids,
                                          bool special) const {
  for (const auto &parts : templates) {
    bool plain = parts.size() == 1 && parts[0].isText;
    if (plain)
      continue;
    std::vector<int32_t> out;
    for (const Part &part : parts)
      if (part.isText)
        out.insert(out.end(), ids.begin(), ids.end());
      else if (special)
        out.insert(out.end(), part.ids.begin(), part.ids.end());
    ids = std::move(out);
  }
  return ids;
}

} // namespace mbc::text
