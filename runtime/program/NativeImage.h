//===- NativeImage.h - Shared objects of row kernels ------------*- C++ -*-===//
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>

namespace mbc {

/// Processors that programs hold code for, the least first: the levels of the
/// x86-64 psABI.
inline constexpr std::array<std::string_view, 2> codeTargets = {"x86-64-v3",
                                                                "x86-64-v4"};

/// What keeps bytes from being a shared object for x86-64 that defines each of
/// the functions `entries`, needs no symbol and no library, and of which
/// nothing runs when it is loaded; empty: nothing does. Reads headers and
/// tables alone.
std::string faultOfImage(std::span<const uint8_t> image,
                         const std::set<std::string_view> &entries);

} // namespace mbc
