// main: the doctest runner that every test program links. Takes doctest's own options.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
