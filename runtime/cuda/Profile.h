//===- Profile.h - What a GPU was busy with, by name ------------*- C++ -*-===//
#pragma once

#include "runtime/cuda/Driver.h"

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace mbc::cuda {

/// Times of the device for each kernel, from an event before and one after
/// each launch. They keep kernels from overlapping, and an empty pair takes a
/// microsecond or two of its own.
class Profile {
public:
  struct Entry {
    uint64_t launches = 0;
    double milliseconds = 0;
  };

  explicit Profile(const Driver &api) : api(api) {}
  ~Profile();
  Profile(const Profile &) = delete;

  /// `launch` puts work on `stream`.
  template <typename Launch>
  Status time(const std::string &name, CUstream stream, Launch launch) {
    MBC_TRY(mark(stream));
    MBC_TRY(launch());
    names.push_back(name);
    return mark(stream);
  }
  /// What was launched since the last call of this; the stream must be idle.
  Expected<std::map<std::string, Entry>> collect();

private:
  Status mark(CUstream stream);

  const Driver &api;
  /// Two for each name.
  std::vector<CUevent> events;
  std::vector<std::string> names;
  size_t used = 0;
};

} // namespace mbc::cuda
