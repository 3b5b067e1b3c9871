//===- LowerParam.cpp - Shapes and placements of parameters ---------------===//

#include "compiler/Frontend/ModelLowering.h"
#include "dialects/NN/Expr.h"

using namespace mbc;
using llvm::StringRef;
using mlir::Attribute;
using mlir::FailureOr;
using nn::AxisAttr;
using nn::TensorType;

FailureOr<Attribute> ModelLowering::lowerScalar(const ast::Expr &expr,
                                                BodyScope &scope) {
  return lowerExpr(expr, {diagnostics, context, scope.names});
}

FailureOr<Attribute> ModelLowering::lowerSize(const ast::Expr &expr,
                                              BodyScope &scope) {
  FailureOr<Attribute> size = lowerScalar(expr, scope);
  if (failed(size))
    return mlir::failure();
  // (L57) What can be known without a configuration.
  if (!llvm::isa<mlir::FlatSymbolRefAttr, nn::ExprAttr>(*size) &&
      !nn::asInt(*size))
    return error(expr.loc) << "size '" << nn::exprText(*size)
                           << "' is not an integer";
  if (std::optional<int64_t> value = nn::asInt(*size); value && *value <= 0)
    return error(expr.loc) << "size " << *value << " is not positive";
  if (scope.names.dependsOnIndex(*size)) // (L66)
    return error(expr.loc) << "size '" << nn::exprText(*size)
                           << "' cannot depend on the layer index";
  return size;
}

FailureOr<AxisAttr> ModelLowering::lowerSumAxis(const ast::Axis &axis,
                                                BodyScope &scope) {
  llvm::SmallVector<AxisAttr> parts;
  llvm::StringMap<llvm::SMLoc> seen;
  for (const ast::AxisPart &part : axis.parts) {
    auto [it, inserted] = seen.try_emplace(part.name.name, part.name.loc);
    if (!inserted) { // (L51)
      auto diag = error(part.name.loc)
                  << "part '" << part.name.name << "' is named twice";
      diag.attachNote(at(it->second)) << "the first is here";
      return diag;
    }
    FailureOr<Attribute> size = lowerSize(*part.size, scope);
    if (failed(size))
      return mlir::failure();
    // A literal 1 loses the axis when split; anything else keeps it, under the
    // name of the dimension where there is one.
    StringRef kept = part.name.name;
    if (part.size->kind == ast::Expr::Kind::Name)
      kept = part.size->name.name;
    else if (part.size->kind == ast::Expr::Kind::Int &&
             part.size->intValue == 1)
      kept = "";
    parts.push_back(AxisAttr::get(context, part.name.name, *size, {}, kept));
  }
  auto result = AxisAttr::getSum(context, axis.name.name, parts);
  auto [it, inserted] = scope.sumAxes.try_emplace(axis.name.name, result);
  if (!inserted && it->second != result) // (L50)
    return error(axis.name.loc) << "sum axis '" << result.text() << "' was '"
                                << it->second.text() << "' before";
  return result;
}

FailureOr<AxisAttr> ModelLowering::lowerAxis(const ast::Axis &axis,
                                             BodyScope &scope) {
  if (!axis.parts.empty())
    return lowerSumAxis(axis, scope);
  StringRef name = axis.name.name;
  if (axis.size) {
    FailureOr<Attribute> size = lowerSize(*axis.size, scope);
    if (failed(size))
      return mlir::failure();
    return AxisAttr::get(context, name, *size);
  }
  for (BodyScope *place : {&scope, &top})
    if (AxisAttr sum = place->sumAxes.lookup(name))
      return sum;
  const NameScope::Entry *entry = scope.names.lookup(name);
  if (!entry) // (L41)
    return error(axis.name.loc)
           << "unknown axis '" << name
           << "'; expected a config name, a dim, a dimension parameter or a "
              "sum axis";
  if (entry->kind == NameScope::Kind::Index) // (L66)
    return error(axis.name.loc)
           << "size '" << name << "' cannot depend on the layer index";
  return AxisAttr::get(context, name, entry->expr);
}

mlir::LogicalResult
ModelLowering::lowerSide(const std::vector<ast::Axis> &axes, BodyScope &scope,
                         llvm::SmallVectorImpl<AxisAttr> &out) {
  llvm::StringMap<llvm::SMLoc> seen;
  for (const ast::Axis &axis : axes) {
    auto [it, inserted] = seen.try_emplace(axis.name.name, axis.name.loc);
    if (!inserted) { // (L56)
      auto diag = error(axis.name.loc)
                  << "axis '" << axis.name.name << "' is on one side twice";
      diag.attachNote(at(it->second)) << "the first is here";
      return diag;
    }
    FailureOr<AxisAttr> lowered = lowerAxis(axis, scope);
    if (failed(lowered))
      return mlir::failure();
    out.push_back(*lowered);
  }
  return mlir::success();
}

