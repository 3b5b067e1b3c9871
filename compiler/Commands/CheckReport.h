//===- CheckReport.h - A proof as a table -----------------------*- C++ -*-===//
#pragma once

#include "compiler/Bridge/Counts.h"
#include "compiler/Bridge/ProvedModel.h"
#include "compiler/Commands/Command.h"

namespace mbc {

/// What `mbc check` has proved.
struct CheckInput {
  ProvedModel &proved;
  const plan::PlanT &plan;
  const ImpliedTensors &implied;
  const HfFolder *folder; ///< whose headers were bound; may be null
  std::filesystem::path config;
  wmap::ParallelSizes sizes;
  DType dtype; ///< of weights, where no headers say
};

/// The table and its JSON: parameters, obligations, totals, fields, sizes.
Outcome checkReport(CheckInput input);

/// What the proof of a mapping consists of: constraint and sentence.
struct MappingProof {
  const char *constraint, *text;
};
llvm::ArrayRef<MappingProof> mappingProofs();

} // namespace mbc
