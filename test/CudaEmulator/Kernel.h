//===- Kernel.h - Kernels by name -------------------------------*- C++ -*-===//
#pragma once

#include <string_view>
#include <type_traits>
#include <utility>

namespace mbc::emulator {

/// A kernel that became a C++ function. Static: it enters itself in the list.
class Kernel {
public:
  /// Calls the function with the parameters that a launch lists.
  using Run = void (*)(void **);

  Kernel(std::string_view name, Run run);
  static const Kernel *find(std::string_view name);

  const Run run;

private:
  const std::string_view name;
  const Kernel *const next;
};

template <typename... Arguments, size_t... I>
void callWith(void (*kernel)(Arguments...), void **list,
              std::index_sequence<I...>) {
  kernel(*static_cast<std::remove_reference_t<Arguments> *>(list[I])...);
}
template <typename... Arguments>
void callWith(void (*kernel)(Arguments...), void **list) {
  callWith(kernel, list, std::index_sequence_for<Arguments...>());
}

#define MBC_EMULATE(name)                                                      \
  static const mbc::emulator::Kernel emulated_##name(                          \
      #name, [](void **list) { mbc::emulator::callWith(&name, list); });

} // namespace mbc::emulator
