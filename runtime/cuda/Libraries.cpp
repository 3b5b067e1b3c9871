//===- Libraries.cpp ------------------------------------------------------===//

#include "runtime/cuda/Libraries.h"

#include <cstdlib>
#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>
#include <sstream>
#include <vector>

namespace mbc::cuda {

static std::vector<std::string> folders() {
  std::vector<std::string> all;
  if (const char *given = std::getenv("MBC_CUDA_LIBRARIES")) {
    std::istringstream list(given);
    for (std::string folder; std::getline(list, folder, ':');)
      if (!folder.empty())
        all.push_back(folder + "/");
  }
  all.emplace_back(); // where the loader looks
  if (const char *home = std::getenv("CUDA_HOME"))
    all.push_back(std::string(home) + "/lib64/");
  all.emplace_back("/usr/local/cuda/lib64/");
  return all;
}

Expected<OpenLibrary> openLibrary(std::span<const char *const> names) {
  for (const std::string &folder : folders())
    for (const char *name : names)
      if (void *handle =
              dlopen((folder + name).c_str(), RTLD_NOW | RTLD_LOCAL)) {
        link_map *map = nullptr;
        dlinfo(handle, RTLD_DI_LINKMAP, &map);
        return OpenLibrary{handle, map ? map->l_name : folder + name};
      }
  return systemError(fmt::format(
      "{} is not found; where it is elsewhere than the loader looks, name its "
      "folder in MBC_CUDA_LIBRARIES",
      fmt::join(names, " or ")));
}

} // namespace mbc::cuda
