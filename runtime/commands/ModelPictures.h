//===- ModelPictures.h - Pictures in a model's prompts ----------*- C++ -*-===//
#pragma once

#include "runtime/commands/ModelText.h"
#include "runtime/generate/EncodedPrompt.h"
#include "runtime/schema/program_generated.h"
#include "runtime/vision/PictureProcessor.h"

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mbc {

using PreparedPictures =
    std::vector<std::shared_ptr<const vision::PreparedPicture>>;

/// Reads picture files and prepares them. Errors start with the file.
Expected<PreparedPictures>
preparePictures(const vision::PictureProcessor &processor,
                std::span<const std::string> paths, unsigned threads);

/// Makes as many of a picture's tokens as the picture has, unless they are
/// there already, and counts their positions. An Input error where places and
/// pictures are not as many, and for tokens of videos.
Expected<generate::EncodedPrompt> placePictures(std::vector<int32_t> tokens,
                                                PreparedPictures pictures,
                                                const program::VisionT &vision);

/// What a model that sees makes of files.
class ModelPictures {
public:
  /// `folder` has the processor's file. An Input error for a program of a model
  /// that sees nothing, and for a processor of another model.
  static Expected<ModelPictures> open(const std::filesystem::path &folder,
                                      const program::ProgramT &program,
                                      unsigned threads);

  Expected<PreparedPictures> read(std::span<const std::string> paths) const {
    return preparePictures(processor, paths, threads);
  }
  /// Of files in memory: "picture 1", ...
  Expected<PreparedPictures> decode(std::span<const std::string> files) const;

  /// The text with the tokens of `count` pictures in front, unless it says
  /// itself where they are.
  std::string withPlaces(std::string text, size_t count,
                         const ModelText &words) const;

private:
  ModelPictures(const vision::PictureProcessor &processor, int32_t imageToken,
                unsigned threads)
      : processor(processor), imageToken(imageToken), threads(threads) {}

  vision::PictureProcessor processor;
  int32_t imageToken;
  unsigned threads;
};

} // namespace mbc
