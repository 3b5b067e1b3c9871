//===- New.cpp - mbc new --------------------------------------------------===//
#include "compiler/Bridge/DraftDeclaration.h"
#include "compiler/Commands/Command.h"
#include "runtime/core/File.h"

#include <fmt/format.h>

namespace fs = std::filesystem;

namespace mbc {

namespace {

struct NewOptions {
  std::string from, target;
  bool overwrite = false;
};

Expected<Outcome> runNew(const NewOptions &options,
                         const CommonOptions &common) {
  fs::path from = options.from;
  ModelLibrary library;
  MBC_TRY(common.load(library));
  MBC_ASSIGN(auto folder, HfFolder::open(from));
  MBC_ASSIGN(StagedDirectory staged,
             StagedDirectory::create(options.target, options.overwrite,
                                     std::span(&from, 1)));
  MBC_ASSIGN(Draft draft,
             draftDeclaration(library, *folder, staged.path(), common.config));
  std::error_code code;
  for (const char *name : {"models", "mappings"}) {
    fs::create_directory(staged.path() / name, code);
    if (code)
      return systemError(fmt::format("{}: cannot create: {}",
                                     (staged.path() / name).string(),
                                     code.message()));
  }
  MBC_TRY(writeWholeFile(staged.path() / "models" / draft.file, draft.model));
  MBC_TRY(
      writeWholeFile(staged.path() / "mappings" / draft.file, draft.mapping));
  MBC_TRY(staged.commit());

  fs::path target = options.target;
  std::string model = (target / "models" / draft.file).string(),
              mapping = (target / "mappings" / draft.file).string();
  Outcome outcome;
  outcome.text = fmt::format(
      "drafted {} from {}: {} of {} kinds of tensors inferred\n  {}\n  {}\n",
      draft.name, draft.base, draft.inferred, draft.families, model, mapping);
  Json open = Json::array();
  for (const std::string &item : draft.open) {
    outcome.text += "to decide: " + item + "\n";
    open.push(item);
  }
  outcome.text += fmt::format("next: mbc check --model-path {} {}\n",
                              options.target, options.from);
  outcome.json = Json::object({{"model", draft.name},
                               {"base", draft.base},
                               {"model_file", model},
                               {"mapping_file", mapping},
                               {"kinds", draft.families},
                               {"inferred", draft.inferred},
                               {"open", std::move(open)}});
  return outcome;
}

} // namespace

void addNew(CLI::App &root, CommandList &commands) {
  auto &command = *commands.emplace_back(std::make_unique<Command>(
      root, "new", "Draft the declarations of an unknown architecture",
      "Writes DIR/models/NAME.mbc and DIR/mappings/NAME.mbc, starting from the "
      "declared family that is most like the folder: config.json must have "
      "the fields that it reads, and tensors are recognised by their shapes, "
      "by the indices in their names, and where these are alike by usual "
      "names (wq, q_proj, query). What cannot be told is marked '?"
      "?', and "
      "'mbc check --model-path DIR HF_DIR' refuses it there. What a model "
      "computes is not seen in its tensors: read the draft."));
  auto options = std::make_shared<NewOptions>();
  command
      .option("--from", options->from, "HF_DIR",
              "Folder with config.json and safetensors weights, or a hub id in "
              "the local Hugging Face cache",
              true)
      .option("-o,--output", options->target, "DIR",
              "Folder to write; it appears only when it is complete", true)
      .flag("--overwrite", options->overwrite,
            "Replace DIR, once the new one is complete")
      .configOptions()
      .examples("  mbc new --from MyModel -o declarations\n"
                "  mbc check --model-path declarations MyModel\n"
                "  mbc import --model-path declarations MyModel -o megatron");
  command.run = [options, &common = command.common]() -> Expected<Outcome> {
    MBC_TRY(resolveInPlace(options->from));
    return runNew(*options, common);
  };
}

} // namespace mbc
