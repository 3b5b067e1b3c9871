//===- DraftDeclaration.cpp -----------------------------------------------===//
#include "compiler/Bridge/DraftDeclaration.h"

#include "compiler/Bridge/Counts.h"
#include "compiler/Bridge/MatchTensors.h"
#include "compiler/Frontend/Import.h"
#include "runtime/core/File.h"
#include "runtime/core/Json.h"
#include "runtime/core/Text.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Regex.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>

using namespace mlir;
namespace fs = std::filesystem;

namespace mbc {

using namespace wmap;

namespace {

/// A declared family under the folder's configuration, and how well it fits.
struct Candidate {
  const DeclaredModel *declared = nullptr;
  std::unique_ptr<ProvedModel> proved;
  ImpliedTensors implied;
  std::vector<FamilyMatch> matches;
  int64_t score = INT64_MIN;
};

/// "MyNewForCausalLM" -> "MyNew".
std::string modelName(StringRef architecture) {
  for (StringRef suffix :
       {"ForCausalLM", "ForConditionalGeneration", "LMHeadModel", "Model"})
    if (architecture.size() > suffix.size() &&
        architecture.consume_back(suffix))
      break;
  std::string name;
  for (char c : architecture)
    if (llvm::isAlnum(c) || c == '_')
      name += c;
  return name.empty() || llvm::isDigit(name[0]) ? "Model" + name : name;
}

/// "MyNew3" -> "my_new3.mbc".
std::string fileName(StringRef name) {
  std::string text;
  for (size_t i = 0; i < name.size(); ++i) {
    if (i && llvm::isUpper(name[i]) && !llvm::isUpper(name[i - 1]))
      text += '_';
    text += llvm::toLower(name[i]);
  }
  return text + ".mbc";
}

/// The items between the outer braces of a file's first declaration, each with
/// the blank space before it left out.
std::vector<StringRef> itemsOf(StringRef text) {
  std::vector<StringRef> items;
  size_t depth = 0, begin = StringRef::npos;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '/' && text.substr(i).starts_with("//")) {
      i = std::min(text.find('\n', i), text.size());
      continue;
    }
    if (depth == 1 && begin == StringRef::npos && !llvm::isSpace(c) && c != '}')
      begin = i;
    if (c == '"') {
      for (++i; i < text.size() && text[i] != '"'; ++i)
        if (text[i] == '\\')
          ++i;
      continue;
    }
    if (c == '{')
      ++depth;
    bool closes = c == '}' && depth > 0 && --depth == 1;
    if (depth == 1 && begin != StringRef::npos && (c == ';' || closes)) {
      // `hf { ... } mcore x;` ends with its semicolon, `config { ... }` with
      // the brace.
      StringRef item = text.slice(begin, i + 1);
      if (closes && !item.starts_with("config") && !item.starts_with("each") &&
          !item.starts_with("part"))
        continue;
      items.push_back(item);
      begin = StringRef::npos;
    }
    if (depth == 0 && c == '}')
      break;
  }
  return items;
}

/// `use "x.mbc"` as seen from anywhere.
std::string absoluteUses(StringRef text, StringRef file) {
  std::string result;
  llvm::Regex use("use[ \t]+\"([^\"/][^\"]*)\"");
  SmallVector<StringRef> match;
  while (use.match(text, &match)) {
    size_t at = match[1].data() - text.data();
    SmallString<128> path(llvm::sys::path::parent_path(file));
    llvm::sys::path::append(path, match[1]);
    result += text.take_front(at);
    result += path.str();
    text = text.drop_front(at + match[1].size());
  }
  return result + text.str();
}

class Drafter {
public:
  Drafter(const ModelLibrary &library, const HfFolder &folder,
          const fs::path &scratch, const ConfigOptions &options)
      : library(library), folder(folder), scratch(scratch), options(options),
        groups(groupTensors(folder)) {}

