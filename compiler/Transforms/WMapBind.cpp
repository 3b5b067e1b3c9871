//===- WMapBind.cpp - wmap-bind -------------------------------------------===//
//
// The second stage of linear use: everything is enumerated against the headers
// of a folder. Constraint numbers W.. are those of dialects/WMap/README.md.
//
//===----------------------------------------------------------------------===//
#include "compiler/Transforms/WMapBind.h"

#include "compiler/Transforms/WMapEntries.h"
#include "compiler/Transforms/WMapGeometry.h"
#include "compiler/Transforms/WMapPasses.h"
#include "compiler/Transforms/WMapScales.h"
#include "runtime/core/Text.h"
#include "runtime/io/HfFolder.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace mbc::wmap {

#define GEN_PASS_DEF_WMAPBIND
#include "compiler/Transforms/WMapPasses.h.inc"

namespace {

constexpr unsigned kMaxErrors = 20;

/// Run-length list of dtypes: [name, count, name, count, ...].
class DTypeRuns {
public:
  void add(StringRef dtype, int64_t count = 1) {
    if (!runs.empty() && runs.back().first == dtype)
      runs.back().second += count;
    else
      runs.push_back({dtype.str(), count});
  }
  ArrayAttr get(Builder &builder) const {
    SmallVector<Attribute> list;
    for (const auto &[dtype, count] : runs) {
      list.push_back(builder.getStringAttr(dtype));
      list.push_back(builder.getI64IntegerAttr(count));
    }
    return builder.getArrayAttr(list);
  }

private:
  std::vector<std::pair<std::string, int64_t>> runs;
};

/// The names and the shape of one stored part of an alternative.
struct PartNames {
  StoredAttr stored;
  StoredLayout layout;
  std::vector<std::string> names;
};

class Binder {
public:
  Binder(nn::ModelOp model, MappingOp mapping, const TensorSet &source)
      : model(model), mapping(mapping), source(source),
        folder(dynamic_cast<const HfFolder *>(&source)),
        consumer(source.tensors().size()) {}

  LogicalResult bind() {
    std::string why;
    auto clause = Scales::of(model, mapping, why);
    if (!clause) {
      mapping.emitError(why);
      return failure();
    }
    scales = std::move(*clause);
    for (EntryOp entry : mapping.getOps<EntryOp>())
      bindEntry(entry);
    // W34: a configuration that says FP8 is about some tensor of the folder.
    if (scales.stored() && scaledTensors == 0 && errors == 0)
      error(scales.op, "the configuration says that weights are FP8 with block "
                       "scales, and no tensor is; remove quantization_config "
                       "from config.json if they have been converted");
    bindExtras();
    if (errors > kMaxErrors)
      mapping.emitError() << errors - kMaxErrors
                          << " more tensors do not fit the mapping";
    return failure(errors != 0);
  }

private:
  /// Emits the first errors only; a wrong folder can have 100,000 of them.
  void error(Operation *op, const Twine &message) {
    if (++errors <= kMaxErrors)
      op->emitError(message);
  }

  std::string describe(int64_t tensor) const {
    std::string text = quote(source.tensors()[tensor].name);
    if (folder)
      text += " (" + folder->shards()[folder->shardOf(tensor)].file + ")";
    return text;
  }

  std::vector<PartNames> namesOf(EntryOp entry, AlternativeAttr alternative) {
    auto type = cast<nn::TensorType>(*entry.getType());
    SmallVector<StringRef> spelled;
    for (LoopAttr loop : alternative.getLoops())
      spelled.push_back(loop.getOver());
    auto tuples = indexTuples(entry, alternative.getLoops());
    std::vector<PartNames> parts;
    for (StoredAttr stored : alternative.getParts()) {
      std::string why;
      PartNames part{
          stored,
          *layoutOf(type, stored.getPart(), spelled, stored.getView(), why),
          {}};
      Speller speller(model, stored.getName().getSegments(),
                      loopsOf(entry, alternative.getLoops()));
      for (const auto &tuple : tuples)
        part.names.push_back(speller(tuple));
      parts.push_back(std::move(part));
    }
    return parts;
  }

  void bindEntry(EntryOp entry) {
    std::vector<std::vector<PartNames>> alternatives;
    SmallVector<unsigned> present;
    for (auto [index, attr] : llvm::enumerate(entry.getHf())) {
      alternatives.push_back(namesOf(entry, cast<AlternativeAttr>(attr)));
      if (llvm::any_of(alternatives.back(), [&](const PartNames &part) {
            return llvm::any_of(part.names, [&](const std::string &name) {
              return source.find(name) >= 0;
            });
          }))
        present.push_back(index);
    }
    if (present.size() > 1) {
      // W25: one way of storing a parameter at a time.
      auto example = [&](unsigned index) {
        return cast<AlternativeAttr>(entry.getHf()[index])
            .getParts()[0]
            .getName()
            .str();
      };
      return error(entry, "ambiguous: '" + entry.getPath() +
                              "' is stored both as '" + example(present[0]) +
                              "' and as '" + example(present[1]) + "'");
    }
    if (present.empty()) {
      // The copy of a tied parameter may be left out.
      if (entry.getTie() && !entry.getStored())
        return;
      present.push_back(0);
    }
    Builder builder(entry.getContext());
    SmallVector<Attribute> dtypes;
    for (const PartNames &part : alternatives[present.front()])
      dtypes.push_back(bindPart(entry, part, builder));
    entry.setChoice(present.front());
    entry.setDtypesAttr(builder.getArrayAttr(dtypes));
  }

