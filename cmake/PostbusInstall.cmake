# `cmake --install`: libraries, headers under include/postbus, the tool, and the package that
# find_package(postbus) reads. The find modules go along, so the package finds its needs itself.
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/postbus")

install(TARGETS postbus ${POSTBUS_LIBRARIES} EXPORT postbusTargets FILE_SET HEADERS)
if(TARGET postbus_tool)
  install(TARGETS postbus_tool)
endif()
install(EXPORT postbusTargets NAMESPACE postbus:: DESTINATION "${package_dir}")

configure_package_config_file(cmake/postbusConfig.cmake.in postbusConfig.cmake
  INSTALL_DESTINATION "${package_dir}")
# Until 1.0 a minor version may break what was.
write_basic_package_version_file(postbusConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
  "${PROJECT_BINARY_DIR}/postbusConfig.cmake"
  "${PROJECT_BINARY_DIR}/postbusConfigVersion.cmake"
  cmake/FindCAF.cmake
  cmake/FindMsgpackCxx.cmake
  DESTINATION "${package_dir}")
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}")
