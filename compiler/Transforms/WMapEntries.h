//===- WMapEntries.h - What the wmap passes share ---------------*- C++ -*-===//
#pragma once

#include "compiler/Transforms/WMapNames.h"
#include "dialects/NN/NNOps.h"
#include "dialects/NN/Parameters.h"
#include "dialects/WMap/WMapDialect.h"

#include "mlir/IR/BuiltinOps.h"

namespace mbc::wmap {

/// The model of the mapping's name, or null.
nn::ModelOp findModel(MappingOp mapping);

/// True once `nn-elaborate` has made the model static.
bool isElaborated(nn::ModelOp model);

/// The value of a configuration name of an elaborated model, or null.
mlir::Attribute configValue(nn::ModelOp model, llvm::StringRef name);

/// The parameter of a path, or null.
const nn::LogicalParameter *
findParameter(llvm::ArrayRef<nn::LogicalParameter> parameters,
              llvm::StringRef path);

/// True for a parameter that is kept in F32 whatever the model's type.
bool isPinnedToF32(const nn::LogicalParameter &parameter);

bool isBatchAxis(nn::TensorType type, llvm::StringRef axis);

/// The loops of an entry, outermost first, followed by `inner`.
llvm::SmallVector<LoopAttr> loopsOf(EntryOp entry,
                                    llvm::ArrayRef<LoopAttr> inner);

/// A key as name segments: "decoder.layers[" l "].mlp.linear_fc1.weight".
llvm::SmallVector<mlir::Attribute> keySegments(KeyAttr key);

/// What the indices of an entry run over: the layers of its parameter and its
/// batch axes.
std::vector<IndexDomain> domainsOf(llvm::ArrayRef<LoopAttr> loops,
                                   const nn::LogicalParameter &parameter);
/// The same for loops over whole stacks (extras).
std::vector<IndexDomain> stackDomains(nn::ModelOp model, mlir::ArrayAttr loops);

/// A name at one tuple of indices. Every other symbol of the name must have a
/// value in the elaborated `model`.
class Speller {
public:
  Speller(nn::ModelOp model, llvm::ArrayRef<mlir::Attribute> segments,
          llvm::ArrayRef<LoopAttr> loops);
  std::string operator()(llvm::ArrayRef<int64_t> indices) const;
  /// The same name with configuration names replaced by their values.
  NameAttr withValues(mlir::MLIRContext *ctx) const;

private:
  struct Piece {
    std::string text;
    int64_t constant = 0;
    llvm::SmallVector<int64_t> coefficients; ///< one a loop; empty: text
  };
  std::vector<Piece> pieces;
  llvm::SmallVector<LoopAttr> loops;
};

/// All index tuples of a static entry, outermost slowest: the layers of its
/// domain, then the batch axes of `inner`.
std::vector<llvm::SmallVector<int64_t>>
indexTuples(EntryOp entry, llvm::ArrayRef<LoopAttr> inner);

} // namespace mbc::wmap
