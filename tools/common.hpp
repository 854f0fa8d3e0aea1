// common: what the commands share: a node made from the command line, endpoints with their warning,
// and errors that say which step failed and what to do about it.
#pragma once

#include "postbus/tools/commands.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace tool {

/// Writes "postbus: <text>" to stderr.
void complain(std::string_view text);

/// The same for an error: the step that failed, why, and what to do about it. Answers `failed`, or
/// `usage` when the reason is the command line.
exit_code fail(std::string_view step, const postbus::error& why);

/// Runs a command with its endpoint, checked, and a node of its own; says which of the two failed.
exit_code with_node(const node_settings& how,
                    const std::function<exit_code(const std::string&, postbus::node)>& command);

/// Begins to close `from`; what happens is heard from its inbox.
void begin_close(const postbus::node& from, std::chrono::milliseconds drain);

} // namespace tool
