//===- Generator.h - Generation with a program ------------------*- C++ -*-===//
#pragma once

#include "runtime/generate/Executor.h"
#include "runtime/program/Program.h"
#include "runtime/program/Session.h"

#include <array>

namespace mbc::execute {

/// Runs the functions `prefill` and `decode` of a program, and chooses tokens
/// from the logits that they give; with drafts, guesses later ones with
/// `draft`.
class Generator final : public generate::Executor {
public:
  /// `session` is of `program`; both must outlive it. `drafts`: tokens that are
  /// guessed ahead. An Input error for a program without these functions, and
  /// for one that cannot try so many drafts.
  static Expected<std::unique_ptr<Generator>>
  create(Session &session, const program::ProgramT &program,
         int64_t drafts = 0);

  int64_t rows() const override { return prefill->rows; }
  int64_t sequences() const override { return most; }
  int64_t slots() const override { return session.slots(); }
  int64_t length() const override { return program.length; }
  int64_t vocabulary() const override { return program.vocab; }
  int64_t drafts() const override { return mostDrafts; }
  bool sequencesAreIndependent() const override;
  bool sees() const override { return program.vision != nullptr; }
  Expected<std::vector<generate::Continuation>>
  step(std::span<const generate::Part> parts) override;

private:
  /// A part on its way through a step.
  struct Work {
    const generate::Part *part;
    generate::Continuation result;
    /// What layers that draft begin with, of the tokens that stay.
    std::vector<float> hidden;
  };

  Generator(Session &session, const program::ProgramT &program)
      : session(session), program(program) {}

  Status compute(std::span<Work *const> works);
  /// A step of sequences that each go on by a token that the device chooses.
  /// The step after it is started before its tokens are waited for.
  Status go(std::span<Work *const> works);
  bool goes(std::span<Work *const> works) const;
  /// Waits for the step that is under way, and forgets it.
  Status stop();
  Status guess(std::span<Work> works);
  Status run(const program::FunctionT &function, Call &call,
             std::span<const int32_t> outputs, bool chooses = false);
  std::span<float> logitsOf(size_t output, size_t count = 1);
  /// What a call is told of the tokens' places and of the pictures at them.
  struct View;
  Status addView(const generate::Part &part, View &view);
  /// Of all tokens of a picture; computed once while it is looked at.
  Expected<std::span<const float>>
  featuresOf(const generate::PlacedPicture &placed);

  Session &session;
  const program::ProgramT &program;
  const program::FunctionT *prefill = nullptr;
  int64_t most = 0, mostDrafts = 0;
  /// Elements of a row of `hidden`.
  int64_t width = 0;
  /// Whether a row's bits depend on the function that computes it.
  bool hasForms = false;
  /// Of the last `run`: logits by output, or the tokens that the device chose,
  /// and the state of all rows.
  std::vector<float> logits, hidden;
  std::vector<ChosenToken> chosen;
  /// Of the next `run`, by output: how the device chooses.
  std::vector<Drawing> drawings;
  /// A step that is under way: what it was started for, in its order.
  struct Ahead {
    Call call;
    std::vector<int32_t> tokens, outputs;
    std::vector<Drawing> drawings;
    std::vector<ChosenToken> chosen;

    bool isFor(std::span<Work *const> works) const;
  };
  Status start(Ahead &step, bool follows);
  std::array<Ahead, 2> steps;
  /// Of `steps`: the one whose tokens are chosen next, where `isAhead`.
  size_t current = 0;
  bool isAhead = false;
  struct Seen {
    std::weak_ptr<const vision::PreparedPicture> picture;
    std::vector<float> features;
  };
  std::map<const vision::PreparedPicture *, Seen> seen;
};

} // namespace mbc::execute
