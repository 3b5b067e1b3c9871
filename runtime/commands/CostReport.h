//===- CostReport.h - A program's cost, shown -------------------*- C++ -*-===//
#pragma once

#include "runtime/commands/Outcome.h"
#include "runtime/program/ProgramReport.h"

namespace mbc {

/// Appends tables to the text, and `parts`, `functions` and `memory` to the
/// JSON; the latter alone unless `tables`.
void reportCost(const program::ProgramT &program, bool tables,
                Outcome &outcome);

} // namespace mbc
