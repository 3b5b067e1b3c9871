//===- RunServe.cpp - mbc-run serve ---------------------------------------===//
#include "runtime/commands/ProgramArguments.h"
#include "runtime/commands/ServeModel.h"

namespace mbc {

namespace {

struct RunServeOptions {
  ProgramArguments program;
  ServeTexts texts;
};

Expected<Outcome> runServe(const RunServeOptions &options,
                           const BaseOptions &common) {
  MBC_ASSIGN(ServeOptions what, ServeOptions::parse(options.texts));
  MBC_ASSIGN(RunnableModel model, options.program.open(common));
  return serveModel(std::move(model), options.program.weights, what, common,
                    Json::object());
}

} // namespace

std::unique_ptr<BaseCommand> makeRunServe(CLI::App &root) {
  auto command = std::make_unique<RunCommand>(
      root, "serve", "OpenAI's completion endpoints over HTTP",
      "Loads the weights of a Hugging Face folder or a Megatron torch_dist "
      "checkpoint into a program, and answers what 'mbc serve' does: "
      "/v1/completions, /v1/chat/completions, /v1/models, /health and "
      "/metrics. SIGINT or SIGTERM end it.");
  auto options = std::make_shared<RunServeOptions>();
  options->program.declare(*command);
  options->texts.declare(*command);
  command->examples(
      "  mbc-run serve llama.mbcp --weights Llama-3.2-1B-Instruct\n"
      "  MBC_API_KEY=secret mbc-run serve llama.mbcp --weights DIR --host "
      "0.0.0.0 --port 80");
  command->run = [options, &common = command->common]() {
    return runServe(*options, common);
  };
  return command;
}

} // namespace mbc
