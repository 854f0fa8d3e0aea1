# Runs a program and compares what it prints with a file, byte for byte:
#   cmake -D PROGRAM=... [-D EXPECTED=file] -P compare_output.cmake
# Without EXPECTED only the exit code counts.
execute_process(COMMAND "${PROGRAM}" OUTPUT_VARIABLE printed RESULT_VARIABLE code)
if(NOT code STREQUAL "0")
  message(FATAL_ERROR "${PROGRAM} ended with ${code}; it had printed:\n${printed}")
endif()
if(EXPECTED)
  file(READ "${EXPECTED}" expected)
  if(NOT printed STREQUAL expected)
    message(FATAL_ERROR "${PROGRAM} did not print what ${EXPECTED} says.\n"
      "-- expected:\n${expected}\n-- printed:\n${printed}")
  endif()
endif()
message("${printed}")