mlir::ArrayAttr ModelLowering::lowerShards(const ast::Param &param,
                                           TensorType type) {
  llvm::SmallVector<Attribute> shards;
  llvm::StringMap<llvm::SMLoc> meshes, targets;
  auto once = [&](llvm::StringMap<llvm::SMLoc> &seen, StringRef name,
                  llvm::SMLoc loc, StringRef what) { // (L60)
    auto [it, inserted] = seen.try_emplace(name, loc);
    if (inserted)
      return true;
    auto diag = error(loc) << what << " '" << name << "' is sharded twice";
    diag.attachNote(at(it->second)) << "the first is here";
    return false;
  };
  for (const ast::ShardItem &item : param.shards) {
    if (!llvm::is_contained({"tp", "ep", "etp"}, item.mesh.name)) { // (L54)
      error(item.mesh.loc) << "unknown mesh axis '" << item.mesh.name
                           << "'; expected tp, ep or etp";
      return {};
    }
    if (!once(meshes, item.mesh.name, item.mesh.loc, "mesh axis"))
      return {};
    llvm::SmallVector<mlir::StringAttr> names;
    for (const ast::AxisRef &ref : item.targets) {
      std::string target = ref.axis.name.str();
      llvm::SMLoc loc = ref.axis.loc;
      if (ref.part) {
        target += "." + ref.part->name.str();
        // The part is at fault where the axis is there.
        if (type.findAxis(ref.axis.name))
          loc = ref.part->loc;
      }
      // (L41) (L42)
      if (failed(nn::verifyShardTarget([&] { return error(loc); }, type,
                                       target)) ||
          !once(targets, target, ref.axis.loc, "axis"))
        return {};
      names.push_back(builder.getStringAttr(target));
    }
    shards.push_back(nn::ShardAttr::get(context, names, item.mesh.name));
  }
  return builder.getArrayAttr(shards);
}

void ModelLowering::lowerParam(const ast::Param &param, BodyScope &scope) {
  StringRef name = param.name.name;
  if (&scope == &top && failed(declare(param.name)))
    return;
  auto [it, inserted] = scope.paramLocs.try_emplace(name, param.name.loc);
  if (!inserted) { // (L51)
    auto diag = error(param.name.loc) << "'" << name << "' is defined twice";
    diag.attachNote(at(it->second)) << "the first definition is here";
    return;
  }
  llvm::SmallVector<AxisAttr> batch, out, in;
  if (failed(lowerSide(param.shape.batch, scope, batch)) ||
      failed(lowerSide(param.shape.out, scope, out)) ||
      failed(lowerSide(param.shape.in, scope, in)))
    return;
  auto type = TensorType::get(context, batch, out, in, "weight");
  // (L56) What both sides that are not contracted have.
  if (failed(nn::verifyTensor([&] { return error(param.shape.loc); }, type)))
    return;

  mlir::ArrayAttr shards, pads;
  if (!param.shards.empty() && !(shards = lowerShards(param, type)))
    return;
  llvm::SmallVector<StringRef> padNames;
  for (const ast::Ident &pad : param.pads) {
    if (!type.findAxis(pad.name)) { // (L41)
      error(pad.loc) << "unknown axis '" << pad.name << "' of " << type.text();
      return;
    }
    padNames.push_back(pad.name);
  }
  if (!padNames.empty())
    pads = builder.getStrArrayAttr(padNames);
  mlir::StringAttr tie, dtype;
  Attribute tieWhen, when;
  auto condition = [&](const ast::ExprPtr &expr, Attribute &out) {
    if (!expr)
      return true;
    FailureOr<Attribute> lowered = lowerScalar(*expr, scope);
    if (failed(lowered))
      return false;
    if (scope.names.dependsOnIndex(*lowered)) { // (L66)
      error(expr->loc) << "a condition of a parameter cannot depend on the "
                          "layer index";
      return false;
    }
    out = *lowered;
    return true;
  };
  if (param.tie) {
    tie = builder.getStringAttr(param.tie->target.str());
    if (!condition(param.tie->when, tieWhen))
      return;
  }
  if (!condition(param.when, when))
    return;
  if (param.dtype) {
    if (!llvm::is_contained({"f32", "bf16", "f16"},
                            param.dtype->name)) { // (L61)
      error(param.dtype->loc) << "unknown dtype '" << param.dtype->name
                              << "'; expected f32, bf16 or f16";
      return;
    }
    dtype = builder.getStringAttr(param.dtype->name);
  }
  auto lowered = nn::ParamOp::create(builder, at(param.name.loc), name, type,
                                     shards, pads, tie, tieWhen, dtype, when);
  scope.params[name] = lowered;
  if (param.tie)
    ties.push_back({lowered, &param});
}
