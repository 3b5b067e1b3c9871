//===- Yaml.cpp - run_config.yaml -----------------------------------------===//

#include "runtime/core/Error.h"
#include "test/Fuzz/FuzzTarget.h"

#include <yaml-cpp/yaml.h>

using namespace mbc;

const fuzz::MemoryLimit fuzz::memoryLimit{4096, 1 << 20};

/// Visits values as a reader of a configuration does: an alias stands for its
/// anchor wherever it is, so their number is bounded.
static Status visit(const YAML::Node &node, unsigned depth, size_t &budget) {
  if (depth == 100 || budget-- == 0)
    return inputError("input: nested too deeply, or too many aliases");
  if (node.IsMap())
    for (const auto &entry : node) {
      MBC_TRY(visit(entry.first, depth + 1, budget));
      MBC_TRY(visit(entry.second, depth + 1, budget));
    }
  else if (node.IsSequence())
    for (const YAML::Node &element : node)
      MBC_TRY(visit(element, depth + 1, budget));
  else if (node.IsScalar())
    (void)node.Scalar().size();
  return {};
}

static Status read(std::string_view text) {
  try {
    YAML::Node node = YAML::Load(std::string(text));
    size_t budget = 100'000;
    return visit(node, 0, budget);
  } catch (const YAML::Exception &error) {
    return inputError(error.what());
  }
}

void fuzz::fuzz(std::string_view input) { (void)read(input); }
