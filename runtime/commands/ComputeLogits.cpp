//===- ComputeLogits.cpp --------------------------------------------------===//
#include "runtime/commands/ComputeLogits.h"

#include "runtime/core/File.h"
#include "runtime/core/Parallel.h"
#include "runtime/host/Score.h"
#include "runtime/io/Npy.h"
#include "runtime/program/WeightSource.h"

#include <chrono>
#include <fmt/format.h>

namespace fs = std::filesystem;

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

/// A file under another name until it is complete.
class PartialFile {
public:
  static Expected<PartialFile> create(const fs::path &target, uint64_t bytes) {
    MBC_TRY(checkFileTarget(target));
    std::error_code code;
    fs::path partial = target;
    partial += ".mbc-partial";
    fs::remove(partial, code);
    MBC_ASSIGN(File file, File::create(partial, bytes));
    return PartialFile(target, std::move(partial), std::move(file));
  }
  PartialFile(PartialFile &&other) noexcept
      : target(other.target), partial(std::exchange(other.partial, {})),
        file(std::move(other.file)) {}
  ~PartialFile() {
    std::error_code code;
    if (!partial.empty())
      fs::remove(partial, code);
  }
  Status writeAt(uint64_t offset, std::span<const std::byte> bytes) {
    return file.writeAt(offset, bytes);
  }
  Status commit() {
    MBC_TRY(file.sync());
    std::error_code code;
    fs::rename(partial, target, code);
    if (code)
      return fileError(target, "cannot be written", code.value());
    partial.clear();
    return {};
  }

private:
  PartialFile(fs::path target, fs::path partial, File file)
      : target(std::move(target)), partial(std::move(partial)),
        file(std::move(file)) {}
  fs::path target, partial;
  File file;
};

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
  MBC_ASSIGN(PartialFile file,
             PartialFile::create(target, header.size() + bytes));
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
