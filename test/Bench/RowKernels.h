//===- RowKernels.h - The kernels of a decoder, to be timed -----*- C++ -*-===//
#pragma once

#include "test/Conformance/ProgramMaker.h"

#include <fmt/format.h>

namespace mbc::test {

/// A row kernel on views of a program's arena.
struct RowBench {
  RowBench(std::string name, uint32_t rows)
      : name(std::move(name)), rows(rows), make(rows) {}

  std::string name;
  uint32_t rows;
  ProgramMaker make;
  std::vector<uint32_t> operands;
  std::vector<program::RowStepT> steps;

  uint16_t operand(uint32_t view) {
    operands.push_back(view);
    return static_cast<uint16_t>(operands.size() - 1);
  }
  uint16_t load(uint32_t view, uint32_t count) {
    return add(program::RowKind::Load, {}, operand(view), 1, count);
  }
  void store(uint16_t value, uint32_t view, uint32_t count) {
    add(program::RowKind::Store, {value}, operand(view), 1, count);
  }
  uint16_t add(program::RowKind kind, std::vector<uint16_t> inputs,
               uint16_t operand, uint32_t vectors, uint32_t width) {
    steps.push_back(
        step(kind, std::move(inputs), operand, vectors, width, 1e-5));
    return static_cast<uint16_t>(steps.size() - 1);
  }
};

/// The sum before a norm, over the residual, and the norm.
inline RowBench addNorm(plan::DType type, uint32_t rows, uint32_t width) {
  RowBench b(fmt::format("add+rms_norm {}", width), rows);
  uint32_t x = b.make.buffer(type, {rows, width});
  uint16_t left = b.load(x, width),
           right = b.load(b.make.buffer(type, {rows, width}), width),
           weight = b.load(b.make.weight("w", type, 0, width), width);
  uint16_t sum = b.add(program::RowKind::Add, {left, right}, 0, 1, width);
  uint16_t norm = b.add(program::RowKind::RMSNorm, {sum, weight}, 0, 1, width);
  b.store(sum, x, width);
  b.store(norm, b.make.buffer(type, {rows, width}), width);
  return b;
}

inline RowBench glu(plan::DType type, uint32_t rows, uint32_t width) {
  RowBench b(fmt::format("silu(gate)*up {}", width), rows);
  uint32_t both = b.make.buffer(type, {rows, 2, width});
  uint16_t gate = b.load(b.make.window(both, 0, {rows, width}, {2 * width, 1}),
                         width),
           up =
               b.load(b.make.window(both, width, {rows, width}, {2 * width, 1}),
                      width);
  uint16_t act = b.add(program::RowKind::Silu, {gate}, 0, 1, width);
  uint16_t product = b.add(program::RowKind::Mul, {act, up}, 0, 1, width);
  b.store(product, b.make.buffer(type, {rows, width}), width);
  return b;
}

/// Norms of queries and keys, and their rotation.
inline RowBench rope(plan::DType type, uint32_t rows, uint32_t groups,
                     uint32_t queries, uint32_t dim) {
  RowBench b(fmt::format("q, k norm+rope {}x{}x{}", groups, queries, dim),
             rows);
  uint32_t pitch = (queries + 2) * dim, row = groups * pitch;
  uint32_t qkv = b.make.buffer(type, {rows, groups, queries + 2, dim});
  uint32_t counts[] = {groups * queries * dim, groups * dim};
  uint16_t q = b.load(b.make.window(qkv, 0, {rows, groups, queries, dim},
                                    {row, pitch, dim, 1}),
                      counts[0]),
           k = b.load(b.make.window(qkv, uint64_t(queries) * dim,
                                    {rows, groups, dim}, {row, pitch, 1}),
                      counts[1]);
  uint16_t weights[] = {b.load(b.make.weight("q", type, 0, dim), dim),
                        b.load(b.make.weight("k", type, 0, dim), dim)};
  uint16_t angles = b.load(b.make.buffer(plan::DType::F32, {rows, dim}), dim);
  uint16_t turned[2];
  for (int i = 0; i < 2; ++i) {
    uint32_t heads = counts[i] / dim;
    uint16_t norm = b.add(program::RowKind::RMSNorm,
                          {i == 0 ? q : k, weights[i]}, 0, heads, dim);
    turned[i] = b.add(program::RowKind::Rope, {norm, angles}, 0, heads, dim);
  }
  for (int i = 0; i < 2; ++i)
    b.store(turned[i], b.make.buffer(type, {rows, counts[i] / dim, dim}),
            counts[i]);
  return b;
}

/// A copy: what nothing can be faster than.
inline RowBench copyOf(plan::DType type, uint32_t rows, uint32_t width) {
  RowBench b(fmt::format("copy {}", width), rows);
  uint16_t x = b.load(b.make.buffer(type, {rows, width}), width);
  b.store(x, b.make.buffer(type, {rows, width}), width);
  return b;
}

/// Adds the kernel's command; `times` of it.
inline void addCommands(RowBench &bench, uint32_t times = 1) {
  program::RowsT command;
  command.kernel = bench.make.kernel(
      bench.steps, static_cast<uint16_t>(bench.operands.size()));
  command.operands = bench.operands;
  for (uint32_t i = 0; i < times; ++i)
    bench.make.add(command);
}

/// Bytes that it reads and writes, each once.
inline uint64_t bytesOf(const RowBench &bench) {
  uint64_t bytes = 0;
  for (uint32_t number : bench.operands) {
    const program::ViewT &view = *bench.make.function->views[number];
    uint64_t elements = 1;
    for (uint32_t dim : view.dims)
      elements *= dim;
    bytes += elements * (view.dtype == plan::DType::F32 ? 4 : 2);
  }
  return bytes;
}

} // namespace mbc::test
