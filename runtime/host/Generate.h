//===- Generate.h - Generation on the host ----------------------*- C++ -*-===//
#pragma once

#include "runtime/generate/Executor.h"
#include "runtime/host/Session.h"

namespace mbc::host {

/// Runs the functions `prefill` and `decode` of a program, and chooses tokens
/// from the logits that they give.
class Generator final : public generate::Executor {
public:
  /// `session` is of `program`; both must outlive it. An Input error for a
  /// program without these functions.
  static Expected<std::unique_ptr<Generator>>
  create(Session &session, const program::ProgramT &program);

  int64_t rows() const override { return prefill->rows; }
  int64_t sequences() const override { return most; }
  int64_t slots() const override { return session.slots(); }
  int64_t length() const override { return program.length; }
  int64_t vocabulary() const override { return program.vocab; }
  bool sequencesAreIndependent() const override;
  Expected<std::vector<generate::Choice>>
  step(std::span<const generate::Part> parts) override;

private:
  Generator(Session &session, const program::ProgramT &program)
      : session(session), program(program) {}

  Session &session;
  const program::ProgramT &program;
  const program::FunctionT *prefill = nullptr;
  int64_t most = 0;
  std::vector<float> logits;
};

} // namespace mbc::host
