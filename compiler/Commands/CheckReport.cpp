//===- CheckReport.cpp ----------------------------------------------------===//
#include "compiler/Commands/CheckReport.h"

#include "compiler/Transforms/Admissible.h"
#include "runtime/commands/TextTable.h"
#include "runtime/core/Text.h"
#include "runtime/io/CopyPlan.h"
#include "runtime/io/NumberText.h"

#include <fmt/format.h>
#include <map>
#include <set>

using namespace mlir;

namespace mbc {

llvm::ArrayRef<MappingProof> mappingProofs() {
  static constexpr MappingProof proofs[] = {
      {"W08", "every parameter is mapped"},
      {"W09", "the parts of a sum axis are stored once each"},
      {"W10", "every view is a bijection of the axes"},
      {"W14", "different indices give different names"},
      {"W15", "no two patterns can spell one Hugging Face tensor"},
      {"W16", "no two patterns can spell one Megatron parameter"},
      {"W17", "a parameter without a Megatron side is always tied"},
      {"W20", "extras are nobody's tensors"},
  };
  return proofs;
}

namespace {

/// The expressions of a pattern as a reader of `.mbc` files knows them.
std::string patternText(const plan::CopyT &copy) {
  const plan::NameT &name = *copy.mcore;
  std::string text = name.literals.front();
  for (size_t i = 0; i < name.holes.size(); ++i) {
    const plan::Hole &hole = name.holes[i];
    std::string index = copy.loops[hole.loop()]->index;
    if (hole.scale() != 1)
      index = fmt::format("{} * {}", hole.scale(), index);
    if (hole.offset() != 0)
      index = fmt::format("{} + {}", index, hole.offset());
    text += "{" + index + "}" + name.literals[i + 1];
  }
  return text;
}

/// "0-29" or "0, 3-5".
std::string layersText(ArrayRef<int64_t> layers) {
  std::string text;
  for (size_t i = 0; i < layers.size();) {
    size_t j = i;
    while (j + 1 < layers.size() && layers[j + 1] == layers[j] + 1)
      ++j;
    text += (i ? ", " : "") + std::to_string(layers[i]);
    if (j > i)
      text += "-" + std::to_string(layers[j]);
    i = j + 1;
  }
  return text;
}

std::string axesText(ArrayRef<nn::AxisAttr> axes) {
  std::string text;
  for (nn::AxisAttr axis : axes)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ",
                        axis.getName().str(), axis.getStaticSize().value_or(0));
  return text;
}

/// "[kv_heads 3, slot 5, head_dim 64 ; hidden 576]".
std::string typeText(nn::TensorType type) {
  std::string text = "[";
  if (!type.getBatch().empty())
    text += axesText(type.getBatch()) + " : ";
  text += axesText(type.getOut());
  if (!type.getIn().empty())
    text += " ; " + axesText(type.getIn());
  return text + "]";
}

/// "tp (kv_heads, slot.q), pad vocab", or empty: replicated.
std::string placementText(nn::ParamOp param) {
  std::string text;
  if (ArrayAttr shards = param.getShardAttr())
    for (Attribute attr : shards) {
      auto shard = cast<nn::ShardAttr>(attr);
      std::string targets;
      for (StringAttr target : shard.getTargets())
        targets += (targets.empty() ? "" : ", ") + target.getValue().str();
      text += fmt::format("{}{} ({})", text.empty() ? "" : ", ",
                          shard.getMesh().str(), targets);
    }
  if (ArrayAttr pads = param.getPadAttr())
    for (Attribute pad : pads)
      text += fmt::format("{}pad {}", text.empty() ? "" : ", ",
                          cast<StringAttr>(pad).getValue().str());
  return text;
}

/// One row of the table: a parameter, over all its layers.
struct Row {
  std::string path, layers, shape, placement, tie;
  std::vector<std::string> hf, mcore;
  uint64_t tensors = 0, elements = 0, bytes = 0;
};

class Reporter {
public:
  explicit Reporter(const CheckInput &input)
      : in(input), model(input.proved.model()),
        mapping(input.proved.mapping()) {}

