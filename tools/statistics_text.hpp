// statistics_text: the statistics of a node, as `/peers` tells them, on a page for people.
#pragma once

#include "postbus/codecs/result.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace tool {

/// The page, each line with its newline. Busy connections first. At most `lines_max` lines, cut where there
/// are more. Fails when `json` is not what `/peers` tells.
[[nodiscard]] postbus::result<std::string> page_of(std::string_view json,
                                                   std::size_t lines_max = SIZE_MAX);

} // namespace tool
