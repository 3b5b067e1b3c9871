# `cmake --install build/release --prefix DIR`: the tools, libmbc.so, its headers and its CMake package.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# mbc-opt is for who builds mbc: with a compiler linked into it, it would be half of a static package.
set(TOOLS mbc mbc-translate)
if(NOT MBC_STATIC)
  list(APPEND TOOLS mbc-opt)
endif()
set_target_properties(${TOOLS} PROPERTIES
  INSTALL_RPATH $ORIGIN/../${CMAKE_INSTALL_LIBDIR}
  INSTALL_RPATH_USE_LINK_PATH ON)
install(TARGETS ${TOOLS} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS mbc_shared EXPORT mbcTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/mbc ${PROJECT_BINARY_DIR}/include/mbc
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h)
# A part of the interface: <mbc/Error.h> finds it beside itself, and nobody else does.
find_file(TL_EXPECTED_HEADER tl/expected.hpp REQUIRED)
install(FILES ${TL_EXPECTED_HEADER} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/mbc/tl)

set(PACKAGE_FOLDER ${CMAKE_INSTALL_LIBDIR}/cmake/mbc)
configure_package_config_file(lib/mbcConfig.cmake.in ${PROJECT_BINARY_DIR}/lib/mbcConfig.cmake
  INSTALL_DESTINATION ${PACKAGE_FOLDER})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/lib/mbcConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/lib/mbcConfig.cmake ${PROJECT_BINARY_DIR}/lib/mbcConfigVersion.cmake
  DESTINATION ${PACKAGE_FOLDER})
install(EXPORT mbcTargets NAMESPACE mbc:: DESTINATION ${PACKAGE_FOLDER})
if(MBC_STATIC)
  # Debian's static yaml-cpp is not position-independent: libmbc.so takes the shared one, beside it.
  find_package(yaml-cpp REQUIRED)
  install(IMPORTED_RUNTIME_ARTIFACTS yaml-cpp LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