  Attribute bindPart(EntryOp entry, const PartNames &part, Builder &builder) {
    DTypeRuns runs;
    for (const std::string &name : part.names) {
      int64_t tensor = source.find(name);
      if (tensor < 0) {
        // W22: no tensor is missing.
        error(entry, "tensor '" + name + "' is missing; it holds " +
                         (part.stored.getPart().empty()
                              ? "'" + entry.getPath().str() + "'"
                              : "part '" + part.stored.getPart().str() +
                                    "' of '" + entry.getPath().str() + "'"));
        continue;
      }
      if (consumer[tensor]) {
        // W27: nor is one used twice.
        error(entry, "tensor " + describe(tensor) + " is already used for '" +
                         consumer[tensor].getPath() + "'");
        continue;
      }
      consumer[tensor] = entry;
      const TensorInfo &info = source.tensors()[tensor];
      if (ArrayRef<int64_t>(info.shape) != ArrayRef(part.layout.shape)) {
        // W24: shapes are equal.
        std::string hint;
        if (info.shape.size() == 2 && part.layout.shape.size() == 2 &&
            info.shape[0] == part.layout.shape[1] &&
            info.shape[1] == part.layout.shape[0])
          hint = "; it is transposed";
        error(entry,
              "tensor " + describe(tensor) + " has shape " +
                  shapeText(info.shape) + ", expected " +
                  shapeText(std::vector<int64_t>(part.layout.shape.begin(),
                                                 part.layout.shape.end())) +
                  hint);
        continue;
      }
      if (mayBeScaled(part) && !bindScale(entry, tensor))
        continue;
      if (!isConvertible(info.dtype) && !isScaled(part, info.dtype)) {
        // W26: weights are floats that both sides can hold.
        error(entry,
              "tensor " + describe(tensor) + " has dtype " +
                  std::string(safetensorsName(info.dtype)) +
                  ", expected BF16, F16, F32 or F64" +
                  (mayBeScaled(part) ? ", or F8_E4M3 with block scales" : ""));
        continue;
      }
      runs.add(std::string(safetensorsName(info.dtype)));
    }
    return runs.get(builder);
  }

  bool mayBeScaled(const PartNames &part) const {
    return part.stored.getScaled() && !scales.suffix.empty();
  }
  bool isScaled(const PartNames &part, DType dtype) const {
    return mayBeScaled(part) && isScaledType(safetensorsName(dtype));
  }

  /// The scale of a tensor that may be FP8; false after an error.
  bool bindScale(EntryOp entry, int64_t tensor) {
    const TensorInfo &info = source.tensors()[tensor];
    std::string name = info.name + scales.suffix;
    int64_t index = source.find(name);
    if (!isScaledType(safetensorsName(info.dtype))) {
      // W33: a scale belongs to FP8.
      if (index < 0)
        return true;
      consumer[index] = entry;
      error(entry, "tensor " + describe(index) + " is a block scale, yet " +
                       describe(tensor) + " is " +
                       std::string(safetensorsName(info.dtype)) +
                       ", expected F8_E4M3");
      return false;
    }
    ++scaledTensors;
    if (index >= 0)
      consumer[index] = entry;
    // W32: FP8 is described by the configuration, and has its scale.
    if (!scales.stored()) {
      error(entry, "tensor " + describe(tensor) +
                       " is F8_E4M3, and the configuration has no "
                       "quantization_config with quant_method \"fp8\" that "
                       "says how");
      return false;
    }
    if (index < 0) {
      error(entry, "block scale '" + name + "' is missing; " +
                       describe(tensor) + " is F8_E4M3");
      return false;
    }
    if (info.shape.size() < 2) {
      error(entry, "tensor " + describe(tensor) + " has shape " +
                       shapeText(info.shape) +
                       ", expected a matrix, which blocks can cut");
      return false;
    }
    const TensorInfo &scale = source.tensors()[index];
    std::vector<int64_t> shape = scales.shapeOf(info.shape);
    if (scale.shape != shape) {
      error(entry,
            "block scale " + describe(index) + " has shape " +
                shapeText(scale.shape) + ", expected " + shapeText(shape) +
                " for blocks of " + Twine(scales.blocks[0]) + " x " +
                Twine(scales.blocks[1]) + " in " + shapeText(info.shape));
      return false;
    }
    if (!isConvertible(scale.dtype) && scale.dtype != DType::F8E8M0) {
      error(entry, "block scale " + describe(index) + " has dtype " +
                       std::string(safetensorsName(scale.dtype)) +
                       ", expected F32, BF16, F16, F64 or F8_E8M0");
      return false;
    }
    return true;
  }

  static bool isConvertible(DType dtype) {
    return dtype == DType::BF16 || dtype == DType::F16 || dtype == DType::F32 ||
           dtype == DType::F64;
  }

