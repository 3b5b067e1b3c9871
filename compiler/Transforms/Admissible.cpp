//===- Admissible.cpp -----------------------------------------------------===//
#include "compiler/Transforms/Admissible.h"

#include "dialects/NN/Expr.h"

#include <numeric>

using namespace mlir;

namespace mbc::wmap {

int64_t ParallelSizes::of(StringRef mesh) const {
  return mesh == "tp" ? tp : mesh == "ep" ? ep : mesh == "etp" ? etp : 1;
}

bool admits(ArrayRef<int64_t> sizes, int64_t n) {
  // The outer axis takes as much as it can: what is left over only grows, by a
  // factor, when it takes less.
  for (int64_t size : sizes)
    n /= std::gcd(n, size);
  return n == 1;
}

ShardSizes shardSizes(nn::TensorType type, nn::ShardAttr shard) {
  ShardSizes result;
  std::string names, values;
  for (StringAttr target : shard.getTargets()) {
    auto [axisName, partName] = target.getValue().split('.');
    nn::AxisAttr axis = type.findAxis(axisName);
    if (!partName.empty())
      axis = axis.getPart(partName);
    int64_t size = *axis.getStaticSize();
    result.sizes.push_back(size);
    names += (names.empty() ? "" : ", ") + target.getValue().str();
    values += (values.empty() ? "" : ", ") + std::to_string(size);
  }
  result.text = result.sizes.size() == 1 ? names + " = " + values
                                         : "(" + names + ") = (" + values + ")";
  return result;
}

static bool isPadded(nn::ParamOp param, nn::ShardAttr shard) {
  ArrayAttr pads = param.getPadAttr();
  return pads && llvm::any_of(pads, [&](Attribute pad) {
           return cast<StringAttr>(pad) == shard.getTargets().front();
         });
}

/// Calls `fn` for each shard item that divides sizes exactly.
static void forEachShard(
    nn::ModelOp model,
    llvm::function_ref<void(nn::LogicalParameter &, nn::ShardAttr)> fn) {
  std::vector<nn::LogicalParameter> parameters = nn::collectParameters(model);
  for (nn::LogicalParameter &parameter : parameters)
    if (ArrayAttr shards = parameter.op.getShardAttr())
      for (Attribute shard : shards)
        if (!isPadded(parameter.op, cast<nn::ShardAttr>(shard)))
          fn(parameter, cast<nn::ShardAttr>(shard));
}

static std::optional<int64_t> decoderLayers(nn::ModelOp model) {
  for (nn::LayersOp stack : model.getOps<nn::LayersOp>())
    if (stack.getSymName() == "decoder")
      return nn::asInt(stack.getCountAttr());
  return std::nullopt;
}

std::vector<int64_t> admissibleSizes(nn::ModelOp model, StringRef mesh,
                                     int64_t limit) {
  std::vector<int64_t> sizes;
  if (mesh == "pp") {
    int64_t layers = decoderLayers(model).value_or(1);
    for (int64_t n = 1; n <= std::min(limit, layers); ++n)
      if (layers % n == 0)
        sizes.push_back(n);
    return sizes;
  }
  // Equal shards are asked once.
  std::vector<SmallVector<int64_t>> shards;
  int64_t bound = 0;
  forEachShard(model,
               [&](nn::LogicalParameter &parameter, nn::ShardAttr shard) {
                 if (shard.getMesh() != mesh)
                   return;
                 ShardSizes cut = shardSizes(parameter.type, shard);
                 int64_t product = 1;
                 for (int64_t size : cut.sizes)
                   product *= size;
                 bound = bound ? std::min(bound, product) : product;
                 if (!llvm::is_contained(shards, cut.sizes))
                   shards.push_back(cut.sizes);
               });
  for (int64_t n = 1; n <= std::min(limit, std::max<int64_t>(bound, 1)); ++n)
    if (llvm::all_of(shards,
                     [&](ArrayRef<int64_t> cut) { return admits(cut, n); }))
      sizes.push_back(n);
  return sizes;
}

std::string listText(ArrayRef<int64_t> values) {
  std::string text;
  for (int64_t value : values)
    text += (text.empty() ? "" : ", ") + std::to_string(value);
  return text;
}

LogicalResult checkAdmissible(nn::ModelOp model, const ParallelSizes &sizes) {
  bool failed = false;
  llvm::SmallVector<StringRef> refused;
  forEachShard(model, [&](nn::LogicalParameter &parameter,
                          nn::ShardAttr shard) {
    StringRef mesh = shard.getMesh();
    ShardSizes cut = shardSizes(parameter.type, shard);
    if (admits(cut.sizes, sizes.of(mesh)) || llvm::is_contained(refused, mesh))
      return;
    // W29: one refusal a mesh axis is enough, with all that is admissible.
    failed = true;
    refused.push_back(mesh);
    InFlightDiagnostic diag = emitError(parameter.op.getLoc());
    diag << "cannot shard " << cut.text << " of '" << parameter.path
         << "' over " << mesh << " = " << sizes.of(mesh);
    diag.attachNote() << "admissible " << mesh << ": "
                      << listText(admissibleSizes(model, mesh));
  });
  // Sizes that nothing is cut over must not be asked for.
  for (StringRef mesh : {"ep", "etp"}) {
    bool used = false;
    forEachShard(model, [&](nn::LogicalParameter &, nn::ShardAttr shard) {
      used |= shard.getMesh() == mesh;
    });
    if (!used && sizes.of(mesh) != 1) {
      failed = true;
      model.emitError() << mesh << " = " << sizes.of(mesh)
                        << " is asked for, yet '" << model.getSymName()
                        << "' has nothing to cut over it; expected " << mesh
                        << " = 1"; // W29
    }
  }
  int64_t layers = decoderLayers(model).value_or(1);
  if (layers % (sizes.pp * sizes.vpp) != 0) {
    failed = true;
    InFlightDiagnostic diag = model.emitError();
    // W30: stages hold equally many layers.
    diag << "cannot cut " << layers
         << " layers into pp * vpp = " << sizes.pp * sizes.vpp << " chunks";
    diag.attachNote() << "admissible pp * vpp: "
                      << listText(admissibleSizes(model, "pp"));
  }
  return failure(failed);
}

} // namespace mbc::wmap
