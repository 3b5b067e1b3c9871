//===- See.h - The features of pictures -------------------------*- C++ -*-===//
#pragma once

#include "runtime/program/Program.h"
#include "runtime/program/Session.h"
#include "runtime/vision/Patches.h"

namespace mbc::execute {

/// Kind of the functions that give features of pictures.
inline constexpr const char *seeFunction = "see";

/// The features of pictures, [tokens of all pictures, hidden], in the order of
/// the tokens that they take the places of. `pixels`: the patches of all
/// pictures as a processor gives them, [patches, channels * frames * patch *
/// patch]. A call takes as many pictures as fit; a picture has the same bits in
/// any company. An Input error for pixels of another size, and for a picture
/// that no function of the program takes whole.
Expected<std::vector<float>> see(Session &session,
                                 const program::ProgramT &program,
                                 std::span<const float> pixels,
                                 std::span<const PatchGrid> grids);

/// Numbers of a patch: channels x frames x patch x patch.
int64_t patchNumbers(const program::VisionT &vision);

} // namespace mbc::execute
