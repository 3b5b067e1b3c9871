//===- WMapBind.h - Binding to headers that are already open ----*- C++ -*-===//
#pragma once

#include "mlir/Pass/Pass.h"
#include "runtime/io/TensorSet.h"

#include <memory>

namespace mbc::wmap {

/// `wmap-bind` against an open set instead of a folder; `headers` must outlive
/// the pass. Only names, dtypes and shapes are looked at.
std::unique_ptr<mlir::Pass> createBindToHeaders(const TensorSet &headers);

} // namespace mbc::wmap
