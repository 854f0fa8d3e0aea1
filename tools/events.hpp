// events: a node's events and messages as lines for people or as JSON, one object a line.
#pragma once

#include "postbus/postbus.hpp"

#include <string>
#include <string_view>

namespace tool {

/// True when a connection that ended so has ended in order.
[[nodiscard]] bool is_ordinary(postbus::errc reason) noexcept;

// For people, without the newline.
[[nodiscard]] std::string line_of(const postbus::node_event& event);
[[nodiscard]] std::string line_of(const postbus::message& message);

// The same as JSON, without the newline.
[[nodiscard]] std::string json_of(const postbus::node_event& event);
[[nodiscard]] std::string json_of(const postbus::message& message);

} // namespace tool
