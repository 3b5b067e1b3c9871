//===- ProgramMaker.cpp ---------------------------------------------------===//

#include "test/Conformance/ProgramMaker.h"

#include "runtime/core/DType.h"

namespace mbc::test {

static uint64_t bytes(plan::DType dtype, const ProgramMaker::Dims &dims) {
  int64_t elements = 1;
  for (uint32_t dim : dims)
    elements *= dim;
  return bytesOf(static_cast<DType>(dtype), elements);
}

ProgramMaker::ProgramMaker(uint32_t rows) {
  program.abi = programAbi;
  program.model = "test";
  program.vocab = 1 << 20;
  program.dtype = plan::DType::F32;
  program.locations.push_back(std::make_unique<program::LocationT>());
  function =
      program.functions.emplace_back(std::make_unique<program::FunctionT>())
          .get();
  function->name = "f";
  function->rows = rows;
  function->body = std::make_unique<program::BodyT>();
}

uint32_t ProgramMaker::view(program::Space space, uint32_t index,
                            uint64_t offset, plan::DType dtype,
                            const Dims &dims, const Dims &strides) {
  auto table = std::make_unique<program::ViewT>();
  table->space = space;
  table->index = index;
  table->offset = offset;
  table->dtype = dtype;
  table->dims = dims;
  table->strides = strides;
  if (strides.empty()) {
    table->strides.assign(dims.size(), 1);
    for (size_t i = dims.size() - 1; i > 0; --i)
      table->strides[i - 1] = table->strides[i] * dims[i];
  }
  function->views.push_back(std::move(table));
  return function->views.size() - 1;
}

uint32_t ProgramMaker::input(const std::string &name, plan::DType dtype,
                             const Dims &dims) {
  auto port = std::make_unique<program::PortT>();
  port->name = name;
  port->dtype = dtype;
  port->dims = dims;
  function->inputs.push_back(std::move(port));
  return view(program::Space::Input, function->inputs.size() - 1, 0, dtype,
              dims);
}

uint32_t ProgramMaker::output(const Dims &dims) {
  auto port = std::make_unique<program::PortT>();
  port->name = "out";
  port->dtype = plan::DType::F32;
  port->dims = dims;
  function->outputs.push_back(std::move(port));
  return view(program::Space::Output, function->outputs.size() - 1, 0,
              plan::DType::F32, dims);
}

uint32_t ProgramMaker::buffer(plan::DType dtype, const Dims &dims) {
  uint64_t offset = function->arena;
  function->arena += (bytes(dtype, dims) + 63) / 64 * 64;
  return view(program::Space::Arena, 0, offset, dtype, dims);
}

uint32_t ProgramMaker::weight(const std::string &path, plan::DType dtype,
                              uint32_t rows, uint32_t cols,
                              const Dims &layers) {
  auto table = std::make_unique<program::WeightT>();
  table->path = path;
  table->dtype = dtype;
  table->rows = std::max(1u, rows);
  table->cols = cols;
  table->layers = layers;
  program.weights.push_back(std::move(table));
  return view(program::Space::Weight, program.weights.size() - 1, 0, dtype,
              rows ? Dims{rows, cols} : Dims{cols});
}

uint32_t ProgramMaker::experts(const std::string &path, plan::DType dtype,
                               uint32_t experts, uint32_t rows, uint32_t cols) {
  weight(path, dtype, rows, cols);
  function->views.pop_back(); // of one matrix
  program.weights.back()->batch = experts;
  return view(program::Space::Weight, program.weights.size() - 1, 0, dtype,
              {experts, rows, cols});
}

uint32_t ProgramMaker::window(uint32_t number, uint64_t elements,
                              const Dims &dims, const Dims &strides) {
  const program::ViewT &from = *function->views[number];
  uint64_t offset =
      from.offset + bytesOf(static_cast<DType>(from.dtype), elements);
  return view(from.space, from.index, offset, from.dtype, dims, strides);
}

uint32_t ProgramMaker::state(plan::DType dtype, const Dims &widths,
                             const Dims &layers) {
  auto table = std::make_unique<program::StateT>();
  table->path = "state";
  table->dtype = dtype;
  table->widths = widths;
  table->layers = layers;
  program.states.push_back(std::move(table));
  return program.states.size() - 1;
}

uint32_t ProgramMaker::kernel(const std::vector<program::RowStepT> &steps,
                              uint16_t operands) {
  auto table = std::make_unique<program::RowKernelT>();
  table->name = "rows";
  table->operands = operands;
  for (const program::RowStepT &step : steps)
    table->steps.push_back(std::make_unique<program::RowStepT>(step));
  program.kernels.push_back(std::move(table));
  return program.kernels.size() - 1;
}

program::RowStepT step(program::RowKind kind, std::vector<uint16_t> inputs,
                       uint16_t operand, uint32_t vectors, uint32_t width,
                       double scalar) {
  program::RowStepT table;
  table.kind = kind;
  table.inputs = std::move(inputs);
  table.operand = operand;
  table.vectors = vectors;
  table.width = width;
  table.scalar = scalar;
  return table;
}

} // namespace mbc::test
