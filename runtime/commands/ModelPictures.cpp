//===- ModelPictures.cpp --------------------------------------------------===//
#include "runtime/commands/ModelPictures.h"

#include "runtime/core/Text.h"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>

namespace mbc {

using vision::PictureProcessor;
using vision::PreparedPicture;

Expected<PreparedPictures> preparePictures(const PictureProcessor &processor,
                                           std::span<const std::string> paths,
                                           unsigned threads) {
  PreparedPictures result;
  for (const std::string &path : paths) {
    MBC_ASSIGN(vision::Picture picture, vision::readPicture(path));
    MBC_ASSIGN(PreparedPicture prepared,
               processor.prepare(std::move(picture), path, threads));
    result.push_back(
        std::make_shared<const PreparedPicture>(std::move(prepared)));
  }
  return result;
}

Expected<ModelPictures> ModelPictures::open(const std::filesystem::path &folder,
                                            const program::ProgramT &program,
                                            unsigned threads) {
  if (!program.vision)
    return inputError(fmt::format("{} sees no pictures: it takes texts alone",
                                  program.model));
  MBC_ASSIGN(PictureProcessor processor, PictureProcessor::open(folder));
  const program::VisionT &vision = *program.vision;
  for (auto [name, made, taken] :
       {std::tuple("patch_size", processor.patch, vision.patch),
        std::tuple("temporal_patch_size", processor.frames, vision.frames),
        std::tuple("merge_size", processor.merge, vision.fold),
        std::tuple("the number of channels", int64_t(3), vision.channels)})
    if (made != taken)
      return inputError(fmt::format(
          "{}: {} of the picture processor is {}, and the model takes {}",
          folder.string(), name, made, taken));
  return ModelPictures(processor, vision.image_token, threads);
}

Expected<PreparedPictures>
ModelPictures::decode(std::span<const std::string> files) const {
  PreparedPictures result;
  for (const std::string &file : files) {
    std::string name = fmt::format("picture {}", result.size() + 1);
    MBC_ASSIGN(vision::Picture picture,
               vision::decodePicture(std::as_bytes(std::span(file)), name));
    MBC_ASSIGN(PreparedPicture prepared,
               processor.prepare(std::move(picture), name, threads));
    result.push_back(
        std::make_shared<const PreparedPicture>(std::move(prepared)));
  }
  return result;
}

std::string ModelPictures::withPlaces(std::string text, size_t count,
                                      const ModelText &words) const {
  std::string place = words.decode(std::span(&imageToken, 1), false);
  if (place.empty() || text.find(place) != std::string::npos)
    return text;
  // As the chat template writes it, where the tokenizer has the marks.
  constexpr const char *begin = "<|vision_start|>", *end = "<|vision_end|>";
  if (words.hasToken(begin) && words.hasToken(end))
    place = begin + place + end;
  std::string result;
  for (size_t i = 0; i < count; ++i)
    result += place;
  return result + text;
}

Expected<generate::EncodedPrompt>
placePictures(std::vector<int32_t> tokens, PreparedPictures pictures,
              const program::VisionT &vision) {
  std::vector<PatchGrid> grids;
  int64_t whole = 0;
  for (const auto &picture : pictures) {
    grids.push_back(picture->grid);
    whole += picture->tokens();
  }
  int32_t token = vision.image_token;
  auto places = std::ranges::count(tokens, token);
  generate::EncodedPrompt result;
  if (places == std::ssize(pictures)) {
    auto picture = pictures.begin();
    for (int32_t id : tokens) {
      int64_t count = id == token ? (*picture++)->tokens() : 1;
      result.tokens.insert(result.tokens.end(), count, id);
    }
  } else if (places == whole && !pictures.empty()) {
    result.tokens = std::move(tokens);
  } else {
    return inputError(fmt::format(
        "the prompt has {} place{} for pictures, and {} picture{} given",
        places, places == 1 ? "" : "s", pictures.size(),
        pictures.size() == 1 ? " is" : "s are"));
  }
  MBC_ASSIGN(MultimodalPositions positions,
             multimodalPositions(result.tokens, grids, vision));
  if (pictures.empty())
    return result;
  result.pictures.positions = std::move(positions.numbers);
  result.pictures.next = positions.next;
  auto at = result.tokens.begin();
  for (auto &picture : pictures) {
    at = std::find(at, result.tokens.end(), token);
    int64_t count = picture->tokens();
    result.pictures.list.push_back(
        {std::move(picture), at - result.tokens.begin(), count});
    at += count;
  }
  return result;
}

} // namespace mbc