  Outcome report() {
    header();
    parameters();
    obligations();
    totals();
    fields();
    admissible();
    return std::move(out);
  }

private:
  void line(const std::string &text) { out.text += text + "\n"; }
  void title(const char *text) { out.text += std::string("\n") + text + "\n"; }

  void header() {
    const DeclaredModel &declared = in.proved.declared();
    line(fmt::format("{}: proved for {}", declared.name, in.config.string()));
    line(fmt::format("  {}\n  {}", declared.modelFile, declared.mappingFile));
    out.json.set("model", declared.name);
    out.json.set("model_file", declared.modelFile);
    out.json.set("mapping_file", declared.mappingFile);
    out.json.set("config", in.config.string());
  }

  std::vector<Row> rows() {
    std::map<std::string, nn::ParamOp> params;
    for (nn::LogicalParameter &parameter : nn::collectParameters(model))
      params[parameter.path] = parameter.op;
    std::map<std::string, std::vector<std::string>> keys;
    std::map<std::string, uint64_t> bound = boundBytes();
    for (const auto &copy : in.plan.copies) {
      std::string key = patternText(*copy);
      auto &list = keys[copy->path];
      if (!llvm::is_contained(list, key))
        list.push_back(std::move(key));
    }
    std::vector<Row> rows;
    std::map<std::string, size_t> byPath;
    for (const ImpliedFamily &family : in.implied.families) {
      wmap::EntryOp entry = family.entry;
      std::string path = entry.getPath().str();
      auto [it, added] = byPath.try_emplace(path, rows.size());
      if (added) {
        Row row;
        row.path = path;
        if (!entry.getLoops().empty())
          row.layers = layersText(*entry.getDomain());
        row.shape = typeText(cast<nn::TensorType>(*entry.getType()));
        if (auto param = params.find(path); param != params.end())
          row.placement = placementText(param->second);
        if (entry.getTie())
          row.tie = entry.getTie()->str();
        row.mcore = keys[path];
        if (in.folder)
          row.bytes = bound[path];
        rows.push_back(std::move(row));
      }
      addFamily(rows[it->second], family);
    }
    return rows;
  }

  void addFamily(Row &row, const ImpliedFamily &family) {
    std::string name = family.pattern;
    if (family.scaleShape)
      name += " (+ " + family.scaleSuffix + ")";
    if (!family.part.empty())
      name = family.part + " " + name;
    row.hf.push_back(std::move(name));
    if (family.optional)
      return;
    row.tensors += family.count * (family.scaleShape ? 2 : 1);
    uint64_t elements = family.count * family.elements();
    uint64_t scales = family.count * family.scaleElements();
    row.elements += elements + scales;
    DType dtype =
        family.scaleShape ? DType::F8E4M3 : family.pinned.value_or(in.dtype);
    if (!in.folder)
      row.bytes += bytesOf(dtype, elements) + bytesOf(DType::F32, scales);
  }

  /// Bytes of the folder's tensors, by the parameter that they hold.
  std::map<std::string, uint64_t> boundBytes() {
    std::map<std::string, uint64_t> bytes;
    if (!in.folder)
      return bytes;
    std::set<int64_t> seen;
    for (const auto &copy : in.plan.copies)
      (void)forEachIndex(copy->loops, [&](std::span<const uint32_t> indices) {
        int64_t tensor = in.folder->find(spell(*copy->hf, indices));
        if (tensor >= 0 && seen.insert(tensor).second)
          bytes[copy->path] += in.folder->tensors()[tensor].bytes();
        return Status();
      });
    return bytes;
  }

