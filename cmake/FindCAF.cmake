# FindCAF: the core library of the C++ Actor Framework, as CAF::core. Nothing else of CAF is used.
#
# CAF 1.x brings a package of its own, which is asked first, and without a version: it would accept
# its own major version only. Debian's and Ubuntu's 0.17 brings none; then the same target is made
# from header and library. CAF_ROOT or CMAKE_PREFIX_PATH say where to look.
find_package(CAF QUIET CONFIG COMPONENTS core)

if(TARGET CAF::core)
  set(CAF_core_LOCATION "${CAF_DIR}")
else()
  find_path(CAF_INCLUDE_DIR caf/all.hpp)
  find_library(CAF_core_LIBRARY caf_core)
  mark_as_advanced(CAF_INCLUDE_DIR CAF_core_LIBRARY)
  set(CAF_core_LOCATION "${CAF_core_LIBRARY}")
  if(CAF_INCLUDE_DIR)
    # One number, 1706 for 0.17.6; 0.18 moved it to another header.
    foreach(header config.hpp detail/build_config.hpp)
      if(NOT CAF_VERSION AND EXISTS "${CAF_INCLUDE_DIR}/caf/${header}")
        file(STRINGS "${CAF_INCLUDE_DIR}/caf/${header}" line REGEX "^#define CAF_VERSION [0-9]+")
        if(line MATCHES "CAF_VERSION ([0-9]+)")
          math(EXPR CAF_VERSION_MAJOR "${CMAKE_MATCH_1} / 10000")
          math(EXPR CAF_VERSION_MINOR "${CMAKE_MATCH_1} / 100 % 100")
          math(EXPR CAF_VERSION_PATCH "${CMAKE_MATCH_1} % 100")
          set(CAF_VERSION "${CAF_VERSION_MAJOR}.${CAF_VERSION_MINOR}.${CAF_VERSION_PATCH}")
        endif()
      endif()
    endforeach()
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(CAF REQUIRED_VARS CAF_core_LOCATION VERSION_VAR CAF_VERSION
  REASON_FAILURE_MESSAGE "on Debian and Ubuntu: apt-get install libcaf-dev")

if(CAF_FOUND AND NOT TARGET CAF::core)
  find_package(Threads REQUIRED)
  add_library(CAF::core UNKNOWN IMPORTED)
  set_target_properties(CAF::core PROPERTIES
    IMPORTED_LOCATION "${CAF_core_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${CAF_INCLUDE_DIR}"
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${CAF_INCLUDE_DIR}"
    INTERFACE_LINK_LIBRARIES Threads::Threads)
  if(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL)
    set_target_properties(CAF::core PROPERTIES IMPORTED_GLOBAL ON)
  endif()
endif()
