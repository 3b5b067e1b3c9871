//===- NativeCode.h - The code that a program brings ------------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"
#include "runtime/host/RowKernels.h"

#include <memory>
#include <string>
#include <vector>

namespace mbc::host {

/// Of `codeTargets` the best that this machine runs and MBC_HOST_ISA allows;
/// empty: none.
std::string_view codeTarget();

/// The functions of a program's best image. MBC_HOST_CODE=interpret leaves them
/// alone.
class NativeCode {
public:
  /// Null where no image fits the machine. A System error where the machine
  /// does not let code be loaded.
  static Expected<std::unique_ptr<NativeCode>>
  load(const program::ProgramT &program);
  ~NativeCode();
  NativeCode(const NativeCode &) = delete;
  NativeCode &operator=(const NativeCode &) = delete;

  /// Runs entry `code` for `rows` rows.
  void runRows(size_t code, std::span<const BoundView *const> operands,
               int64_t rows, ThreadPool &pool) const;

private:
  using Function = void (*)(std::byte *const *operands, int64_t begin,
                            int64_t end, std::byte *scratch);
  struct Entry {
    Function function;
    size_t scratch; ///< bytes
  };

  NativeCode() = default;

  /// Of the image. Open as long as the library: the loader takes two of one
  /// path for one.
  int file = -1;
  void *library = nullptr;
  std::vector<Entry> entries;
};

} // namespace mbc::host