  /// W23: what is left is declared `extra`.
  void bindExtras() {
    llvm::StringMap<ExtraOp> patterns;
    std::vector<std::pair<ExtraOp, SmallVector<Attribute>>> found;
    for (ExtraOp extra : mapping.getOps<ExtraOp>()) {
      found.push_back({extra, {}});
      patterns[skeletonOf(extra.getName())] = extra;
    }
    Builder builder(mapping.getContext());
    for (auto [index, info] : llvm::enumerate(source.tensors())) {
      if (consumer[index])
        continue;
      auto it = patterns.find(skeletonOf(info.name));
      StringRef name(info.name);
      if (it == patterns.end() && !scales.suffix.empty() &&
          name.consume_back(scales.suffix)) {
        // W33: and to some tensor.
        int64_t owner = source.find(name.str());
        error(mapping,
              "tensor " + describe(index) + " is a block scale" +
                  (owner < 0 ? std::string(", and there is no tensor '") +
                                   name.str() + "'"
                             : ", and " + describe(owner) +
                                   " is never stored with one"));
        continue;
      }
      if (it == patterns.end()) {
        error(mapping, "tensor " + describe(index) +
                           " is used by no parameter of '" +
                           mapping.getModel() + "', nor declared extra");
        continue;
      }
      for (auto &[extra, names] : found)
        if (extra == it->second)
          names.push_back(builder.getArrayAttr(
              {builder.getStringAttr(info.name),
               builder.getStringAttr(std::string(safetensorsName(info.dtype))),
               builder.getDenseI64ArrayAttr(info.shape)}));
    }
    for (auto &[extra, names] : found)
      if (!names.empty())
        extra.setFoundAttr(builder.getArrayAttr(names));
  }

  /// The name with its numbers replaced: extras are optional in any layer.
  static std::string skeletonOf(StringRef name) {
    std::string text;
    bool inNumber = false;
    for (char c : name) {
      bool digit = llvm::isDigit(c);
      if (!digit)
        text += c;
      else if (!inNumber)
        text += '#';
      inNumber = digit;
    }
    return text;
  }
  static std::string skeletonOf(NameAttr name) {
    std::string text;
    for (Attribute segment : name.getSegments())
      text += isa<StringAttr>(segment) ? cast<StringAttr>(segment).str() : "0";
    return skeletonOf(StringRef(text));
  }

  nn::ModelOp model;
  MappingOp mapping;
  const TensorSet &source;
  const HfFolder *folder;
  /// The entry that uses each tensor of the source.
  std::vector<EntryOp> consumer;
  Scales scales;
  /// FP8 tensors that were found.
  uint64_t scaledTensors = 0;
  unsigned errors = 0;
};

/// Binds to what the configuration implies.
void bindImplied(nn::ModelOp model, MappingOp mapping, StringRef dtype) {
  Builder builder(mapping.getContext());
  auto parameters = nn::collectParameters(model);
  for (EntryOp entry : mapping.getOps<EntryOp>()) {
    if (entry.getTie() && !entry.getStored())
      continue;
    auto alternative = cast<AlternativeAttr>(entry.getHf()[0]);
    auto type = cast<nn::TensorType>(*entry.getType());
    int64_t count = entry.getLoops().empty()
                        ? 1
                        : static_cast<int64_t>(entry.getDomain()->size());
    for (LoopAttr loop : alternative.getLoops())
      count *= *type.findAxis(loop.getOver()).getStaticSize();
    DTypeRuns runs;
    bool pinned = isPinnedToF32(*findParameter(parameters, entry.getPath()));
    runs.add(pinned ? "F32" : dtype, count);
    entry.setChoice(0);
    entry.setDtypesAttr(builder.getArrayAttr(SmallVector<Attribute>(
        alternative.getParts().size(), runs.get(builder))));
  }
}

struct BindPass : impl::WMapBindBase<BindPass> {
  using WMapBindBase::WMapBindBase;
  explicit BindPass(const TensorSet *headers) : headers(headers) {}

  void runOnOperation() override {
    std::unique_ptr<HfFolder> opened;
    if (!headers && implied.empty()) {
      auto folder = HfFolder::open(source.getValue());
      if (!folder) {
        getOperation().emitError(folder.error().message);
        return signalPassFailure();
      }
      opened = std::move(*folder);
    }
    for (MappingOp mapping : getOperation().getOps<MappingOp>()) {
      nn::ModelOp model = findModel(mapping);
      if (!model || !isElaborated(model)) {
        mapping.emitError("is not elaborated; run nn-elaborate and "
                          "wmap-prove first");
        return signalPassFailure();
      }
      if (!implied.empty())
        bindImplied(model, mapping, implied);
      else if (failed(
                   Binder(model, mapping, headers ? *headers : *opened).bind()))
        return signalPassFailure();
    }
  }

  const TensorSet *headers = nullptr;
};

} // namespace

std::unique_ptr<Pass> createBindToHeaders(const TensorSet &headers) {
  return std::make_unique<BindPass>(&headers);
}

} // namespace mbc::wmap
