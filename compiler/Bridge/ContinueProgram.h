//===- ContinueProgram.h - On from a dumped phase ---------------*- C++ -*-===//
#pragma once

#include "compiler/Bridge/ProvedModel.h"
#include "compiler/Phases.h"

namespace mbc {

/// What the phases are asked for; `values` are the configuration's, or null.
PhaseOptions phaseOptionsOf(const CompileOptions &options,
                            mlir::DictionaryAttr values);
/// Runs the passes of a phase that has some, and the check of what they leave.
mlir::LogicalResult runPhase(const Phase &phase, const PhaseOptions &what,
                             mlir::ModuleOp module);
/// Shows the module where someone looks; false: the compilation ends here.
Expected<bool> showPhase(const CompileOptions &options, mlir::ModuleOp module,
                         size_t number, std::string_view phase);

/// Takes a module that the phase `from` left, as MLIR text, through the phases
/// after it. `config` is the config.json that `elaborate` needs, and may be
/// empty after it. The program is empty where `options.seen` ends the
/// compilation; an Input error where it does not and the module does not say
/// what a program file needs besides commands.
Expected<program::ProgramT> continueProgram(const std::filesystem::path &file,
                                            std::string_view from,
                                            const std::filesystem::path &config,
                                            const ConfigOptions &configOptions,
                                            const CompileOptions &options);

} // namespace mbc
