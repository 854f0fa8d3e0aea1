# FindHttplib: cpp-httplib, as Httplib::httplib. Debian and Ubuntu compile it into a library, with all its
# options on; elsewhere it is one header, whose options are all off unless asked for.
find_path(Httplib_INCLUDE_DIR httplib.h)
find_library(Httplib_LIBRARY cpp-httplib)
mark_as_advanced(Httplib_INCLUDE_DIR Httplib_LIBRARY)
if(Httplib_INCLUDE_DIR)
  file(STRINGS "${Httplib_INCLUDE_DIR}/httplib.h" line REGEX "^#define CPPHTTPLIB_VERSION \"")
  if(line MATCHES "\"([0-9.]+)\"")
    set(Httplib_VERSION "${CMAKE_MATCH_1}")
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Httplib REQUIRED_VARS Httplib_INCLUDE_DIR
  VERSION_VAR Httplib_VERSION
  REASON_FAILURE_MESSAGE "on Debian and Ubuntu: apt-get install libcpp-httplib-dev")

if(Httplib_FOUND AND NOT TARGET Httplib::httplib)
  find_package(Threads REQUIRED)
  add_library(Httplib::httplib INTERFACE IMPORTED)
  set_target_properties(Httplib::httplib PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${Httplib_INCLUDE_DIR}"
    INTERFACE_LINK_LIBRARIES Threads::Threads)
  if(Httplib_LIBRARY)
    # The options decide how large its classes are: they must be those it was compiled with.
    set_target_properties(Httplib::httplib PROPERTIES
      INTERFACE_LINK_LIBRARIES "${Httplib_LIBRARY};Threads::Threads"
      INTERFACE_COMPILE_DEFINITIONS
        "CPPHTTPLIB_OPENSSL_SUPPORT;CPPHTTPLIB_ZLIB_SUPPORT;CPPHTTPLIB_BROTLI_SUPPORT")
  endif()
  if(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL)
    set_target_properties(Httplib::httplib PROPERTIES IMPORTED_GLOBAL ON)
  endif()
endif()
