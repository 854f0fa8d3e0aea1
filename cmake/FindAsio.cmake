# FindAsio: Asio without Boost, headers only, as Asio::asio. It brings no CMake package of its own.
find_path(Asio_INCLUDE_DIR asio.hpp)
mark_as_advanced(Asio_INCLUDE_DIR)
if(Asio_INCLUDE_DIR AND EXISTS "${Asio_INCLUDE_DIR}/asio/version.hpp")
  # One number, 102201 for 1.22.1.
  file(STRINGS "${Asio_INCLUDE_DIR}/asio/version.hpp" line REGEX "^#define ASIO_VERSION [0-9]+")
  if(line MATCHES "ASIO_VERSION ([0-9]+)")
    math(EXPR Asio_VERSION_MAJOR "${CMAKE_MATCH_1} / 100000")
    math(EXPR Asio_VERSION_MINOR "${CMAKE_MATCH_1} / 100 % 1000")
    math(EXPR Asio_VERSION_PATCH "${CMAKE_MATCH_1} % 100")
    set(Asio_VERSION "${Asio_VERSION_MAJOR}.${Asio_VERSION_MINOR}.${Asio_VERSION_PATCH}")
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Asio REQUIRED_VARS Asio_INCLUDE_DIR VERSION_VAR Asio_VERSION
  REASON_FAILURE_MESSAGE "on Debian and Ubuntu: apt-get install libasio-dev")

if(Asio_FOUND AND NOT TARGET Asio::asio)
  find_package(Threads REQUIRED)
  add_library(Asio::asio INTERFACE IMPORTED)
  set_target_properties(Asio::asio PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${Asio_INCLUDE_DIR}"
    INTERFACE_LINK_LIBRARIES Threads::Threads)
  if(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL)
    set_target_properties(Asio::asio PROPERTIES IMPORTED_GLOBAL ON)
  endif()
endif()
