//===- Resample.h - Pictures of another size --------------------*- C++ -*-===//
#pragma once

#include "runtime/vision/Picture.h"

namespace mbc::vision {

/// The picture with another size, each side at least 1: bicubic (a = -0.5),
/// the filter being as many pixels wide as one of the result covers, so that
/// nothing aliases. Rows and columns are two passes, each rounded to 8 bits,
/// with weights of 22 bits: Pillow's resize(BICUBIC) to the bit, in the order
/// of passes that it has from version 13 on, where a height that shrinks by
/// more than twice as many pixels as the width comes first. Earlier ones always
/// begin with the width, which gives other bits where an edge overshoots.
Expected<Picture> resampleBicubic(Picture picture, int64_t width,
                                  int64_t height, unsigned threads);

} // namespace mbc::vision
