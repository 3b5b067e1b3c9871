//===- Record.cpp - What an import leaves beside a checkpoint -------------===//
//
// An input is source.json; what it names is there. The same bytes are read as
// manifest.json, whose members have other names, so that one corpus serves.

#include "compiler/Bridge/Manifest.h"
#include "compiler/Bridge/SourceRecord.h"
#include "test/Fuzz/FuzzTarget.h"

#include <algorithm>
#include <fstream>
#include <unistd.h>

using namespace mbc;
namespace fs = std::filesystem;

const fuzz::MemoryLimit fuzz::memoryLimit{200, 1 << 17};

namespace {

/// An iteration folder whose two files are the input.
class IterationFolder {
public:
  IterationFolder()
      : root(fs::temp_directory_path() /
             ("mbc-fuzz-record-" + std::to_string(getpid()))) {
    fs::create_directories(root / "mbc/headers");
    fs::create_directories(root / "mbc/files");
    fs::create_symlink(file.path(), root / "mbc/source.json");
    fs::create_symlink(file.path(), root / "mbc/manifest.json");
    for (const char *shard : {"a.safetensors", "b.safetensors"})
      write(std::string("headers/") + shard + ".json",
            std::string("{\"") + shard[0] +
                "\":{\"dtype\":\"BF16\",\"shape\":[2],"
                "\"data_offsets\":[0,4]}}");
    write("headers/index.json", "{\"weight_map\":{\"a\":\"a.safetensors\","
                                "\"b\":\"b.safetensors\"}}");
    write("files/config.json", "{}");
  }
  ~IterationFolder() {
    std::error_code ignored;
    fs::remove_all(root, ignored);
  }

  fs::path root;
  fuzz::MemoryFile file;

private:
  void write(const std::string &name, const std::string &text) {
    std::ofstream(root / "mbc" / name) << text;
  }
};

} // namespace

void fuzz::fuzz(std::string_view input) {
  static IterationFolder folder;
  folder.file.set(input);
  if (auto record = SourceRecord::open(folder.root)) {
    MBC_FUZZ_REQUIRE(*record && !(*record)->layout().empty());
    size_t tensors = 0;
    for (const HfShardLayout &shard : (*record)->layout()) {
      MBC_FUZZ_REQUIRE(shard.file.find('/') == shard.file.npos);
      tensors += shard.tensors.size();
    }
    MBC_FUZZ_REQUIRE(tensors == (*record)->tensors().size());
    for (const std::string &side : (*record)->sideFiles())
      MBC_FUZZ_REQUIRE(fs::exists((*record)->filesFolder() / side));
    MBC_FUZZ_REQUIRE((*record)->indexName().empty() ==
                     (*record)->rawIndex().empty());
  }
  if (auto manifest = Manifest::open(folder.root)) {
    MBC_FUZZ_REQUIRE(*manifest);
    for (const auto &[name, digest] : (*manifest)->tensors())
      MBC_FUZZ_REQUIRE(digest.size() == 32);
    for (const auto &[name, file] : (*manifest)->files())
      MBC_FUZZ_REQUIRE(file.digest.size() == 32 &&
                       (file.sha256.empty() || file.sha256.size() == 64));
  }
}
