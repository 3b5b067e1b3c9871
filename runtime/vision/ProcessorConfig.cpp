//===- ProcessorConfig.cpp - What a processor's file says -----------------===//
#include "runtime/core/Text.h"
#include "runtime/text/Field.h"
#include "runtime/vision/PictureProcessor.h"

#include <algorithm>
#include <fmt/format.h>

namespace fs = std::filesystem;

namespace mbc::vision {

namespace {

using text::Field;

/// Names of the one processor that there is; the last one is of a revision of
/// Qwen2.5-VL's folders.
constexpr std::string_view processors[] = {
    "Qwen2VLImageProcessor", "Qwen2VLImageProcessorFast",
    "Qwen2VLImageProcessorPil", "Qwen2_5_VLImageProcessor"};

/// Pillow's number of the filter.
constexpr int64_t bicubicNumber = 3;
/// Largest side of a patch, depth and merge: far more than any model has, and
/// products of them stay small.
constexpr int64_t mostSide = 1024;

Status readCount(Field field, int64_t most, int64_t &value) {
  if (field.isNull())
    return {};
  std::optional<int64_t> found = field.json().asInt();
  if (!found || *found < 1 || *found > most)
    return field.fail(fmt::format("is {}; expected a whole number from 1 to {}",
                                  quote(field.json().dumpCompact()), most));
  value = *found;
  return {};
}

Status readNumber(Field field, double &value) {
  if (field.isNull())
    return {};
  std::optional<double> found = field.json().asDouble();
  if (!found)
    return field.fail(fmt::format("is {}; expected a number",
                                  quote(field.json().dumpCompact())));
  value = *found;
  return {};
}

/// A number for each channel, or one for all.
Status readChannels(Field field, std::array<double, 3> &values) {
  if (field.json().isNumber()) {
    MBC_TRY(readNumber(field, values[0]));
    values.fill(values[0]);
    return {};
  }
  if (field.isNull())
    return {};
  MBC_ASSIGN(std::vector<Field> items, field.elements());
  if (items.size() != values.size())
    return field.fail(fmt::format("has {} numbers; expected 3, of red, green "
                                  "and blue",
                                  items.size()));
  for (size_t i = 0; i < values.size(); ++i)
    MBC_TRY(readNumber(items[i], values[i]));
  return {};
}

Status readFlag(Field field, bool &value) {
  MBC_ASSIGN(value, field.boolean(value));
  return {};
}

/// min_pixels and max_pixels, and before them what newer files call the edges
/// of `size`, though they are counts of pixels.
Status readLimits(Field root, PictureProcessor &processor) {
  constexpr int64_t most = int64_t(1) << 40;
  if (Field size = root.at("size"); !size.isNull()) {
    if (!size.json().isObject())
      return size.fail("is no object; expected shortest_edge and longest_edge");
    for (const auto &[name, value] : size.json().members()) {
      if (name == "shortest_edge")
        MBC_TRY(readCount(size.at(name), most, processor.leastPixels));
      else if (name == "longest_edge")
        MBC_TRY(readCount(size.at(name), most, processor.mostPixels));
      else if (!value.isNull())
        return size.fail(fmt::format("has {}, which mbc does not follow; "
                                     "expected shortest_edge and longest_edge",
                                     quote(name)));
    }
  }
  MBC_TRY(readCount(root.at("min_pixels"), most, processor.leastPixels));
  return readCount(root.at("max_pixels"), most, processor.mostPixels);
}

/// Fields of transformers' processors that change the values, and have no part
/// in this one.
Status refuseOthers(Field root) {
  for (const char *name :
       {"do_center_crop", "do_pad", "do_image_splitting", "do_rescale_only"})
    if (Field field = root.at(name); !field.isNull()) {
      MBC_ASSIGN(bool on, field.boolean(false));
      if (on)
        return field.fail("is true, which mbc does not follow");
    }
  Field resample = root.at("resample");
  if (!resample.isNull() && resample.json().asInt() != bicubicNumber)
    return resample.fail(fmt::format("is {}; mbc resizes pictures with filter "
                                     "3 (bicubic) alone",
                                     quote(resample.json().dumpCompact())));
  return {};
}

} // namespace

Expected<PictureProcessor> PictureProcessor::read(const Json &json,
                                                  std::string_view name) {
  Field root(json, fmt::format("{}: ", name));
  if (!json.isObject())
    return root.fail("is no object");
  Field type = root.at("image_processor_type");
  if (type.isNull())
    type = root.at("feature_extractor_type"); // its older name
  if (!type.isNull()) {
    MBC_ASSIGN(std::string found, type.text());
    if (std::ranges::find(processors, found) == std::end(processors))
      return type.fail(fmt::format("is {}, which mbc does not know; it has "
                                   "Qwen2VLImageProcessor",
                                   quote(found)));
  }
  PictureProcessor result;
  MBC_TRY(readLimits(root, result));
  MBC_TRY(readCount(root.at("patch_size"), mostSide, result.patch));
  MBC_TRY(readCount(root.at("temporal_patch_size"), mostSide, result.frames));
  MBC_TRY(readCount(root.at("merge_size"), mostSide, result.merge));
  MBC_TRY(readFlag(root.at("do_resize"), result.resize));
  MBC_TRY(readFlag(root.at("do_rescale"), result.rescale));
  MBC_TRY(readFlag(root.at("do_normalize"), result.normalize));
  MBC_TRY(readNumber(root.at("rescale_factor"), result.factor));
  MBC_TRY(readChannels(root.at("image_mean"), result.mean));
  MBC_TRY(readChannels(root.at("image_std"), result.deviation));
  for (double deviation : result.deviation)
    if (result.normalize && static_cast<float>(deviation) == 0)
      return root.at("image_std").fail("has a 0, by which nothing is divided");
  MBC_TRY(refuseOthers(root));
  return result;
}

Expected<PictureProcessor> PictureProcessor::open(const fs::path &folder) {
  fs::path nested = folder / "processor_config.json",
           plain = folder / "preprocessor_config.json";
  std::error_code code;
  if (fs::exists(nested, code)) {
    MBC_ASSIGN(Json json, Json::parseFile(nested));
    if (const Json *member = json.find("image_processor"))
      return read(*member,
                  fmt::format("{} (image_processor)", nested.string()));
  }
  if (!fs::exists(plain, code))
    return inputError(fmt::format(
        "{}: has no preprocessor_config.json, and no processor_config.json "
        "with an image_processor: how pictures are to be prepared is not known",
        folder.string()));
  MBC_ASSIGN(Json json, Json::parseFile(plain));
  return read(json, plain.string());
}

} // namespace mbc::vision
