//===- LowerModel.cpp - The parts of a model in order ---------------------===//

#include "compiler/Frontend/LowerModel.h"
#include "compiler/Frontend/ModelLowering.h"
#include "dialects/NN/Parameters.h"

using namespace mbc;
using llvm::StringRef;

mlir::LogicalResult ModelLowering::declare(const ast::Ident &name) {
  auto [it, inserted] = declared.try_emplace(name.name, name.loc);
  if (inserted)
    return mlir::success();
  // (L51)
  auto diag = error(name.loc) << "'" << name.name << "' is defined twice";
  diag.attachNote(at(it->second)) << "the first definition is here";
  return mlir::failure();
}

void ModelLowering::collectBlocks() {
  auto add = [&](const ast::Block &block) {
    auto [it, inserted] = blocks.try_emplace(block.name.name, &block);
    if (inserted)
      return;
    // (L51)
    auto diag = error(block.name.loc)
                << "block '" << block.name.name << "' is defined twice";
    diag.attachNote(at(it->second->name.loc)) << "the first definition is here";
  };
  for (const ast::Library *library : libraries)
    llvm::for_each(library->blocks, add);
  llvm::for_each(model.blocks, add);
}

/// (L45) (L55) Ties are paths from the top, so they wait for all parameters.
void ModelLowering::checkTies() {
  if (ties.empty())
    return;
  llvm::StringMap<nn::ParamOp> byPath;
  for (const nn::LogicalParameter &parameter : nn::collectParameters(op))
    byPath[parameter.path] = parameter.op;
  for (auto [param, source] : ties) {
    std::string path = source->tie->target.str();
    nn::ParamOp target = byPath.lookup(path);
    if (!target || target == param) {
      error(source->tie->target.loc())
          << (target ? "a parameter cannot be tied to itself"
                     : "unknown parameter '" + path + "'");
      continue;
    }
    nn::TensorType a = param.getType(), b = target.getType();
    if (a == b)
      continue;
    auto diag = error(source->tie->target.loc())
                << "tie to '" << path << "', which has other axes: " << a.text()
                << " here";
    diag.attachNote(target.getLoc()) << b.text() << " there";
  }
}

/// (L59) What the model declares, it uses; libraries may hold more.
void ModelLowering::checkUnused() {
  for (const ast::Block &block : model.blocks)
    if (!usedBodies.contains(&block))
      error(block.name.loc) << "block '" << block.name.name << "' is not used";
  for (const ast::Layers &layers : model.layers)
    if (!usedBodies.contains(&layers))
      error(layers.name.loc)
          << "layers '" << layers.name.name << "' are run by no function";
}

nn::ModelOp ModelLowering::lower() {
  llvm::SmallVector<StringRef> architectures;
  for (const ast::Text &text : model.architectures)
    architectures.push_back(text.value);
  mlir::OpBuilder::InsertionGuard guard(builder);
  op = nn::ModelOp::create(builder, at(model.name.loc), model.name.name,
                           builder.getStrArrayAttr(architectures), nullptr,
                           nullptr, nullptr);
  builder.setInsertionPointToStart(&op.getBody().emplaceBlock());

  for (const LibrarySource &library : sources.ownLibraries(file))
    lowerLibraryConfig(library, {});
  lowerUses(model.uses, {}, file);
  lowerConfig(model.config, {}, /*own=*/true, file);
  for (const ast::Library *library : libraries)
    for (const ast::Dim &dim : library->dims)
      lowerDim(dim, names, "", /*own=*/false);
  for (const ast::Dim &dim : model.dims)
    lowerDim(dim, names, "", /*own=*/true);
  collectBlocks();
  for (const ast::Layers &layers : model.layers)
    (void)declare(layers.name);
  for (const ast::Param &param : model.params)
    lowerParam(param, top);
  for (const ast::Function &function : model.functions)
    lowerFunction(function);
  // Stacks that say their types need no function that runs them.
  for (const ast::Layers &layers : model.layers)
    if (!usedBodies.contains(&layers) &&
        llvm::all_of(llvm::ArrayRef(layers.formals).take_front(),
                     [](const ast::Formal &formal) { return formal.typed; }))
      lowerLayers(layers, layers.name.loc, {});
  if (diagnostics.hadError())
    return {};
  checkTies();
  checkUnused();
  return diagnostics.hadError() ? nn::ModelOp() : op;
}

nn::ModelOp mbc::lowerModel(const ast::Model &model, StringRef file,
                            ModelSources &sources, Diagnostics &diagnostics,
                            mlir::OpBuilder &builder, NameScope &names) {
  return ModelLowering(model, file, sources, diagnostics, builder, names)
      .lower();
}

void mbc::checkUnusedConfig(const NameScope &names, Diagnostics &diagnostics) {
  for (const auto &[name, entry] : names.all())
    if (entry.own && !entry.used) // (L53)
      diagnostics.error(entry.loc)
          << (entry.kind == NameScope::Kind::Dim ? "dim '" : "config name '")
          << name << "' is used nowhere";
}
