//===- Admissible.cpp -----------------------------------------------------===//
#include "compiler/Transforms/Admissible.h"

#include "dialects/NN/Expr.h"

using namespace mlir;

namespace mbc::wmap {

int64_t ParallelSizes::of(StringRef mesh) const {
  return mesh == "tp" ? tp : mesh == "ep" ? ep : mesh == "etp" ? etp : 1;
}

/// Calls `fn` for each shard item that divides sizes exactly.
static void forEachShard(
    nn::ModelOp model,
    llvm::function_ref<void(nn::LogicalParameter &, nn::ShardAttr)> fn) {
  std::vector<nn::LogicalParameter> parameters = nn::collectParameters(model);
  for (nn::LogicalParameter &parameter : parameters)
    if (ArrayAttr shards = parameter.op.getShardAttr())
      for (Attribute shard : shards)
        if (!nn::isPadded(parameter.op.getPadAttr(),
                          cast<nn::ShardAttr>(shard)))
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
  nn::ShardCuts cuts;
  forEachShard(model,
               [&](nn::LogicalParameter &parameter, nn::ShardAttr shard) {
                 if (shard.getMesh() == mesh)
                   cuts.add(nn::shardSizes(parameter.type, shard).sizes);
               });
  return cuts.admissible(limit);
}

LogicalResult checkAdmissible(nn::ModelOp model, const ParallelSizes &sizes) {
  bool failed = false;
  llvm::SmallVector<StringRef> refused;
  forEachShard(
      model, [&](nn::LogicalParameter &parameter, nn::ShardAttr shard) {
        StringRef mesh = shard.getMesh();
        nn::ShardSizes cut = nn::shardSizes(parameter.type, shard);
        if (nn::admits(cut.sizes, sizes.of(mesh)) ||
            llvm::is_contained(refused, mesh))
          return;
        // W29: one refusal a mesh axis is enough, with all that is admissible.
        failed = true;
        refused.push_back(mesh);
        InFlightDiagnostic diag = emitError(parameter.op.getLoc());
        diag << "cannot shard " << cut.text << " of '" << parameter.path
             << "' over " << mesh << " = " << sizes.of(mesh);
        diag.attachNote() << "admissible " << mesh << ": "
                          << nn::listText(admissibleSizes(model, mesh));
      });
  // Sizes that nothing is cut over must not be asked for.
  for (StringRef mesh : {"ep", "etp"})
    if (sizes.of(mesh) != 1 && !cutsOver(model, mesh)) {
      failed = true;
      model.emitError() << mesh << " = " << sizes.of(mesh)
                        << " is asked for, yet '" << model.getSymName()
                        << "' has nothing to cut over it; expected " << mesh
                        << " = 1"; // W29
    }
  std::string why;
  if (chunkLayers(decoderLayers(model).value_or(1), sizes, why).empty()) {
    failed = true;
    InFlightDiagnostic diag = model.emitError(why); // W30
    diag.attachNote() << "admissible pp * vpp: "
                      << nn::listText(admissibleSizes(model, "pp"));
  }
  return failure(failed);
}

bool cutsOver(nn::ModelOp model, StringRef mesh) {
  bool used = false;
  forEachShard(model, [&](nn::LogicalParameter &, nn::ShardAttr shard) {
    used |= shard.getMesh() == mesh;
  });
  return used;
}

std::vector<int64_t> chunkLayers(int64_t layers, const ParallelSizes &sizes,
                                 std::string &why) {
  auto refuse = [&](const Twine &text) {
    why = text.str();
    return std::vector<int64_t>();
  };
  bool uneven = sizes.firstLayers || sizes.lastLayers;
  if (uneven && (sizes.embeddingCounts || sizes.lossCounts))
    return refuse("the first or last stage has its own number of layers, yet "
                  "the embedding or the output layer is to count as one; "
                  "expected one of both");
  if (uneven && sizes.pp == 1)
    return refuse("the first or last stage has its own number of layers, yet "
                  "there is one stage; expected pp > 1");

  // What is left for the stages that are alike, and how many they are.
  int64_t rest = layers + sizes.embeddingCounts + sizes.lossCounts -
                 sizes.firstLayers - sizes.lastLayers;
  int64_t stages = sizes.pp - (sizes.firstLayers > 0) - (sizes.lastLayers > 0);
  std::string text = "cannot cut " + std::to_string(layers) + " layers into ";
  if (!uneven && rest % (sizes.pp * sizes.vpp) != 0)
    return refuse(text + "pp * vpp = " + Twine(sizes.pp * sizes.vpp) +
                  " chunks");
  if (rest < 0 || (stages == 0 ? rest != 0 : rest % stages != 0))
    return refuse(text + Twine(sizes.pp) + " stages, of which the first has " +
                  Twine(sizes.firstLayers) + " and the last " +
                  Twine(sizes.lastLayers) + " (0: as the others)");
  std::vector<int64_t> chunks;
  for (int64_t v = 0; v < sizes.vpp; ++v)
    for (int64_t p = 0; p < sizes.pp; ++p) {
      int64_t inStage = stages ? rest / stages : 0;
      if (p == 0 && sizes.firstLayers)
        inStage = sizes.firstLayers;
      if (p + 1 == sizes.pp && sizes.lastLayers)
        inStage = sizes.lastLayers;
      if (inStage % sizes.vpp != 0)
        return refuse("stage " + Twine(p) + " has " + Twine(inStage) +
                      " layers, which vpp = " + Twine(sizes.vpp) +
                      " does not divide");
      chunks.push_back(inStage / sizes.vpp);
    }
  chunks.front() -= sizes.embeddingCounts;
  chunks.back() -= sizes.lossCounts;
  if (chunks.front() < 0 || chunks.back() < 0)
    return refuse(text + "chunks: none is left for a layer beside the "
                         "embedding or the output layer");
  return chunks;
}

} // namespace mbc::wmap
