//===- Case.h - What every backend must compute -----------------*- C++ -*-===//
#pragma once

#include "runtime/program/Call.h"
#include "runtime/program/Program.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace mbc::test {

/// Rows [begin, begin + count) of a call are a sequence's tokens after `cached`
/// ones that the state holds from `slot` on.
struct Part {
  int64_t begin, count, slot, cached;
};

/// One call of the function "f".
struct CallOfCase {
  int64_t rows;
  std::vector<Part> parts;
  /// By input: 32 bits an element, floats as their bits.
  std::map<std::string, std::vector<int32_t>> inputs;
};

/// A program of one function with one output "out", what it is called with, and
/// what it must give.
struct Case {
  std::string name;
  std::shared_ptr<const program::ProgramT> program;
  /// Of each weight: its elements, layer by layer; values of its type.
  std::vector<std::vector<float>> weights;
  /// Of each FP8 weight its scales: of each matrix a grid, row by row.
  std::vector<std::vector<float>> scales = {};
  int64_t slots = 0;
  std::vector<CallOfCase> calls;
  /// The output of all calls, one after another, by plain loops in double
  /// precision, and how far off each element may be.
  std::vector<double> expected, bound;
  /// How much farther off it may be where tensor cores want 16 bits: weights of
  /// keys and queries against latents, values of FP8 weights.
  std::vector<double> rounding = {};
};

/// A case's call as a backend takes it, and the output that it fills.
struct BackendCall {
  Call call;
  std::vector<float> out;
};
std::unique_ptr<BackendCall> makeCall(const program::FunctionT &function,
                                      const CallOfCase &given);

/// What is tested: loads a case's weights, makes its calls in one conversation,
/// and gives back all outputs. An error text where it cannot.
class Backend {
public:
  virtual ~Backend() = default;
  virtual Expected<std::vector<float>> run(const Case &test) = 0;
  /// Whether it computes with tensor cores.
  virtual bool rounds() const { return false; }
};

/// Every case, and those of one file.
std::vector<Case> allCases();
std::vector<Case> productCases();
std::vector<Case> rowCases();
std::vector<Case> attentionCases();
std::vector<Case> latentCases();
/// Attention of many rows, whose results are rounded to 16 bits: of sequences
/// that lie anywhere and go on.
std::vector<Case> prefillCases();
std::vector<Case> latentPrefillCases();
std::vector<Case> expertCases();
std::vector<Case> commandCases();

/// A kernel of random steps on random windows of one memory, which may lie on
/// each other in any way inside of a row: what its interpreter says is right.
Case randomRowCase(uint32_t seed);
/// Seeds that are tried.
constexpr uint32_t randomRowCases = 300;
/// Of a file that holds its program: "rows_silu_f32.mbcp".
std::string fileNameOf(const Case &test);
/// Compares with what the interpreter gave.
void expectNear(const Case &test, const std::vector<float> &found,
                const std::vector<float> &expected);

/// Each case's output within its bounds; failures of GoogleTest name the case,
/// the element and its distance.
void expectConforms(Backend &backend, const Case &test);

} // namespace mbc::test