  Expected<Draft> draft() {
    MBC_ASSIGN(Json config, Json::parseFile(folder.configPath()));
    const Json *names = config.find("architectures");
    if (!names || names->elements().empty() || !names->elements()[0].asString())
      return inputError(fmt::format("{}: names no architecture; expected "
                                    "\"architectures\": [\"...\"]",
                                    folder.configPath().string()));
    architecture = *names->elements()[0].asString();
    MBC_TRY(choose(config));
    result.name = modelName(architecture);
    result.file = fileName(result.name);
    result.base = best.declared->name;
    MBC_TRY(writeModel());
    MBC_TRY(writeMapping());
    return std::move(result);
  }

private:
  /// The family that explains most tensors and asks for fewest others.
  Status choose(Json config) {
    std::string why;
    for (const DeclaredModel &declared : library.models()) {
      if (declared.architectures.empty())
        continue;
      config.set("architectures", Json::array({declared.architectures[0]}));
      fs::path path = scratch / "config.json";
      MBC_TRY(writeWholeFile(path, config.dump()));
      auto proved = ProvedModel::create(library, path, options);
      if (!proved) {
        why += fmt::format("{}: {}\n", declared.name,
                           proved.error().message.substr(
                               0, proved.error().message.find('\n')));
        std::error_code code;
        fs::remove(path, code);
        continue;
      }
      Candidate candidate;
      candidate.declared = &declared;
      candidate.proved = std::move(*proved);
      MBC_ASSIGN(candidate.implied,
                 impliedTensors(candidate.proved->model(),
                                candidate.proved->mapping()));
      candidate.matches = matchFamilies(candidate.implied.families, groups);
      int64_t score = 0;
      for (auto [family, match] :
           llvm::zip(candidate.implied.families, candidate.matches))
        if (!family.optional)
          score += match.groups.empty() ? -3 : match.groups.size() == 1 ? 2 : 1;
      score -= 3 * std::max<int64_t>(0, static_cast<int64_t>(groups.size()) -
                                            candidate.implied.families.size());
      candidate.score = score;
      std::error_code code;
      fs::remove(path, code);
      if (score > best.score)
        best = std::move(candidate);
    }
    if (!best.declared)
      return inputError(fmt::format(
          "{}: no declared family takes this configuration:\n{}write a pair as "
          "models/README.md says",
          folder.configPath().string(), why));
    return {};
  }

  Expected<std::string> textOf(const std::string &path) {
    auto buffer = library.fileSystem()->getBufferForFile(path);
    if (!buffer)
      return inputError(
          fmt::format("{}: {}", path, buffer.getError().message()));
    return (*buffer)->getBuffer().str();
  }

  Status writeModel() {
    MBC_ASSIGN(std::string text, textOf(best.declared->modelFile));
    llvm::Regex head("model[ \t]+[A-Za-z_0-9]+[ \t]+for[ \t]+\"[^{]*\\{");
    SmallVector<StringRef> match;
    if (!head.match(text, &match))
      return inputError(
          fmt::format("{}: declares no model", best.declared->modelFile));
    size_t at = match[0].data() - text.data();
    StringRef rest = StringRef(text).drop_front(at + match[0].size());
    result.model = fmt::format(
        "// A draft: {} for {}, whose fields of config.json it takes. Read it "
        "against the code of the model: what is\n// computed otherwise is not "
        "seen in names and shapes.\nmodel {} for {} {{",
        result.base, architecture, result.name, quotedName(architecture));
    result.model += absoluteUses(rest, best.declared->modelFile);
    return {};
  }

  static std::string quotedName(const std::string &text) {
    return "\"" + text + "\"";
  }

  /// Every entry with the names of the folder, below the same uses and fields.
  Status writeMapping() {
    std::map<std::pair<std::string, std::string>, size_t> families;
    bool sameNames = true;
    for (auto [index, family] : llvm::enumerate(best.implied.families)) {
      EntryOp entry = family.entry;
      families[{entry.getPath().str(), family.part}] = index;
      if (family.optional)
        continue;
      ++result.families;
      const FamilyMatch &match = best.matches[index];
      result.inferred += match.groups.size() == 1;
      sameNames &= match.groups.size() == 1 &&
                   spelled(family, groups[match.groups[0]]) == family.pattern;
    }
    MBC_ASSIGN(std::string text, textOf(best.declared->mappingFile));
    std::string &out = result.mapping;
    out = fmt::format("// A draft for the names of {}.\nmapping {} {{\n",
                      architecture, result.name);
    for (StringRef item : itemsOf(text)) {
      bool header = item.starts_with("use \"") || item.starts_with("config") ||
                    item.starts_with("scaled");
      if (header || sameNames)
        out += "  " + absoluteUses(item, best.declared->mappingFile) + "\n";
    }
    if (!sameNames)
      MBC_TRY(writeEntries(families));
    noteLeftOver();
    out += "}\n";
    return {};
  }

  std::string spelled(const ImpliedFamily &family, const TensorGroup &group) {
    SmallVector<StringRef> names;
    EntryOp entry = family.entry;
    for (LoopAttr loop : loopsOf(entry, family.inner))
      names.push_back(loop.getIndex());
    return group.pattern(names);
  }

  Status writeEntries(
      const std::map<std::pair<std::string, std::string>, size_t> &families) {
    MLIRContext context(MLIRContext::Threading::DISABLED);
    context.loadDialect<nn::NNDialect, WMapDialect>();
    llvm::SourceMgr sources;
    sources.setVirtualFileSystem(library.fileSystem());
    std::string errors;
    llvm::raw_string_ostream stream(errors);
    SourceMgrDiagnosticHandler handler(sources, &context, stream);
    OwningOpRef<ModuleOp> module =
        importFiles(context, sources,
                    {best.declared->modelFile, best.declared->mappingFile});
    if (!module)
      return inputError(errors);
    MappingOp mapping = *module->getOps<MappingOp>().begin();
    // Entries of one stack stand together, in the order of the base.
    std::vector<std::string> order;
    std::map<std::string, std::string> blocks;
    for (EntryOp entry : mapping.getOps<EntryOp>()) {
      std::string head;
      if (!entry.getLoops().empty()) {
        auto loop = cast<LoopAttr>(entry.getLoops()[0]);
        head = fmt::format("each {} in {}", loop.getIndex().str(),
                           loop.getOver().str());
      }
      if (!llvm::is_contained(order, head))
        order.push_back(head);
      blocks[head] += entryText(entry, head.empty() ? "" : "  ", families);
    }
    for (const std::string &head : order)
      result.mapping += head.empty()
                            ? blocks[head]
                            : "  " + head + " {\n" + blocks[head] + "  }\n";
    return {};
  }

