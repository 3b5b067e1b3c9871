//===- Serve.cpp - mbc serve ----------------------------------------------===//
#include "compiler/Commands/GenerationProgram.h"
#include "compiler/Commands/ProgramOptions.h"
#include "runtime/commands/ServeModel.h"

namespace mbc {

namespace {

struct ServeCommandOptions {
  GenerationProgram program;
  ServeTexts texts;
};

Expected<Outcome> runServe(const ServeCommandOptions &options,
                           const CommonOptions &common) {
  MBC_ASSIGN(ServeOptions what, ServeOptions::parse(options.texts));
  MBC_ASSIGN(CompiledModel model,
             options.program.open(
                 what.programSequences(), what.length.value_or(0), what.drafts,
                 [](const auto &) { return defaultPatches; }, what.device,
                 common));
  Json details = Json::object(
      {{"compile_seconds", model.seconds}, {"cached", model.cached}});
  return serveModel(std::move(model), options.program.folder, what, common,
                    std::move(details));
}

} // namespace

void addServe(CLI::App &root, CommandList &commands) {
  auto &command = *commands.emplace_back(std::make_unique<Command>(
      root, "serve", "OpenAI's completion endpoints over HTTP",
      "Compiles the model for the processor at hand, loads the weights of a "
      "Hugging Face folder or a Megatron checkpoint, and answers "
      "/v1/completions, /v1/chat/completions, /v1/models, /health and /metrics "
      "over HTTP, many requests at a time, until SIGINT or SIGTERM: what runs "
      "then has 5 seconds to end, and a second signal ends it at once. On "
      "stderr there is a line when it is ready and one for each request, with "
      "nothing of its text."));
  auto options = std::make_shared<ServeCommandOptions>();
  options->program.declare(command);
  options->texts.declare(command);
  command.configOptions().examples(
      "  mbc serve SmolLM2-135M-Instruct\n"
      "  mbc serve megatron --port 0 --served-model-name smol\n"
      "  MBC_API_KEY=secret mbc serve DIR --host 0.0.0.0 --sequences 16 "
      "--length "
      "8192");
  command.run = [options, &common = command.common] {
    return runServe(*options, common);
  };
}

} // namespace mbc
