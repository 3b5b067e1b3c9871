//===- WMapScales.cpp -----------------------------------------------------===//
#include "compiler/Transforms/WMapScales.h"

#include "dialects/NN/Expr.h"
#include "runtime/io/ScaledTensors.h"

using namespace mlir;

namespace mbc::wmap {

bool isScaledType(StringRef dtype) {
  return dtype == StringRef(safetensorsName(DType::F8E4M3));
}

std::vector<int64_t> Scales::shapeOf(ArrayRef<int64_t> shape) const {
  return scaleShape(shape, blocks[0], blocks[1]);
}

std::optional<Scales> Scales::of(nn::ModelOp model, MappingOp mapping,
                                 std::string &why) {
  Scales result;
  auto valueOf = [&](Attribute expr) {
    return nn::evaluate(
        expr,
        {[&](StringRef name) { return configValue(model, name); },
         [](Attribute) { return Attribute(); }, nullptr},
        why);
  };
  // One clause at most (L26).
  for (ScaleOp scale : mapping.getOps<ScaleOp>()) {
    result.op = scale;
    result.suffix = scale.getSuffix().str();
    Attribute condition = valueOf(scale.getCondition());
    if (!condition)
      return std::nullopt;
    auto flag = dyn_cast<BoolAttr>(condition);
    if (!flag || !flag.getValue())
      continue;
    Attribute blocks = valueOf(scale.getBlocks());
    if (!blocks)
      return std::nullopt;
    if (auto list = dyn_cast<ArrayAttr>(blocks))
      for (Attribute size : list)
        if (auto number = nn::asInt(size); number && *number > 0)
          result.blocks.push_back(*number);
    auto list = dyn_cast<ArrayAttr>(blocks);
    if (!list || list.size() != 2 || result.blocks.size() != 2) {
      why = "block sizes are " + nn::exprText(blocks) +
            ", expected two positive integers: rows and columns";
      return std::nullopt;
    }
  }
  return result;
}

} // namespace mbc::wmap