  std::string entryText(
      EntryOp entry, const std::string &indent,
      const std::map<std::pair<std::string, std::string>, size_t> &families) {
    auto alternative = cast<AlternativeAttr>(entry.getHf()[0]);
    std::string comment, names;
    bool absent = true;
    for (StoredAttr part : alternative.getParts()) {
      std::string spelling = part.getName().str(), where = part.getPart().str();
      auto it = families.find({entry.getPath().str(), where});
      if (it != families.end()) {
        const ImpliedFamily &family = best.implied.families[it->second];
        const FamilyMatch &match = best.matches[it->second];
        std::string what =
            entry.getPath().str() + (where.empty() ? "" : " (" + where + ")");
        absent = false;
        if (match.groups.size() == 1) {
          spelling = spelled(family, groups[match.groups[0]]);
          used.insert(match.groups[0]);
        } else if (!family.optional) {
          std::string choices;
          for (size_t group : match.groups) {
            choices += (choices.empty() ? "" : " or ") +
                       quotedName(spelled(family, groups[group]));
            used.insert(group);
          }
          std::string open = fmt::format(
              "'{}' {} is {}", what, shapeText(family.shape),
              choices.empty() ? "no tensor of the folder" : choices);
          result.open.push_back(open);
          comment += "  " + indent + "// ?? " + open + "\n";
          spelling = "?? " + spelling;
        }
      }
      names += (names.empty() ? "" : ", ") +
               (where.empty() ? "" : where + ": ") + quotedName(spelling) +
               (part.getScaled() ? " scaled" : "") + viewText(part.getView());
    }
    if (!alternative.getParts()[0].getPart().empty())
      names = "{ " + names + " }";
    for (LoopAttr loop : alternative.getLoops())
      names = fmt::format("each {} in {} {}", loop.getIndex().str(),
                          loop.getOver().str(), names);
    StringRef path = entry.getPath();
    if (!entry.getLoops().empty())
      path.consume_front(
          (cast<LoopAttr>(entry.getLoops()[0]).getOver() + ".").str());
    std::string text = comment;
    if (absent)
      text += "  " + indent +
              "// not there under this configuration; the name is that of " +
              result.base + "\n";
    text += fmt::format("  {}{} : hf {}", indent, path.str(), names);
    if (entry.getStored())
      text += " stored";
    if (KeyAttr key = entry.getMcoreAttr()) {
      text += "  mcore ";
      for (LoopAttr loop : key.getLoops())
        text += fmt::format("each {} in {} ", loop.getIndex().str(),
                            loop.getOver().str());
      text += key.str() + viewText(key.getView());
    }
    return text + ";\n";
  }

  /// " as (a * b, c)".
  static std::string viewText(ArrayAttr view) {
    if (!view)
      return "";
    std::string text;
    for (Attribute dimension : view) {
      std::string product;
      auto list = dyn_cast<ArrayAttr>(dimension);
      for (Attribute axis : list ? list.getValue() : ArrayRef(dimension))
        product += (product.empty() ? "" : " * ") +
                   (isa<StringAttr>(axis)
                        ? cast<StringAttr>(axis).getValue().str()
                        : cast<FlatSymbolRefAttr>(axis).getValue().str());
      text += (text.empty() ? "" : ", ") + product;
    }
    return " as (" + text + ")";
  }

  /// Tensors that no entry names.
  void noteLeftOver() {
    for (auto [index, match] : llvm::enumerate(best.matches))
      used.insert(match.groups.begin(), match.groups.end());
    for (auto [index, group] : llvm::enumerate(groups)) {
      if (used.contains(index))
        continue;
      std::string open = fmt::format(
          "nothing uses {} {}, {} tensors", quotedName(group.pattern({})),
          shapeText(group.shape), group.tuples.size());
      result.mapping += "  // ?? " + open + "\n";
      result.open.push_back(open);
    }
  }

  const ModelLibrary &library;
  const HfFolder &folder;
  const fs::path &scratch;
  const ConfigOptions &options;
  std::vector<TensorGroup> groups;
  std::set<size_t> used;
  std::string architecture;
  Candidate best;
  Draft result;
};

} // namespace

Expected<Draft> draftDeclaration(const ModelLibrary &library,
                                 const HfFolder &folder,
                                 const fs::path &scratch,
                                 const ConfigOptions &options) {
  return Drafter(library, folder, scratch, options).draft();
}

} // namespace mbc
