//===- WMapProve.cpp - wmap-prove -----------------------------------------===//
//
// Constraint numbers W.. are those of dialects/WMap/README.md.
//
//===----------------------------------------------------------------------===//
#include "compiler/Transforms/WMapEntries.h"
#include "compiler/Transforms/WMapGeometry.h"
#include "compiler/Transforms/WMapPasses.h"
#include "dialects/NN/Expr.h"

#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace mbc::wmap {

#define GEN_PASS_DEF_WMAPPROVE
#include "compiler/Transforms/WMapPasses.h.inc"

namespace {

/// A name on one side with the entry that holds it.
struct NamedFamily {
  EntryOp entry;
  std::string text;
  unsigned alternative;
  NameFamily family;
};

class Prover {
public:
  Prover(nn::ModelOp model, MappingOp mapping)
      : model(model), mapping(mapping), isStatic(isElaborated(model)),
        parameters(nn::collectParameters(model)) {
    for (nn::LogicalParameter &parameter : parameters)
      byPath[parameter.path] = &parameter;
  }

  LogicalResult prove() {
    for (EntryOp entry : llvm::make_early_inc_range(mapping.getOps<EntryOp>()))
      proveEntry(entry);
    proveCoverage();
    if (!failed)
      proveDisjoint(hfNames, "Hugging Face tensor"); // W15
    if (!failed)
      proveDisjoint(mcoreNames, "Megatron parameter"); // W16
    if (!failed)
      proveExtras();
    return failure(failed);
  }

private:
  InFlightDiagnostic error(Operation *op) {
    failed = true;
    return op->emitError();
  }

  void proveEntry(EntryOp entry) {
    auto it = byPath.find(entry.getPath());
    if (it == byPath.end()) {
      // Absent under this configuration; on a declared model, unknown.
      if (isStatic)
        return entry.erase();
      // W06: the path is a parameter of the model.
      auto diag = error(entry);
      diag << "model '" << model.getSymName() << "' has no parameter '"
           << entry.getPath() << "'";
      if (std::string near = nearestPath(entry.getPath()); !near.empty())
        diag << "; did you mean '" << near << "'?";
      return;
    }
    nn::LogicalParameter &parameter = *it->second;
    // W07: one entry a parameter.
    auto [seen, isNew] = entries.try_emplace(entry.getPath(), entry);
    if (!isNew) {
      auto diag = error(entry);
      diag << "parameter '" << entry.getPath() << "' is mapped twice";
      diag.attachNote(seen->second.getLoc()) << "it is first mapped here";
      return;
    }
    if (!proveLoops(entry, parameter) || !proveViews(entry, parameter) ||
        !proveTie(entry, parameter))
      return;
    addNames(entry, parameter);
    if (isStatic)
      specialize(entry, parameter);
  }

  /// W11: an entry of a parameter inside a stack runs over that stack.
  bool proveLoops(EntryOp entry, nn::LogicalParameter &parameter) {
    StringRef stack = parameter.stack ? parameter.stack.getSymName() : "";
    StringRef over;
    for (Attribute attr : entry.getLoops())
      over = cast<LoopAttr>(attr).getOver();
    if (over == stack)
      return true;
    auto diag = error(entry);
    if (stack.empty())
      diag << "'" << entry.getPath() << "' is no parameter of the layers '"
           << over << "'";
    else
      diag << "'" << entry.getPath() << "' is a parameter of the layers '"
           << stack << "': map it inside 'each l in " << stack << "'";
    return false;
  }

  bool proveViews(EntryOp entry, nn::LogicalParameter &parameter) {
    nn::TensorType type = parameter.type;
    for (auto [index, attr] : llvm::enumerate(entry.getHf())) {
      auto alternative = cast<AlternativeAttr>(attr);
      SmallVector<StringRef> spelled;
      for (LoopAttr loop : alternative.getLoops()) {
        if (!isBatchAxis(type, loop.getOver())) {
          // W12: names may spell batch axes only.
          error(entry) << "'" << loop.getOver() << "' is no batch axis of '"
                       << entry.getPath() << "'";
          return false;
        }
        spelled.push_back(loop.getOver());
      }
      std::string why;
      for (StoredAttr stored : alternative.getParts())
        if (!isInvertible(type, spelled, stored.getView(), why)) {
          // W10: a view is a bijection of the axes.
          error(entry) << "view of '" << stored.getName().str()
                       << "' is not invertible: " << why;
          return false;
        }
      if (!proveParts(entry, alternative, type))
        return false;
    }
    if (KeyAttr key = entry.getMcoreAttr()) {
      SmallVector<StringRef> spelled;
      for (LoopAttr loop : key.getLoops()) {
        if (!isBatchAxis(type, loop.getOver())) {
          error(entry) << "'" << loop.getOver() << "' is no batch axis of '"
                       << entry.getPath() << "'"; // W12
          return false;
        }
        spelled.push_back(loop.getOver());
      }
      std::string why;
      if (!isInvertible(type, spelled, key.getView(), why)) {
        error(entry) << "view of '" << key.str()
                     << "' is not invertible: " << why; // W10
        return false;
      }
    }
    return true;
  }

