//===- ProgramMaker.h - Small programs by hand ------------------*- C++ -*-===//
#pragma once

#include "runtime/program/Program.h"

namespace mbc::test {

/// A program of one function "f", command by command. Methods that make a view
/// give back its number.
class ProgramMaker {
public:
  using Dims = std::vector<uint32_t>;

  explicit ProgramMaker(uint32_t rows);

  /// Arrays of the caller; of an output float32.
  uint32_t input(const std::string &name, plan::DType dtype, const Dims &dims);
  uint32_t output(const Dims &dims);
  /// Memory of its own in the arena.
  uint32_t buffer(plan::DType dtype, const Dims &dims);
  /// A vector (rows 0), or rows x cols.
  uint32_t weight(const std::string &path, plan::DType dtype, uint32_t rows,
                  uint32_t cols, const Dims &layers = {});
  /// A matrix rows x cols for each of `experts`.
  uint32_t experts(const std::string &path, plan::DType dtype, uint32_t experts,
                   uint32_t rows, uint32_t cols);
  /// Another window of the memory of a view, `elements` on from its first.
  uint32_t window(uint32_t view, uint64_t elements, const Dims &dims,
                  const Dims &strides);
  uint32_t state(plan::DType dtype, const Dims &widths, const Dims &layers);
  /// Appends a command to a body.
  template <typename Command>
  void add(Command command, program::BodyT *body = nullptr) {
    auto table = std::make_unique<program::CommandT>();
    table->op.Set(std::move(command));
    (body ? body : function->body.get())->commands.push_back(std::move(table));
  }
  /// Steps of a kernel of `operands` views; its number.
  uint32_t kernel(const std::vector<program::RowStepT> &steps,
                  uint16_t operands);

  program::ProgramT program;
  program::FunctionT *function;

private:
  uint32_t view(program::Space space, uint32_t index, uint64_t offset,
                plan::DType dtype, const Dims &dims, const Dims &strides = {});
};

/// One step; values are `vectors` x `width`.
program::RowStepT step(program::RowKind kind, std::vector<uint16_t> inputs,
                       uint16_t operand, uint32_t vectors, uint32_t width,
                       double scalar = 0);

} // namespace mbc::test
