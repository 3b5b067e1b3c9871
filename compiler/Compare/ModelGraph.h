//===- ModelGraph.h - A proved model's operations for comparing -*- C++ -*-===//
#pragma once

#include "compiler/Bridge/ProvedModel.h"
#include "runtime/compare/Graph.h"

namespace mbc {

/// The operations of the forward function, with the names under which a program
/// gives their values (`CompileOptions::taps`), the parameters that they read
/// and their settings. The logits have the name of the program's output.
Expected<compare::Graph> modelGraph(ProvedModel &model,
                                    const CompileOptions &options);

} // namespace mbc
