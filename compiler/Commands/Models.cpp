//===- Models.cpp - mbc models --------------------------------------------===//
#include "compiler/Commands/Command.h"
#include "runtime/commands/TextTable.h"
#include "runtime/core/Text.h"

#include "llvm/Support/MemoryBuffer.h"

#include <fmt/format.h>

namespace mbc {

namespace {

Json modelJson(const DeclaredModel &model) {
  Json architectures = Json::array();
  for (const std::string &name : model.architectures)
    architectures.push(name);
  return Json::object({{"name", model.name},
                       {"architectures", std::move(architectures)},
                       {"model_file", model.modelFile},
                       {"mapping_file", model.mappingFile}});
}

std::string joined(const std::vector<std::string> &names) {
  std::string text;
  for (const std::string &name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

Outcome listModels(const ModelLibrary &library) {
  TextTable table;
  table.row({"MODEL", "ARCHITECTURES", "FILES"});
  Json models = Json::array();
  for (const DeclaredModel &model : library.models()) {
    table.row({model.name, joined(model.architectures),
               model.modelFile + " " + model.mappingFile});
    models.push(modelJson(model));
  }
  Outcome outcome;
  outcome.text = table.text();
  outcome.json.set("models", std::move(models));
  return outcome;
}

Expected<std::string> readDeclaration(const ModelLibrary &library,
                                      const std::string &path) {
  auto buffer = library.fileSystem()->getBufferForFile(path);
  if (!buffer)
    return inputError(fmt::format("{}: {}", path, buffer.getError().message()));
  return (*buffer)->getBuffer().str();
}

Expected<Outcome> showModel(const ModelLibrary &library,
                            const std::string &name) {
  const DeclaredModel *model = library.findModel(name);
  if (!model)
    model = library.findArchitecture(name);
  if (!model) {
    std::vector<std::string> known;
    for (const DeclaredModel &declared : library.models())
      known.push_back(declared.name);
    return inputError(fmt::format("no model is named {}; known are {}",
                                  quote(name), joined(known)));
  }
  MBC_ASSIGN(std::string declaration,
             readDeclaration(library, model->modelFile));
  MBC_ASSIGN(std::string mapping, readDeclaration(library, model->mappingFile));
  Outcome outcome;
  outcome.text = fmt::format("// {}\n{}\n// {}\n{}", model->modelFile,
                             declaration, model->mappingFile, mapping);
  outcome.json = modelJson(*model);
  outcome.json.set("model", declaration);
  outcome.json.set("mapping", mapping);
  return outcome;
}

} // namespace

void addModels(CLI::App &root, CommandList &commands) {
  auto &command = *commands.emplace_back(std::make_unique<Command>(
      root, "models", "List the models that are declared, or show one",
      "A model is found by the \"architectures\" of config.json. NAME is a "
      "model or an architecture; its two declarations are printed."));
  auto name = std::make_shared<std::string>();
  command
      .argument("NAME", *name,
                "Model (Llama) or architecture "
                "(LlamaForCausalLM)",
                false)
      .examples("  mbc models\n"
                "  mbc models Llama\n"
                "  mbc models --model-path my-declarations --json");
  command.run = [name, &common = command.common]() -> Expected<Outcome> {
    ModelLibrary library;
    MBC_TRY(common.load(library));
    if (name->empty())
      return listModels(library);
    return showModel(library, *name);
  };
}

} // namespace mbc
