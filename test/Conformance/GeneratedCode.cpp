//===- GeneratedCode.cpp --------------------------------------------------===//
//
// Row kernels and their views are put into the exec dialect.
//
//===----------------------------------------------------------------------===//

#include "test/Conformance/GeneratedCode.h"

#include "compiler/Codegen/Codegen.h"
#include "compiler/Target/ProgramTarget.h"
#include "dialects/Exec/ExecDialect.h"

#include "mlir/Pass/PassManager.h"

#include <fmt/format.h>

namespace mbc::test {

namespace {

/// The row kernels of a program's function as an `exec.program`.
class RowsOfProgram {
public:
  RowsOfProgram(mlir::MLIRContext &context, program::ProgramT &program)
      : program(program), builder(&context),
        module(mlir::ModuleOp::create(builder.getUnknownLoc())) {
    builder.setInsertionPointToEnd(module->getBody());
    mlir::Location loc = builder.getUnknownLoc();
    op = exec::ProgramOp::create(builder, loc, "test", builder.getF32Type(),
                                 builder.getDictionaryAttr({}));
    op.getBody().emplaceBlock();
    builder.setInsertionPointToEnd(&op.getBody().front());
    for (auto [i, kernel] : llvm::enumerate(program.kernels))
      addKernel(*kernel, i);
    function = program.functions[0].get();
    llvm::SmallVector<llvm::StringRef> ins, outs;
    for (const auto &port : function->inputs)
      ins.push_back(port->name);
    for (const auto &port : function->outputs)
      outs.push_back(port->name);
    auto func = exec::FuncOp::create(
        builder, loc, "f", function->rows, builder.getStrArrayAttr(ins),
        builder.getStrArrayAttr(outs),
        builder.getI64IntegerAttr(static_cast<int64_t>(function->arena)));
    body = &func.getBody().emplaceBlock();
    for (const auto *ports : {&function->inputs, &function->outputs})
      for (const auto &port : *ports)
        body->addArgument(
            mlir::MemRefType::get(llvm::SmallVector<int64_t>(port->dims.begin(),
                                                             port->dims.end()),
                                  element(port->dtype)),
            loc);
    builder.setInsertionPointToEnd(body);
    addBody(*function->body);
  }

  /// Generates code for `target`, and gives it to the program.
  Status generate(const std::string &target) {
    ExecGenerateRowsOptions options;
    options.targets = {target};
    mlir::PassManager passes(module->getContext());
    passes.addPass(createExecGenerateRows(options));
    passes.addPass(createExecLinkCode());
    if (failed(passes.run(*module)))
      return inputError("no code is generated");
    program::ProgramT made = exec::exportProgram(op);
    program.entries = std::move(made.entries);
    program.code = std::move(made.code);
    program.gpu_entries = std::move(made.gpu_entries);
    program.gpu_code = std::move(made.gpu_code);
    llvm::StringMap<int32_t> numbers;
    for (auto [i, entry] : llvm::enumerate(program.entries))
      numbers[entry->name] = static_cast<int32_t>(i);
    for (auto [i, entry] : llvm::enumerate(program.gpu_entries))
      numbers[entry->name] = static_cast<int32_t>(i);
    for (auto [command, rows] : commands) {
      if (rows.getCode())
        command->code = numbers.lookup(*rows.getCode());
      if (rows.getGpu())
        command->gpu = numbers.lookup(*rows.getGpu());
    }
    return {};
  }

private:
  mlir::Type element(plan::DType dtype) {
    return dtype == plan::DType::BF16  ? mlir::Type(builder.getBF16Type())
           : dtype == plan::DType::F16 ? mlir::Type(builder.getF16Type())
           : dtype == plan::DType::I32 ? mlir::Type(builder.getI32Type())
                                       : mlir::Type(builder.getF32Type());
  }

  void addKernel(const program::RowKernelT &kernel, size_t number) {
    llvm::SmallVector<mlir::Attribute> steps;
    for (const auto &step : kernel.steps) {
      llvm::SmallVector<int64_t> inputs(step->inputs.begin(),
                                        step->inputs.end());
      steps.push_back(exec::StepAttr::get(
          builder.getContext(), program::EnumNameRowKind(step->kind), inputs,
          step->operand, step->vectors, step->width,
          builder.getF64FloatAttr(step->scalar)));
    }
    exec::KernelOp::create(builder, builder.getUnknownLoc(),
                           fmt::format("rows{}", number), kernel.operands,
                           builder.getArrayAttr(steps));
  }

  mlir::Value view(uint32_t number) {
    const program::ViewT &table = *function->views[number];
    llvm::SmallVector<int64_t> dims(table.dims.begin(), table.dims.end()),
        strides(table.strides.begin(), table.strides.end());
    mlir::MemRefType type = exec::viewType(element(table.dtype), dims, strides);
    mlir::Location loc = builder.getUnknownLoc();
    mlir::Value source;
    if (table.space == program::Space::Arena)
      return exec::BufferOp::create(
          builder, loc, type,
          builder.getI64IntegerAttr(static_cast<int64_t>(table.offset)));
    if (table.space == program::Space::Weight) {
      const program::WeightT &weight = *program.weights[table.index];
      if (!op.lookupSymbol(weight.path)) {
        mlir::OpBuilder::InsertionGuard guard(builder);
        builder.setInsertionPointToStart(&op.getBody().front());
        exec::WeightOp::create(builder, loc, weight.path, type,
                               mlir::DenseI64ArrayAttr(),
                               mlir::DenseI64ArrayAttr());
      }
      source = exec::UseOp::create(builder, loc, type, weight.path);
    } else {
      source =
          body->getArgument(table.index + (table.space == program::Space::Output
                                               ? function->inputs.size()
                                               : 0));
    }
    int64_t elements =
        static_cast<int64_t>(table.offset) * 8 / type.getElementTypeBitWidth();
    if (elements == 0 && source.getType() == type)
      return source;
    return exec::SubviewOp::create(builder, loc, type, source, elements);
  }

  void addBody(program::BodyT &commandsOf) {
    for (auto &command : commandsOf.commands) {
      if (auto *repeat = command->op.AsRepeat())
        for (auto &inner : repeat->bodies)
          addBody(*inner);
      program::RowsT *rows = command->op.AsRows();
      if (!rows)
        continue;
      llvm::SmallVector<mlir::Value> views;
      for (uint32_t operand : rows->operands)
        views.push_back(view(operand));
      commands.emplace_back(
          rows,
          exec::RowsOp::create(
              builder, builder.getUnknownLoc(),
              mlir::FlatSymbolRefAttr::get(builder.getContext(),
                                           fmt::format("rows{}", rows->kernel)),
              views, mlir::FlatSymbolRefAttr(), mlir::FlatSymbolRefAttr()));
    }
  }

  program::ProgramT &program;
  program::FunctionT *function = nullptr;
  mlir::OpBuilder builder;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  exec::ProgramOp op;
  mlir::Block *body = nullptr;
  std::vector<std::pair<program::RowsT *, exec::RowsOp>> commands;
};

} // namespace

Status generateCode(program::ProgramT &program, const std::string &target) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  context.loadDialect<exec::ExecDialect>();
  return RowsOfProgram(context, program).generate(target);
}

} // namespace mbc::test
