//===- WMapEntries.cpp ----------------------------------------------------===//
#include "compiler/Transforms/WMapEntries.h"

#include "dialects/NN/Expr.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace mbc::wmap {

nn::ModelOp findModel(MappingOp mapping) {
  auto module = mapping->getParentOfType<ModuleOp>();
  for (nn::ModelOp model : module.getOps<nn::ModelOp>())
    if (model.getSymName() == mapping.getModel())
      return model;
  return nullptr;
}

bool isElaborated(nn::ModelOp model) { return model->hasAttr("values"); }

Attribute configValue(nn::ModelOp model, StringRef name) {
  auto values = model->getAttrOfType<DictionaryAttr>("values");
  return values ? values.get(name) : Attribute();
}

const nn::LogicalParameter *
findParameter(ArrayRef<nn::LogicalParameter> parameters, StringRef path) {
  const auto *it =
      llvm::find_if(parameters, [&](const nn::LogicalParameter &parameter) {
        return parameter.path == path;
      });
  return it == parameters.end() ? nullptr : it;
}

bool isPinnedToF32(const nn::LogicalParameter &parameter) {
  nn::ParamOp op = parameter.op;
  return op.getDtype() && *op.getDtype() == "f32";
}

bool isBatchAxis(nn::TensorType type, StringRef axis) {
  return llvm::any_of(type.getBatch(), [&](nn::AxisAttr candidate) {
    return candidate.getName() == axis;
  });
}

SmallVector<LoopAttr> loopsOf(EntryOp entry, ArrayRef<LoopAttr> inner) {
  SmallVector<LoopAttr> loops;
  for (Attribute attr : entry.getLoops())
    loops.push_back(cast<LoopAttr>(attr));
  llvm::append_range(loops, inner);
  return loops;
}

SmallVector<Attribute> keySegments(KeyAttr key) {
  MLIRContext *ctx = key.getContext();
  SmallVector<Attribute> segments;
  std::string text;
  for (Attribute segment : key.getSegments()) {
    if (auto path = dyn_cast<StringAttr>(segment)) {
      text += (text.empty() ? "" : ".") + path.getValue().str();
      continue;
    }
    segments.push_back(StringAttr::get(ctx, text + "["));
    segments.push_back(segment);
    text = "]";
  }
  segments.push_back(StringAttr::get(ctx, text));
  return segments;
}

std::vector<IndexDomain> domainsOf(ArrayRef<LoopAttr> loops,
                                   const nn::LogicalParameter &parameter) {
  std::vector<IndexDomain> domains;
  MLIRContext *ctx = parameter.type.getContext();
  for (LoopAttr loop : loops) {
    IndexDomain domain{loop.getIndex().str(), loop.getOver().str(), {}, {}, {}};
    if (loop.getStack()) {
      if (!parameter.layers.empty()) {
        domain.ranges = toRanges(parameter.layers);
      } else {
        // The condition is written with the model's index name.
        Attribute index = FlatSymbolRefAttr::get(ctx, loop.getIndex());
        nn::LayersOp stack = parameter.stack;
        domain.bound = stack.getCountAttr();
        if (parameter.predicate)
          domain.condition = nn::substitute(
              parameter.predicate,
              {[&](StringRef symbol) {
                 return symbol == parameter.indexName ? index : Attribute();
               },
               [](Attribute) { return Attribute(); }});
      }
    } else {
      nn::AxisAttr axis = parameter.type.findAxis(loop.getOver());
      if (auto size = axis.getStaticSize())
        domain.ranges = {{0, *size, 1}};
      else
        domain.bound = axis.getSize();
    }
    domains.push_back(std::move(domain));
  }
  return domains;
}

std::vector<IndexDomain> stackDomains(nn::ModelOp model, ArrayAttr loops) {
  std::vector<IndexDomain> domains;
  for (Attribute attr : loops) {
    auto loop = cast<LoopAttr>(attr);
    IndexDomain domain{loop.getIndex().str(), loop.getOver().str(), {}, {}, {}};
    for (nn::LayersOp stack : model.getOps<nn::LayersOp>())
      if (stack.getSymName() == loop.getOver())
        domain.bound = stack.getCountAttr();
    domains.push_back(std::move(domain));
  }
  return domains;
}

//===----------------------------------------------------------------------===//
// Enumeration
//===----------------------------------------------------------------------===//

Speller::Speller(nn::ModelOp model, ArrayRef<Attribute> segments,
                 ArrayRef<LoopAttr> loops)
    : loops(loops) {
  for (Attribute segment : segments) {
    Piece piece;
    if (auto literal = dyn_cast<StringAttr>(segment)) {
      piece.text = literal.getValue().str();
    } else {
      // wmap-prove has shown that holes are affine.
      Affine form = *toAffine(segment);
      piece.constant = form.constant;
      piece.coefficients.assign(loops.size(), 0);
      for (const auto &[name, coefficient] : form.terms) {
        auto it = llvm::find_if(
            loops, [&](LoopAttr loop) { return loop.getIndex() == name; });
        if (it != loops.end())
          piece.coefficients[it - loops.begin()] = coefficient;
        else if (auto value = nn::asInt(configValue(model, name)))
          piece.constant += coefficient * *value;
      }
    }
    pieces.push_back(std::move(piece));
  }
}

std::string Speller::operator()(ArrayRef<int64_t> indices) const {
  std::string name;
  for (const Piece &piece : pieces) {
    if (piece.coefficients.empty() && !piece.text.empty()) {
      name += piece.text;
      continue;
    }
    if (piece.text.empty()) {
      int64_t value = piece.constant;
      for (auto [coefficient, index] : llvm::zip(piece.coefficients, indices))
        value += coefficient * index;
      name += std::to_string(value);
    }
  }
  return name;
}

NameAttr Speller::withValues(MLIRContext *ctx) const {
  SmallVector<Attribute> segments;
  for (const Piece &piece : pieces) {
    if (!piece.text.empty()) {
      segments.push_back(StringAttr::get(ctx, piece.text));
      continue;
    }
    Attribute sum = nn::intExpr(ctx, piece.constant);
    for (auto [coefficient, loop] : llvm::zip(piece.coefficients, loops))
      if (coefficient)
        sum = nn::buildExpr(
            ctx, "+",
            {sum,
             nn::buildExpr(ctx, "*",
                           {nn::intExpr(ctx, coefficient),
                            FlatSymbolRefAttr::get(ctx, loop.getIndex())})});
    segments.push_back(sum);
  }
  return NameAttr::get(ctx, segments);
}

std::vector<SmallVector<int64_t>> indexTuples(EntryOp entry,
                                              ArrayRef<LoopAttr> inner) {
  std::vector<SmallVector<int64_t>> tuples{{}};
  if (!entry.getLoops().empty()) {
    tuples.clear();
    ArrayRef<int64_t> domain = *entry.getDomain();
    for (int64_t layer : domain)
      tuples.push_back({layer});
  }
  auto type = cast<nn::TensorType>(*entry.getType());
  for (LoopAttr loop : inner) {
    int64_t size = *type.findAxis(loop.getOver()).getStaticSize();
    std::vector<SmallVector<int64_t>> extended;
    extended.reserve(tuples.size() * size);
    for (const auto &tuple : tuples)
      for (int64_t i = 0; i < size; ++i) {
        extended.push_back(tuple);
        extended.back().push_back(i);
      }
    tuples = std::move(extended);
  }
  return tuples;
}

} // namespace mbc::wmap