  /// W09: the parts of an alternative are the parts of one sum axis, each once.
  bool proveParts(EntryOp entry, AlternativeAttr alternative,
                  nn::TensorType type) {
    llvm::StringMap<unsigned> seen;
    nn::AxisAttr axis;
    for (StoredAttr stored : alternative.getParts()) {
      if (stored.getPart().empty())
        return true;
      std::string why;
      auto ref = findPart(type, stored.getPart(), why);
      if (!ref) {
        error(entry) << "unknown part '" << stored.getPart() << "' of '"
                     << entry.getPath() << "': " << why;
        return false;
      }
      if (axis && axis != ref->axis) {
        error(entry) << "'" << entry.getPath() << "' is given by parts of '"
                     << axis.getName() << "' and of '" << ref->axis.getName()
                     << "'; expected the parts of one axis";
        return false;
      }
      axis = ref->axis;
      if (seen[stored.getPart()]++) {
        error(entry) << "part '" << stored.getPart() << "' of '"
                     << entry.getPath() << "' is given twice";
        return false;
      }
    }
    for (nn::AxisAttr part : axis.getParts())
      if (!seen.count((axis.getName() + "." + part.getName()).str())) {
        error(entry) << "part '" << axis.getName() << "." << part.getName()
                     << "' of '" << entry.getPath() << "' is not given";
        return false;
      }
    return true;
  }

  /// W17: a parameter without a Megatron side is always tied to another.
  bool proveTie(EntryOp entry, nn::LogicalParameter &parameter) {
    bool tied = parameter.op.getTieAttr() != nullptr;
    bool always = tied && !parameter.op.getTieWhenAttr();
    if (entry.getHf().empty()) {
      error(entry) << "'" << entry.getPath() << "' has no hf side";
      return false;
    }
    if (!entry.getMcoreAttr() && !always && !(isStatic && tied)) {
      error(entry) << "'" << entry.getPath()
                   << "' has no mcore side, yet it is not always tied";
      return false;
    }
    if (entry.getStored() && !tied) {
      error(entry) << "'" << entry.getPath()
                   << "' is 'stored', yet it is never tied";
      return false;
    }
    return true;
  }

  void addNames(EntryOp entry, nn::LogicalParameter &parameter) {
    for (auto [index, attr] : llvm::enumerate(entry.getHf())) {
      auto alternative = cast<AlternativeAttr>(attr);
      auto loops = loopsOf(entry, alternative.getLoops());
      for (StoredAttr stored : alternative.getParts())
        addName(hfNames, entry, index, stored.getName().getSegments(),
                stored.getName().str(), loops, parameter);
    }
    // A tied parameter shares its original's Megatron side.
    if (KeyAttr key = entry.getMcoreAttr())
      if (!parameter.op.getTieAttr() || !isStatic)
        addName(mcoreNames, entry, 0, keySegments(key), key.str(),
                loopsOf(entry, key.getLoops()), parameter);
  }

  void addName(std::vector<NamedFamily> &names, EntryOp entry,
               unsigned alternative, ArrayRef<Attribute> segments,
               const std::string &text, ArrayRef<LoopAttr> loops,
               nn::LogicalParameter &parameter) {
    std::string why;
    auto tokens = tokenizeName(withValues(segments, loops), why);
    if (mlir::failed(tokens)) {
      error(entry) << "name '" << text << "' is ambiguous: " << why; // W13
      return;
    }
    NameFamily family{std::move(*tokens), domainsOf(loops, parameter), {}};
    if (Attribute when = parameter.op.getWhenAttr())
      family.conditions.push_back(when);
    if (mayBeNegative(family)) {
      // W18: holes spell numbers from 0 on.
      error(entry) << "name '" << text
                   << "' has an index that may be out of range (below 0)";
      return;
    }
    if (mayRepeat(family)) {
      // W14: every index is spelled.
      error(entry) << "name '" << text
                   << "' is the same for different indices of '"
                   << entry.getPath() << "'";
      return;
    }
    names.push_back({entry, text, alternative, std::move(family)});
  }

  void proveDisjoint(MutableArrayRef<NamedFamily> names, StringRef what) {
    // Only names of equal text can meet; hashing the texts keeps this linear
    // for the usual case of all different.
    llvm::StringMap<SmallVector<size_t>> byText;
    for (auto [index, name] : llvm::enumerate(names))
      byText[skeleton(name.family)].push_back(index);
    for (NamedFamily &name : names) {
      for (size_t other : byText[skeleton(name.family)]) {
        NamedFamily &second = names[other];
        if (&second >= &name)
          break;
        // Alternatives of one entry are never used together.
        if (second.entry == name.entry &&
            second.alternative != name.alternative)
          continue;
        if (!mayMeet(name.family, second.family))
          continue;
        auto diag = error(name.entry);
        diag << what << " '" << name.text << "' of '" << name.entry.getPath()
             << "' is consumed twice";
        diag.attachNote(second.entry.getLoc())
            << "'" << second.text << "' of '" << second.entry.getPath()
            << "' can be the same tensor";
        return;
      }
    }
  }

