//===- Printer.h - Syntax trees as .mbc text --------------------*- C++ -*-===//
#pragma once

#include "compiler/Frontend/AST.h"

#include "llvm/Support/raw_ostream.h"

namespace mbc {

enum class Parentheses {
  Needed, ///< where the text would else mean another tree
  Full    ///< around every operator
};

/// Prints canonical text: parsed again it gives the same tree, and printed
/// again the same text. Comments are lost.
void print(const ast::File &file, llvm::raw_ostream &os,
           Parentheses parentheses = Parentheses::Needed);
void print(const ast::Expr &expr, llvm::raw_ostream &os,
           Parentheses parentheses = Parentheses::Needed);

} // namespace mbc
