//===- ProvedModel.h - A declaration under one configuration ----*- C++ -*-===//
#pragma once

#include "compiler/Bridge/ModelLibrary.h"
#include "compiler/Transforms/Admissible.h"
#include "compiler/Transforms/WMapEntries.h"
#include "runtime/core/Json.h"
#include "runtime/io/TensorSet.h"
#include "runtime/schema/plan_generated.h"
#include "runtime/schema/program_generated.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/SourceMgr.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

namespace mbc {

struct ConfigOptions {
  /// Refuse fields of config.json that are not known.
  bool strictConfig = false;
  /// Fields whose unsupported values are accepted.
  std::vector<std::string> accept;
};

struct PlacementOptions {
  wmap::ParallelSizes sizes;
  /// "auto", "stacked" or "indexed".
  std::string layerKeys = "auto";
  /// Store every tensor in this type, but those that the model pins.
  std::optional<DType> dtype;
};

/// What a program is to hold.
struct CompileOptions {
  /// Of weights and activations: F32, BF16 or F16.
  DType dtype = DType::F32;
  /// Weights that are stored as FP8 with block scales, and that products alone
  /// use, are kept so, and multiplied with their scales inside of the products.
  bool scaledWeights = false;
  /// Tokens that functions take at most in a call: each size has one that gives
  /// logits of every token, and one of some.
  std::vector<uint64_t> chunks;
  /// Numbers of sequences that functions continue by a token each; empty:
  /// logits of given tokens are all that is asked for.
  std::vector<uint64_t> sequences;
  /// Patches of pictures that functions take at most in a call, rounded up to
  /// whole tokens; for a model that does not see, none. Empty: features of
  /// pictures come from elsewhere.
  std::vector<uint64_t> patches;
  /// Tokens that a sequence may have; 0: as many as the model was made for.
  uint64_t length = 0;
  /// Where there is one: called with the module as text after each phase, from
  /// number 1 on; false ends the compilation there, without a program.
  std::function<Expected<bool>(size_t number, std::string_view phase,
                               const std::string &text)>
      seen;
  /// Values that become results too: nn-instantiate names them.
  std::vector<std::string> taps;
  /// `score` gives the model's draft of the token after the next too.
  bool draft = false;
  /// Tokens of a sequence that are drafted ahead and tried at once; the program
  /// then has functions that draft. 0: none.
  uint64_t drafts = 0;
  /// Processors and GPUs to bring code for, of `codeTargets` and `gpuTargets`.
  std::vector<std::string> targets;
};

/// The first of the architectures that a config.json names; an Input error,
/// with `path`, where it names none.
Expected<std::string> architectureOf(const Json &config,
                                     const std::filesystem::path &path);

/// A model and its mapping, elaborated and proved for one config.json. Errors
/// are the located diagnostics of the passes, as one text.
class ProvedModel {
public:
  /// Symbolic proof, elaboration against `config`, proof of the result. The
  /// model is found by config.json's `architectures`.
  static Expected<std::unique_ptr<ProvedModel>>
  create(const ModelLibrary &library, const std::filesystem::path &config,
         const ConfigOptions &options);

  /// The same for a configuration that is in no file; `name` stands for it in
  /// messages.
  static Expected<std::unique_ptr<ProvedModel>>
  create(const ModelLibrary &library, const Json &config,
         const std::filesystem::path &name, const ConfigOptions &options);
  /// A model and its mapping as they are declared, without a proof: `model()`
  /// and `mapping()` hold expressions.
  static Expected<std::unique_ptr<ProvedModel>>
  declaration(const ModelLibrary &library, const DeclaredModel &declared);

  /// The symbolic proof alone, for every configuration at once.
  static Status proveSymbolically(const ModelLibrary &library,
                                  const DeclaredModel &declared);

  nn::ModelOp model();
  wmap::MappingOp mapping();
  const DeclaredModel &declared() const { return which; }

  /// Binds to the tensors of a folder (names, dtypes and shapes are read), or,
  /// with null, to what the configuration implies in BF16; places and plans.
  Expected<plan::PlanT> plan(const TensorSet *headers,
                             const PlacementOptions &options);

  /// The copy plan as MLIR text, after `plan`.
  std::string planText() const;

  /// Compiles the forward function for static rows, with the plans by which its
  /// weights are found in every spelling of the checkpoint formats. An Input
  /// error where neither `options` nor the model say a length.
  Expected<program::ProgramT> compile(const CompileOptions &options);

  /// The module after the phase `instantiate`, an `nn.graph` in which every
  /// value that can be tapped has an `nn.tap`: what a program computes, under
  /// the names of `CompileOptions::taps`. Lives no longer than this.
  Expected<mlir::OwningOpRef<mlir::ModuleOp>>
  graph(const CompileOptions &options);

  /// Whether it has layers for multi-token prediction: `CompileOptions::draft`.
  bool hasDraft();

private:
  ProvedModel();
  Status captured(llvm::function_ref<llvm::LogicalResult()> body);

  llvm::SourceMgr sources;
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module, planned;
  DeclaredModel which;
  /// What the proof is about, for messages, and what it says.
  std::filesystem::path config;
  Json values;
};

} // namespace mbc
