# Configures, builds and runs one consumer project, as somebody who uses Postbus would.
# Its build folder stays, so a second run only does what has changed.
set(build "${POSTBUS_BINARY_DIR}/tests/consumer/${CONSUMER}")

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code)
  if(NOT code STREQUAL "0")
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "ended with ${code}: ${command}")
  endif()
endfunction()

if(CONSUMER STREQUAL "find_package")
  set(prefix "${POSTBUS_BINARY_DIR}/tests/consumer/prefix")
  file(REMOVE_RECURSE "${prefix}") # what was installed before must not help
  run("${CMAKE_COMMAND}" --install "${POSTBUS_BINARY_DIR}" --prefix "${prefix}")
  set(where "-DCMAKE_PREFIX_PATH=${prefix}")
else()
  set(where "-DPOSTBUS_SOURCE_DIR=${POSTBUS_SOURCE_DIR}")
endif()

run("${CMAKE_COMMAND}" -S "${SOURCE_DIR}" -B "${build}" -G "${GENERATOR}" "${where}"
  "-DCMAKE_CXX_COMPILER=${COMPILER}" "-DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}"
  -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O0)
run("${CMAKE_COMMAND}" --build "${build}" --parallel 2)
run("${build}/consumer")
