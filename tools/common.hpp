// common: what the commands share: a node made from the command line, endpoints with their warning,
// and errors that say which step failed and what to do about it.
#pragma once

#include "postbus/tools/commands.hpp"

#include <string>
#include <string_view>

namespace tool {

/// Writes "postbus: <text>" to stderr.
void complain(std::string_view text);

/// The same for an error: the step that failed, why, and what to do about it. Answers `failed`, or
/// `usage` when the reason is the command line.
exit_code fail(std::string_view step, const postbus::error& why);

/// The endpoint as Postbus writes it. Warns when it is a bare host:port of another machine.
[[nodiscard]] postbus::result<std::string> checked_endpoint(const std::string& text);

/// A node with the settings of the command line. It never closes because it is idle: whether there
/// is anything to send is up to whoever types.
[[nodiscard]] postbus::result<postbus::node> make_node(postbus::runtime& bus,
                                                       const node_settings& how);

/// Begins to close `from`; what happens is heard from its inbox.
void begin_close(const postbus::node& from, std::chrono::milliseconds drain);

} // namespace tool
