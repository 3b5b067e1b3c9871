//===- Report.h - What a comparison of two runs found -----------*- C++ -*-===//
#pragma once

#include "runtime/compare/Locate.h"
#include "runtime/core/Json.h"

#include <string>
#include <vector>

namespace mbc::compare {

/// One of the two that are compared.
struct SideReport {
  std::string path;
  std::string format; ///< "Hugging Face folder", "Megatron torch_dist"
  std::string model;  ///< "Llama"; empty: nothing says it
  std::string stored; ///< types of its weights: "BF16, F32"
};

/// A parameter that the guilty operation reads.
struct ParameterReport {
  std::string path; ///< "decoder.attn.qkv"
  /// The tensors that hold it, as either side spells them; empty where a side
  /// does not read it, or has no tensors.
  std::vector<std::string> tensorsA, tensorsB;
  bool compared = false;
  bool equal = false; ///< bit for bit, or after rounding to the narrower type
  std::vector<std::string> findings; ///< where and how they differ
};

/// The step at which the sides part, or one whose weights differ though these
/// tokens do not show it.
struct Culprit {
  std::string operation, kind, place; ///< place: FILE:LINE:COLUMN
  std::string stack;                  ///< empty: outside of layers
  int64_t layer = -1;
  OperationState state = OperationState::Differs; ///< Agrees: see `hidden`
  /// What it is blamed for, a sentence: weights, settings or program.
  std::string cause;
  std::vector<std::string> settings; ///< that differ
  std::vector<std::string> where;    ///< of its result
  /// Operations before it of which nothing is known: any may be guilty instead.
  std::vector<std::string> unseen;
  std::vector<ParameterReport> parameters;
};

struct Report {
  SideReport a, b;
  std::vector<int32_t> tokens;
  /// What the tokens stand for; empty where there is no tokenizer.
  std::vector<std::string> tokenTexts;
  std::string dtype; ///< in which both were computed
  double tolerance = 0;
  std::string toleranceWhy;
  bool samePrograms = false;
  bool reference = false; ///< B is of reference states
  /// Fields of the configuration that the programs read and that differ.
  std::vector<std::string> configDifferences;
  std::vector<std::string> notes;

  std::vector<Step> steps;
  int64_t first = -1; ///< the first step that does not agree
  /// Of the first step's layer, or of what is outside of layers.
  std::vector<OperationComparison> operations;
  /// The first is where the sides part; the others differ on their own, while
  /// what they read agrees. In order.
  std::vector<Culprit> culprits;
  /// Which weights differ in the whole models; empty where none was compared.
  std::vector<std::string> weightFindings;

  int64_t top = 5;
  std::vector<RowAgreement> logits; ///< of each token; empty: not known
  /// Texts of the tokens in `logits`, by id.
  std::map<int32_t, std::string> choiceTexts;
  double seconds = 0;

  /// Weights differ that these tokens do not show: the culprits read them.
  bool hidden = false;

  bool runsAgree() const { return first < 0; }
  bool same() const { return runsAgree() && !hidden; }
  double meanKl() const;
  double maxKl() const;
  int64_t sameFirst() const;
};

/// "the first difference is in layer 5 of decoder: decoder.attn.linear".
std::string verdictText(const Report &report);
/// "layer 5 of decoder", "outside of layers".
std::string stepText(const std::string &stack, int64_t layer);
/// "0.00123", "inf", "nan": three digits.
std::string numberText(double value);
/// The same for a cosine, of which near values differ in late digits only:
/// "1 - 0.00012".
std::string cosineText(double value);
/// "agrees", "differs", "only in A": for people.
std::string stateText(OperationState state);

/// Tables and sentences for a terminal.
std::string reportText(const Report &report);
/// The members that compiler/Commands/README.md lists.
Json reportJson(const Report &report);
/// One page that needs nothing besides, for any browser.
std::string reportHtml(const Report &report);

} // namespace mbc::compare
