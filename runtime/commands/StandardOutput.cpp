//===- StandardOutput.cpp -------------------------------------------------===//
#include "runtime/commands/StandardOutput.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fmt/format.h>

namespace mbc {

Expected<bool> writeOutput(std::string_view text) {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
      std::fflush(stdout) == 0)
    return true;
  if (errno == EPIPE)
    return false;
  return systemError(
      fmt::format("stdout: cannot write: {}", std::strerror(errno)));
}

} // namespace mbc
