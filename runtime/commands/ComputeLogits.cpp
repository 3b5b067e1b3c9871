//===- ComputeLogits.cpp --------------------------------------------------===//
#include "runtime/commands/ComputeLogits.h"

#include "runtime/core/File.h"
#include "runtime/core/Parallel.h"
#include "runtime/host/Score.h"
#include "runtime/io/Npy.h"
#include "runtime/program/WeightSource.h"

#include <chrono>
#include <fmt/format.h>

namespace mbc {

static Status checkTokens(const program::ProgramT &program,
                          const Tokens &tokens) {
  for (size_t i = 0; i < tokens.ids.size(); ++i)
    if (static_cast<uint32_t>(tokens.ids[i]) >= program.vocab)
      return inputError(fmt::format(
          "option '--tokens': token {} at [{}, {}] is outside of the "
          "vocabulary of {}, which has {}",
          tokens.ids[i], i / tokens.length, i % tokens.length, program.model,
          program.vocab));
  if (tokens.length > program.length)
    return inputError(fmt::format(
        "option '--tokens': sequences have {} tokens; the program was compiled "
        "for {} at most, and 'mbc compile --length {}' makes one for more",
        tokens.length, program.length, tokens.length));
  return {};
}

Expected<Outcome> computeLogits(const program::ProgramT &program,
                                PlanSide format, const TensorSet &set,
                                const std::string &name, const Tokens &tokens,
                                const std::string &target,
                                const BaseOptions &options) {
  auto start = std::chrono::steady_clock::now();
  auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                         start)
        .count();
  };
  MBC_TRY(checkTokens(program, tokens));
  MBC_ASSIGN(std::unique_ptr<WeightSource> source,
             WeightSource::create(program, format, set, name));
  int64_t shape[] = {tokens.batch, tokens.length, program.vocab};
  std::string header = float32NpyHeader(shape);
  uint64_t rowBytes = uint64_t(program.vocab) * 4;
  uint64_t bytes = rowBytes * tokens.ids.size();
  MBC_ASSIGN(StagedFile file,
             StagedFile::create(target, header.size() + bytes));
  MBC_TRY(file.writeAt(0, std::as_bytes(std::span(header))));

  unsigned threads = options.threads ? options.threads : defaultThreads();
  MBC_ASSIGN(std::unique_ptr<host::Session> session,
             host::Session::create(
                 program, {threads, host::scoreSlots(program, tokens.batch,
                                                     tokens.length)}));
  Progress loading("loading", source->bytes(), options.progress());
  MBC_TRY(session->load(*source, loading));
  loading.finish();
  double loadSeconds = seconds();

  Progress computing("computing", bytes, options.progress());
  MBC_TRY(host::score(*session, program, tokens.ids, tokens.batch,
                      tokens.length,
                      [&](int64_t row, std::span<const float> logits) {
                        computing.advance(logits.size_bytes());
                        return file.writeAt(header.size() + row * rowBytes,
                                            std::as_bytes(logits));
                      }));
  computing.finish();
  MBC_TRY(file.commit());

  Outcome outcome;
  double total = seconds();
  outcome.text = fmt::format("{}: {} x {} tokens, logits [{}, {}, {}] in {}\n"
                             "loaded in {:.2f} s, computed in {:.2f} s\n",
                             program.model, tokens.batch, tokens.length,
                             tokens.batch, tokens.length, program.vocab, target,
                             loadSeconds, total - loadSeconds);
  outcome.json = Json::object(
      {{"model", program.model},
       {"target", target},
       {"shape", Json::array({tokens.batch, tokens.length, program.vocab})},
       {"load_seconds", loadSeconds},
       {"seconds", total}});
  return outcome;
}

} // namespace mbc
