//===- EncodedPrompt.h - Tokens and the pictures among them -----*- C++ -*-===//
#pragma once

#include "runtime/vision/PreparedPicture.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace mbc::generate {

/// A picture in a prompt: its tokens are [first, first + count).
struct PlacedPicture {
  /// Null once nobody needs to look at it any more.
  std::shared_ptr<const vision::PreparedPicture> picture;
  int64_t first = 0, count = 0;
};

/// What a prompt shows, besides its tokens.
struct Pictures {
  std::vector<PlacedPicture> list; ///< in the order of their tokens
  /// [prompt, 3], time, row and column of each token; empty without pictures.
  std::vector<int32_t> positions;
  int32_t next = 0; ///< all three numbers of the token behind the prompt
};

/// A prompt as a model takes it.
struct EncodedPrompt {
  std::vector<int32_t> tokens;
  Pictures pictures = {};
};

/// Which picture tokens [first, first + count) stand for: what is left of it
/// when it has been computed.
struct PictureMark {
  int64_t first = 0, count = 0;
  std::string digest;
  bool operator==(const PictureMark &) const = default;
};

} // namespace mbc::generate
