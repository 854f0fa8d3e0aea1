# FindMsgpackCxx: msgpack-c for C++, as Msgpack::cxx. Headers only.
#
# Its own package is called msgpack-cxx from version 5. Up to version 4 (Debian 12) its target is
# called msgpackc-cxx, and its file msgpack-config.cmake lies in a folder of another name, which
# NAMES finds. Boost stays switched on in it: without Boost it does not adapt std::chrono.
find_package(msgpack-cxx QUIET CONFIG)
if(NOT TARGET msgpack-cxx)
  find_package(msgpackc-cxx QUIET CONFIG NAMES msgpackc-cxx msgpack)
endif()
foreach(name msgpack-cxx msgpackc-cxx)
  if(TARGET ${name} AND NOT MsgpackCxx_TARGET)
    set(MsgpackCxx_TARGET ${name})
    set(MsgpackCxx_VERSION "${${name}_VERSION}")
  endif()
endforeach()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(MsgpackCxx REQUIRED_VARS MsgpackCxx_TARGET
  VERSION_VAR MsgpackCxx_VERSION
  REASON_FAILURE_MESSAGE "on Debian and Ubuntu: apt-get install libmsgpack-cxx-dev")

if(MsgpackCxx_FOUND AND NOT TARGET Msgpack::cxx)
  add_library(Msgpack::cxx INTERFACE IMPORTED)
  target_link_libraries(Msgpack::cxx INTERFACE ${MsgpackCxx_TARGET})
  if(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL)
    set_target_properties(Msgpack::cxx PROPERTIES IMPORTED_GLOBAL ON)
  endif()
endif()
