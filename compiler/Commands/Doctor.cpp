//===- Doctor.cpp - mbc doctor --------------------------------------------===//
#include "runtime/commands/Doctor.h"

#include "compiler/Commands/Command.h"

namespace mbc {

void addDoctor(CLI::App &root, CommandList &commands) {
  auto &command = *commands.emplace_back(
      std::make_unique<Command>(root, "doctor", doctorSummary, doctorDetails));
  declareDoctor(command, "  mbc doctor\n  mbc doctor --json");
}

} // namespace mbc
