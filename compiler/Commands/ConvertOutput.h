//===- ConvertOutput.h - A conversion as text and JSON ----------*- C++ -*-===//
#pragma once

#include "compiler/Commands/Command.h"
#include "mbc/Convert.h"

namespace mbc {

/// "imported Llama: ..." and the members of Json.
Outcome convertOutcome(std::string_view done, const ConvertReport &report);
Json convertJson(const ConvertReport &report);
Json trainingStateJson(const TrainingState &state);

} // namespace mbc
