#include "postbus/tools/common.hpp"

#include "postbus/tools/text.hpp"

#include <fmt/core.h>

#include <cstdio>

namespace tool {

namespace {

// The endpoint as Postbus writes it. Warns when it is a bare host:port of another machine.
postbus::result<std::string> checked_endpoint(const std::string& text) {
  const auto where = postbus::endpoint::parse(text);
  if (!where)
    return where.error();
  if (text.find("://") == std::string::npos && !where->is_local())
    complain(fmt::format("warning: {} is taken as {}, which is neither encrypted nor authenticated",
                         text, to_string(*where)));
  return to_string(*where);
}

// It never closes because it is idle: whether there is anything to send is up to whoever types.
postbus::result<postbus::node> make_node(postbus::runtime& bus, const node_settings& how) {
  postbus::node_options made;
  if (!how.id.empty()) {
    auto id = postbus::node_id::parse(how.id);
    if (!id)
      return id.error();
    made.id = *id;
  }
  auto& bounds = made.bounds;
  bounds.keepalive_time = how.keepalive;
  bounds.idle_time_max = std::chrono::hours(24 * 365);
  bounds.drain_time_max = how.drain;
  bounds.window_bytes_max = static_cast<std::size_t>(how.window_bytes);
  bounds.window_bytes_min = std::min(bounds.window_bytes_min, bounds.window_bytes_max);
  return bus.try_spawn_node(std::move(made));
}

} // namespace

namespace {

/// What somebody who reads of `code` may want to do; empty when there is nothing to say.
std::string_view hint(postbus::errc code) {
  using postbus::errc;
  switch (code) {
  case errc::connect_failed:
    return "is `postbus listen` running there?";
  case errc::timeout:
  case errc::handshake_timeout:
    return "is the address right, and does a firewall let it through?";
  case errc::resolve_failed:
    return "check the spelling of the host name";
  case errc::listen_failed:
    return "choose another port, or port 0 to be given one";
  case errc::bad_endpoint:
    return "write it as tcp://host:port, such as tcp://127.0.0.1:4000";
  case errc::not_postbus:
  case errc::version_unsupported:
    return "what listens there is not this version of Postbus";
  case errc::wrong_node:
    return "leave out the id before '@' to accept whoever answers";
  case errc::id_in_use:
    return "choose another --id";
  case errc::peer_lost:
  case errc::peer_too_slow:
    return "the program there is stopped or the network is down";
  case errc::connection_cut:
  case errc::connection_reset:
    return "the program there has ended without a goodbye";
  default:
    return {};
  }
}

} // namespace

void complain(std::string_view text) {
  std::fflush(stdout);
  fmt::print(stderr, "postbus: {}\n", text);
}

exit_code fail(std::string_view step, const postbus::error& why) {
  complain(fmt::format("{}: {}", step, printable(to_string(why))));
  if (const auto advice = hint(why.code); !advice.empty())
    complain(advice);
  const auto is_usage =
    why.code == postbus::errc::bad_endpoint || why.code == postbus::errc::bad_option;
  return is_usage ? exit_code::usage : exit_code::failed;
}

exit_code with_node(const node_settings& how,
                    const std::function<exit_code(const std::string&, postbus::node)>& command) {
  const auto endpoint = checked_endpoint(how.endpoint);
  if (!endpoint)
    return fail(how.endpoint, endpoint.error());
  postbus::runtime bus;
  auto made = make_node(bus, how);
  if (!made)
    return fail("making a node", made.error());
  return command(*endpoint, *std::move(made));
}

void begin_close(const postbus::node& from, std::chrono::milliseconds drain) {
  postbus::post(from.actor(), postbus::close_node{.drain = drain});
}

} // namespace tool
