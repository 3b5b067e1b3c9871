//===- Side.h - A checkpoint that is compared by running it -----*- C++ -*-===//
#pragma once

#include "compiler/Bridge/Checkpoint.h"
#include "runtime/compare/Graph.h"
#include "runtime/compare/Report.h"
#include "runtime/core/Progress.h"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mbc {

struct RunOptions {
  DType dtype = DType::F32; ///< to compute in
  unsigned threads = 0;
  Progress::Mode progress = Progress::Mode::Quiet;
  /// With the layers for multi-token prediction, and what they draft.
  bool draft = false;
};

/// An open checkpoint and what its program computes.
class Side {
public:
  /// `label`: "A" or "B", for progress and errors.
  static Expected<std::unique_ptr<Side>>
  open(const ModelLibrary &library, const std::string &path,
       const OpenOptions &options, const RunOptions &run, std::string label);

  const compare::SideReport &report() const { return about; }
  const compare::Graph &graph() const { return operations; }
  Checkpoint &checkpoint() const { return *source; }
  bool hasDraft() const { return source->proved().hasDraft(); }
  /// From here on runs with `RunOptions::draft`, and has it in the graph.
  Status addDraft();
  /// An integer of the model's configuration, by its declared name ("hidden").
  std::optional<int64_t> value(const char *name) const;

  /// The values of these taps, "logits" and "draft" for one sequence; numbers
  /// of experts ascend (`sortByExpert`). With `layer` the
  /// taps are of a stack, and that layer is computed of them alone.
  Expected<compare::Values> run(std::span<const int32_t> tokens,
                                const std::vector<std::string> &taps,
                                std::optional<int64_t> layer);

  // After `run`:
  /// What config.json says where the program reads it.
  const std::string &config() const { return configText; }
  /// Bytes that are equal where the commands are, without what they are for.
  const std::vector<uint8_t> &commands() const { return commandBytes; }

private:
  Side() = default;

  std::string label;
  RunOptions options;
  compare::SideReport about;
  compare::Graph operations;
  std::unique_ptr<Checkpoint> source;
  std::string configText;
  std::vector<uint8_t> commandBytes;
};

} // namespace mbc