  void parameters() {
    title("Parameters");
    TextTable table({4});
    table.row({"PARAMETER", "LAYERS", "SHAPE", "PLACEMENT", "BYTES"});
    Json list = Json::array();
    for (const Row &row : rows()) {
      std::string placement =
          row.placement.empty() ? "replicated" : row.placement;
      if (!row.tie.empty())
        placement = "is " + row.tie;
      table.row({row.path, row.layers, row.shape, placement,
                 row.tensors ? sizeText(row.bytes) : "-"});
      for (const std::string &name : row.hf)
        table.note("    hf     " + name + (row.tensors ? "" : " (optional)"));
      for (const std::string &key : row.mcore)
        table.note("    mcore  " + key);
      list.push(Json::object({{"path", row.path},
                              {"layers", row.layers},
                              {"shape", row.shape},
                              {"placement", row.placement},
                              {"tie", row.tie},
                              {"hf", strings(row.hf)},
                              {"mcore", strings(row.mcore)},
                              {"tensors", row.tensors},
                              {"elements", row.elements},
                              {"bytes", row.bytes}}));
    }
    out.text += table.text();
    out.json.set("parameters", std::move(list));
  }

  static Json strings(const std::vector<std::string> &list) {
    Json json = Json::array();
    for (const std::string &text : list)
      json.push(text);
    return json;
  }

  static std::string member(DictionaryAttr record, StringRef name) {
    auto text = dyn_cast_or_null<StringAttr>(record.get(name));
    return text ? text.getValue().str() : std::string();
  }

  void obligations() {
    title("Obligations");
    TextTable table;
    Json list = Json::array();
    auto add = [&](const std::string &kind, const std::string &text,
                   const std::string &verdict, const std::string &place) {
      table.row({"  " + verdict, kind, text, place});
      list.push(Json::object({{"kind", kind},
                              {"text", text},
                              {"verdict", verdict},
                              {"place", place}}));
    };
    if (ArrayAttr records = model.getObligationsAttr())
      for (Attribute attr : records) {
        auto record = cast<DictionaryAttr>(attr);
        add(member(record, "kind"), member(record, "text"),
            member(record, "verdict"), member(record, "place"));
      }
    for (const MappingProof &proof : mappingProofs())
      add(proof.constraint, proof.text, "proved", "");
    if (in.folder) {
      add("W22", "no tensor is missing", "holds", "");
      add("W23", "no tensor is left over", "holds", "");
      add("W24", "every shape is as proved", "holds", "");
      add("W27", "no tensor is used twice", "holds", "");
    }
    out.text += table.text();
    out.json.set("obligations", std::move(list));
  }

  void totals() {
    title("Tensors");
    const ImpliedTensors &implied = in.implied;
    std::string scales =
        implied.scaleTensors
            ? fmt::format(", of them {} block scales of {} elements",
                          groupedNumber(implied.scaleTensors),
                          groupedNumber(implied.scaleElements))
            : "";
    line(fmt::format("  implied   {} tensors, {} elements{}",
                     groupedNumber(implied.tensors),
                     groupedNumber(implied.elements), scales));
    line(
        fmt::format("  optional  {} tensors", groupedNumber(implied.optional)));
    Json patterns = Json::array();
    auto optional = [&](const std::string &pattern, uint64_t count,
                        std::string why) {
      line(fmt::format("    {} ({}{})", pattern, why,
                       count > 1 ? fmt::format(", {} of them", count) : ""));
      patterns.push(Json::object(
          {{"pattern", pattern}, {"tensors", count}, {"why", why}}));
    };
    for (const ImpliedFamily &family : implied.families)
      if (family.optional) {
        wmap::EntryOp entry = family.entry;
        optional(family.pattern, family.count,
                 fmt::format("copy of '{}'", entry.getTie()->str()));
      }
    for (const ExtraFamily &extra : implied.extras)
      optional(extra.pattern, extra.count,
               extra.alternative ? "extra, other spelling" : "extra");
    out.json.set("implied",
                 Json::object({{"tensors", implied.tensors},
                               {"elements", implied.elements},
                               {"scale_tensors", implied.scaleTensors},
                               {"scale_elements", implied.scaleElements}}));
    out.json.set("optional", Json::object({{"tensors", implied.optional},
                                           {"patterns", patterns}}));
    if (!in.folder)
      return;
    uint64_t elements = 0, bytes = 0;
    for (const TensorInfo &info : in.folder->tensors()) {
      elements += static_cast<uint64_t>(info.elements());
      bytes += info.bytes();
    }
    line(fmt::format("  stored    {} tensors, {} elements, {}: all bound",
                     groupedNumber(in.folder->tensors().size()),
                     groupedNumber(elements), sizeText(bytes)));
    out.json.set("stored",
                 Json::object({{"tensors", in.folder->tensors().size()},
                               {"elements", elements},
                               {"bytes", bytes}}));
  }

