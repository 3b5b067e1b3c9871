//===- picture_probe.cpp - Reads and prepares pictures for parity tests ---===//
//
// A JSON object a line: {"picture": FILE, "output": FILE}, and "processor", the
// object of a preprocessor_config.json. Writes the pixels as bytes [height,
// width, 3], or with a processor the pixel values as float32, and prints
// {"shape": [...], "seconds": S}, the shape being the grid of a processor's, or
// {"error": MESSAGE}.
//
//===----------------------------------------------------------------------===//

#include "runtime/core/File.h"
#include "runtime/core/Parallel.h"
#include "runtime/vision/PictureProcessor.h"

#include <chrono>
#include <iostream>
#include <string>

using namespace mbc;

static Expected<Json> probe(const Json &request) {
  auto start = std::chrono::steady_clock::now();
  std::string file = *request.find("picture")->asString();
  MBC_ASSIGN(vision::Picture picture, vision::readPicture(file));
  Json shape = Json::array({picture.height, picture.width, 3});
  std::string_view bytes(reinterpret_cast<char *>(picture.pixels.get()),
                         picture.height * picture.width * 3);
  vision::PatchValues values;
  if (const Json *config = request.find("processor")) {
    MBC_ASSIGN(auto processor,
               vision::PictureProcessor::read(*config, "processor"));
    MBC_ASSIGN(auto prepared,
               processor.prepare(std::move(picture), file, defaultThreads()));
    MBC_ASSIGN(values, prepared.values(defaultThreads()));
    shape = Json::array(
        {prepared.grid.frames, prepared.grid.rows, prepared.grid.columns});
    bytes = {reinterpret_cast<const char *>(values.values.get()),
             values.count * sizeof(float)};
  }
  std::chrono::duration<double> spent =
      std::chrono::steady_clock::now() - start;
  if (const Json *output = request.find("output"))
    MBC_TRY(writeWholeFile(*output->asString(), bytes));
  return Json::object({{"shape", shape}, {"seconds", spent.count()}});
}

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    auto request = Json::parse(line, "request");
    auto answer = request ? probe(*request) : Failure(request.error());
    if (!answer)
      answer = Json::object({{"error", answer.error().message}});
    std::cout << answer->dumpCompact() << std::endl;
  }
}