  /// W20: extras are nobody's tensors.
  void proveExtras() {
    for (ExtraOp extra :
         llvm::make_early_inc_range(mapping.getOps<ExtraOp>())) {
      if (isStatic && !hasStacks(extra)) {
        // A stack without layers is gone, and its extras with it.
        extra.erase();
        continue;
      }
      for (Attribute attr : extra.getLoops())
        if (StringRef over = cast<LoopAttr>(attr).getOver();
            !SymbolTable::lookupSymbolIn(model, over)) {
          // W19: extras run over a stack of the model.
          error(extra) << "model '" << model.getSymName() << "' has no layers '"
                       << over << "'";
          return;
        }
      std::string why;
      SmallVector<LoopAttr> loops;
      for (Attribute attr : extra.getLoops())
        loops.push_back(cast<LoopAttr>(attr));
      auto tokens =
          tokenizeName(withValues(extra.getName().getSegments(), loops), why);
      if (mlir::failed(tokens)) {
        error(extra) << "name '" << extra.getName().str()
                     << "' is ambiguous: " << why; // W13
        continue;
      }
      NameFamily family{
          std::move(*tokens), stackDomains(model, extra.getLoops()), {}};
      for (NamedFamily &name : hfNames)
        if (mayMeet(family, name.family)) {
          auto diag = error(extra);
          diag << "extra tensor '" << extra.getName().str()
               << "' is also the tensor of a parameter";
          diag.attachNote(name.entry.getLoc())
              << "'" << name.text << "' holds '" << name.entry.getPath() << "'";
          break;
        }
    }
  }

  bool hasStacks(ExtraOp extra) {
    return llvm::all_of(extra.getLoops(), [&](Attribute attr) {
      return SymbolTable::lookupSymbolIn(model, cast<LoopAttr>(attr).getOver());
    });
  }

  /// Segments with configuration names replaced by their values, where known.
  SmallVector<Attribute> withValues(ArrayRef<Attribute> segments,
                                    ArrayRef<LoopAttr> loops) {
    SmallVector<Attribute> result(segments);
    if (!isStatic)
      return result;
    auto symbol = [&](StringRef name) {
      bool isIndex = llvm::any_of(
          loops, [&](LoopAttr loop) { return loop.getIndex() == name; });
      return isIndex ? Attribute() : configValue(model, name);
    };
    auto field = [](Attribute) { return Attribute(); };
    for (Attribute &segment : result)
      if (!isa<StringAttr>(segment))
        segment = nn::substitute(segment, {symbol, field});
    return result;
  }

  /// W08: every parameter is mapped.
  void proveCoverage() {
    for (nn::LogicalParameter &parameter : parameters) {
      if (entries.count(parameter.path))
        continue;
      failed = true;
      auto diag = emitError(parameter.op.getLoc())
                  << "parameter '" << parameter.path
                  << "' has no entry in the mapping";
      diag.attachNote(mapping.getLoc())
          << "mapping '" << mapping.getModel() << "' is declared here";
    }
  }

  void specialize(EntryOp entry, nn::LogicalParameter &parameter) {
    entry.setTypeAttr(TypeAttr::get(parameter.type));
    if (parameter.stack)
      entry.setDomain(parameter.layers);
    if (auto tie = parameter.op.getTieAttr())
      entry.setTieAttr(tie);
  }

  std::string nearestPath(StringRef path) {
    std::string best;
    unsigned distance = 4;
    for (nn::LogicalParameter &parameter : parameters)
      if (unsigned d = path.edit_distance(parameter.path, true, distance);
          d < distance) {
        distance = d;
        best = parameter.path;
      }
    return best;
  }

  static std::string skeleton(const NameFamily &family) {
    std::string text;
    for (const NameToken &token : family.tokens)
      text += token.number ? std::string("#") : token.text;
    return text;
  }

  nn::ModelOp model;
  MappingOp mapping;
  bool isStatic;
  std::vector<nn::LogicalParameter> parameters;
  llvm::StringMap<nn::LogicalParameter *> byPath;
  llvm::StringMap<EntryOp> entries;
  std::vector<NamedFamily> hfNames, mcoreNames;
  bool failed = false;
};

struct ProvePass : impl::WMapProveBase<ProvePass> {
  void runOnOperation() override {
    for (MappingOp mapping : getOperation().getOps<MappingOp>()) {
      nn::ModelOp model = findModel(mapping);
      if (!model) {
        // W21: a mapping is that of a model.
        mapping.emitError("there is no model '")
            << mapping.getModel() << "' for this mapping";
        return signalPassFailure();
      }
      if (failed(Prover(model, mapping).prove()))
        return signalPassFailure();
    }
  }
};

} // namespace
} // namespace mbc::wmap