  void fields() {
    title("Fields of config.json");
    Json json = Json::object();
    static constexpr std::pair<const char *, const char *> classes[] = {
        {"used", "used"},
        {"neutral", "neutral"},
        {"accepted", "accepted"},
        {"inert", "inert"},
        {"unknown", "unknown"}};
    DictionaryAttr all = model.getFieldsAttr();
    for (auto [key, shown] : classes) {
      Json names = Json::array();
      std::string text;
      if (auto list =
              dyn_cast_or_null<ArrayAttr>(all ? all.get(key) : Attribute()))
        for (Attribute name : list) {
          text += (text.empty() ? "" : ", ") +
                  cast<StringAttr>(name).getValue().str();
          names.push(cast<StringAttr>(name).getValue().str());
        }
      if (!text.empty()) {
        std::string wrapped = wrapText(text, 88);
        for (size_t at = 0; (at = wrapped.find('\n', at)) != std::string::npos;)
          wrapped.replace(at++, 1, "\n" + std::string(12, ' '));
        line(fmt::format("  {:<9} {}", shown, wrapped));
      }
      json.set(key, std::move(names));
    }
    out.json.set("fields", std::move(json));
  }

  void admissible() {
    title("Admissible parallel sizes");
    Json json = Json::object();
    auto add = [&](const char *name, const std::vector<int64_t> &sizes) {
      line(fmt::format("  {:<4} {}", name, nn::listText(sizes)));
      Json list = Json::array();
      for (int64_t size : sizes)
        list.push(size);
      json.set(name, std::move(list));
    };
    add("tp", wmap::admissibleSizes(model, "tp"));
    std::vector<int64_t> stages = wmap::admissibleSizes(model, "pp");
    add("pp", stages);
    // Chunks of a stage: what the stages leave of the layers.
    std::vector<int64_t> chunks;
    for (int64_t total : stages)
      if (total % in.sizes.pp == 0)
        chunks.push_back(total / in.sizes.pp);
    add("vpp", chunks);
    add("ep", wmap::admissibleSizes(model, "ep"));
    add("etp", wmap::admissibleSizes(model, "etp"));
    const wmap::ParallelSizes &sizes = in.sizes;
    line(fmt::format(
        "  checked with tp {}, pp {}, vpp {}, cp {}, ep {}, etp {}", sizes.tp,
        sizes.pp, sizes.vpp, sizes.cp, sizes.ep, sizes.etp));
    out.json.set("admissible", std::move(json));
    out.json.set("sizes", Json::object({{"tp", sizes.tp},
                                        {"pp", sizes.pp},
                                        {"vpp", sizes.vpp},
                                        {"cp", sizes.cp},
                                        {"ep", sizes.ep},
                                        {"etp", sizes.etp}}));
  }

  const CheckInput &in;
  nn::ModelOp model;
  wmap::MappingOp mapping;
  Outcome out;
};

} // namespace

Outcome checkReport(CheckInput input) { return Reporter(input).report(); }

} // namespace mbc
