//===- Kernel.h - Kernels by name -------------------------------*- C++ -*-===//
#pragma once

#include <functional>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

namespace mbc::emulator {

/// A kernel that became a C++ function. Static: it enters itself in the list.
class Kernel {
public:
  /// The function's call with the parameters that a launch lists, which are
  /// copied.
  using Bind = std::function<void()> (*)(void **);

  Kernel(const char *name, Bind bind);
  /// All there are.
  static std::vector<const Kernel *> all();

  const char *const name;
  const Bind bind;

private:
  const Kernel *const next;
};

template <typename... Arguments, size_t... I>
std::function<void()> callWith(void (*kernel)(Arguments...), void **list,
                               std::index_sequence<I...>) {
  return [kernel,
          copied = std::tuple<std::decay_t<Arguments>...>(
              *static_cast<std::remove_reference_t<Arguments> *>(list[I])...)] {
    std::apply(kernel, copied);
  };
}
template <typename... Arguments>
std::function<void()> callWith(void (*kernel)(Arguments...), void **list) {
  return callWith(kernel, list, std::index_sequence_for<Arguments...>());
}

#define MBC_EMULATE(name)                                                      \
  static const mbc::emulator::Kernel emulated_##name(#name, [](void **list) {  \
    return mbc::emulator::callWith(&name, list);                               \
  });

} // namespace mbc::emulator
