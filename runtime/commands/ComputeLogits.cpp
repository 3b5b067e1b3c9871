//===- ComputeLogits.cpp --------------------------------------------------===//
#include "runtime/commands/ComputeLogits.h"

#include "runtime/core/File.h"
#include "runtime/core/Parallel.h"
#include "runtime/execute/Score.h"
#include "runtime/execute/See.h"
#include "runtime/io/Npy.h"
#include "runtime/program/Program.h"

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

/// Where the pictures are in the tokens; their features are still to come.
/// Empty for text alone.
static Expected<execute::Sight> findPictures(const program::ProgramT &program,
                                             const Tokens &tokens,
                                             const Pixels &pixels) {
  execute::Sight sight;
  if (!program.vision) {
    if (!pixels.grids.empty())
      return inputError(
          fmt::format("option '--pixels': {} sees no pictures", program.model));
    return sight;
  }
  const program::VisionT &vision = *program.vision;
  if (!pixels.grids.empty() && pixels.width != execute::patchNumbers(vision))
    return inputError(fmt::format("option '--pixels': patches have {} numbers, "
                                  "expected {}: {} channels x "
                                  "{} frames x {} x {} pixels",
                                  pixels.width, execute::patchNumbers(vision),
                                  vision.channels, vision.frames, vision.patch,
                                  vision.patch));
  for (const PatchGrid &grid : pixels.grids)
    MBC_TRY(checkGrid(grid, vision));
  if (int64_t images = countImageTokens(tokens.ids, vision);
      images > 0 && pixels.grids.empty())
    return inputError(
        fmt::format("option '--tokens': {} image tokens ({}) and no pictures; "
                    "options '--pixels' and '--grid' give them",
                    images, vision.image_token));
  std::span<const PatchGrid> rest(pixels.grids);
  int32_t features = 0;
  for (int64_t text = 0; text < tokens.batch; ++text) {
    auto ids =
        std::span(tokens.ids).subspan(text * tokens.length, tokens.length);
    // As many pictures as it takes to have that many tokens; what is left over
    // is the last text's.
    size_t count = text + 1 < tokens.batch ? 0 : rest.size();
    for (int64_t missing = countImageTokens(ids, vision);
         missing > 0 && count < rest.size(); ++count)
      missing -= tokensOf(rest[count], vision);
    auto positions = multimodalPositions(ids, rest.first(count), vision);
    if (!positions)
      return inputError(fmt::format("option '--tokens': sequence {}: {}", text,
                                    positions.error().message));
    rest = rest.subspan(count);
    sight.positions.insert(sight.positions.end(), positions->numbers.begin(),
                           positions->numbers.end());
    for (int32_t id : ids)
      sight.place.push_back(id == vision.image_token ? features++ : -1);
  }
  return features ? std::move(sight) : execute::Sight();
}

namespace {

/// A file for each output of the functions that score.
class Files {
public:
  static Expected<Files> create(const program::ProgramT &program,
                                const Tokens &tokens, const fs::path &target) {
    Files files;
    const program::FunctionT *function =
        findFunction(program, execute::scoreFunction);
    if (!function)
      return files; // who scores says so
    for (const auto &port : function->outputs) {
      std::vector<int64_t> shape{tokens.batch, tokens.length};
      shape.insert(shape.end(), port->dims.begin() + 1, port->dims.end());
      Entry entry;
      entry.name = port->name;
      for (size_t i = 2; i < shape.size(); ++i)
        entry.rowBytes *= shape[i];
      std::string header = float32NpyHeader(shape);
      entry.begin = header.size();
      entry.path = port->name == "logits"
                       ? target
                       : fs::path(target).replace_extension(
                             port->name + target.extension().string());
      uint64_t bytes = entry.rowBytes * tokens.ids.size();
      files.total += bytes;
      MBC_ASSIGN(StagedFile file,
                 StagedFile::create(entry.path, entry.begin + bytes));
      MBC_TRY(file.writeAt(0, std::as_bytes(std::span(header))));
      files.entries.emplace_back(std::move(entry), std::move(file));
    }
    return files;
  }

  uint64_t bytes() const { return total; }

  Status write(int64_t row, const execute::Outputs &outputs,
               Progress &progress) {
    for (auto &[entry, file] : entries) {
      std::span<const float> values(outputs.find(entry.name)->second);
      progress.advance(values.size_bytes());
      MBC_TRY(file.writeAt(entry.begin + row * entry.rowBytes,
                           std::as_bytes(values)));
    }
    return {};
  }

  Status commit() {
    for (auto &[entry, file] : entries)
      MBC_TRY(file.commit());
    return {};
  }

private:
  struct Entry {
    std::string name;
    fs::path path;
    uint64_t rowBytes = sizeof(float), begin = 0;
  };
  std::vector<std::pair<Entry, StagedFile>> entries;
  uint64_t total = 0;
};

} // namespace

Expected<Outcome> computeLogits(const RunnableModel &model,
                                const Tokens &tokens, const Pixels &pixels,
                                const std::string &target,
                                const execute::Device &device,
                                const BaseOptions &options) {
  const program::ProgramT &program = *model.program;
  auto start = std::chrono::steady_clock::now();
  auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                         start)
        .count();
  };
  MBC_TRY(checkTokens(program, tokens));
  MBC_ASSIGN(execute::Sight sight, findPictures(program, tokens, pixels));
  MBC_ASSIGN(Files files, Files::create(program, tokens, target));

  unsigned threads = options.threads ? options.threads : defaultThreads();
  MBC_ASSIGN(
      std::unique_ptr<Session> session,
      execute::openSession(program, device,
                           {threads, execute::scoreSlots(program, tokens.batch,
                                                         tokens.length)}));
  Progress loading("loading", model.source->bytes(), options.progress());
  MBC_TRY(session->load(*model.source, loading));
  loading.finish();
  double loadSeconds = seconds();

  Progress computing("computing", files.bytes(), options.progress());
  if (!sight.place.empty()) {
    MBC_ASSIGN(sight.features,
               execute::see(*session, program, pixels.values, pixels.grids));
  }
  MBC_TRY(execute::score(
      *session, program, tokens.ids, tokens.batch, tokens.length,
      [&](int64_t row, const execute::Outputs &outputs) {
        return files.write(row, outputs, computing);
      },
      {}, sight));
  computing.finish();
  MBC_TRY(files.commit());

  Outcome outcome;
  double total = seconds();
  outcome.text = fmt::format("{}: {} x {} tokens, logits [{}, {}, {}] in {}\n"
                             "loaded in {:.2f} s, computed in {:.2f} s\n",
                             program.model, tokens.batch, tokens.length,
                             tokens.batch, tokens.length, program.vocab, target,
                             loadSeconds, total - loadSeconds);
  Json notes = Json::array();
  for (const std::string &note : session->notes()) {
    outcome.text += "note: " + note + "\n";
    notes.push(note);
  }
  outcome.json = Json::object(
      {{"model", program.model},
       {"target", target},
       {"shape", Json::array({tokens.batch, tokens.length, program.vocab})},
       {"load_seconds", loadSeconds},
       {"seconds", total},
       {"notes", std::move(notes)}});
  return outcome;
}

} // namespace mbc
