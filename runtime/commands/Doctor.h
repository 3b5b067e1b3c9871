//===- Doctor.h - What this machine offers ----------------------*- C++ -*-===//
#pragma once

#include "runtime/commands/BaseCommand.h"

namespace mbc {

/// What a program runs with on this machine, and what is missing.
Expected<Outcome> examineMachine();

constexpr const char *doctorSummary =
    "What this machine offers, what is missing, and what that costs";
constexpr const char *doctorDetails =
    "Looks for what programs run with: the instruction sets of the processor, "
    "NVIDIA's driver, GPUs and libraries. Nothing is started on a GPU.";

/// Declares what is run; the same for mbc and mbc-run.
template <typename Command>
void declareDoctor(Command &command, const char *examples) {
  command.examples(examples);
  command.run = examineMachine;
}

} // namespace mbc
