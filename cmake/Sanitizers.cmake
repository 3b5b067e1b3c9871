# MBC_SANITIZE builds everything with a sanitizer of the compiler:
#   address   AddressSanitizer (with leaks) and UndefinedBehaviorSanitizer
#   thread    ThreadSanitizer
# MBC_FUZZ makes the programs of test/Fuzz fuzzers.
# Run-time options are compiled in: see SanitizerOptions.cpp.
set(MBC_SANITIZE "" CACHE STRING "Sanitizers: address, thread, or none")
set_property(CACHE MBC_SANITIZE PROPERTY STRINGS "" address thread)
option(MBC_FUZZ "Build test/Fuzz with libFuzzer" OFF)

set(flags)
if(MBC_SANITIZE STREQUAL "address")
  # vptr needs run-time type information, which not all of LLVM has.
  set(flags "-fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined")
elseif(MBC_SANITIZE STREQUAL "thread")
  set(flags "-fsanitize=thread")
elseif(MBC_SANITIZE)
  message(FATAL_ERROR "MBC_SANITIZE is '${MBC_SANITIZE}'; expected address or thread")
endif()
if(flags)
  string(TOUPPER "${CMAKE_BUILD_TYPE}" type)
  string(APPEND CMAKE_CXX_FLAGS_${type} " ${flags} -fno-omit-frame-pointer")
  string(APPEND CMAKE_EXE_LINKER_FLAGS " ${flags}")
endif()

# For folders whose code reads input: libFuzzer looks for inputs that take new
# paths there. Elsewhere counters would cost speed and tell nothing.
macro(mbc_count_coverage)
  if(MBC_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
  endif()
endmacro()

if(MBC_SANITIZE)
  # An object library, so that no program can leave the options out.
  add_library(MBCSanitizerOptions OBJECT ${CMAKE_CURRENT_LIST_DIR}/SanitizerOptions.cpp)
  link_libraries($<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:MBCSanitizerOptions>)
endif()
