// main: the command line of `postbus`. Parses it and calls the command; prints nothing but help and
// usage errors.
#include "postbus/tools/commands.hpp"
#include "postbus/tools/signals.hpp"
#include "postbus/tools/text.hpp"

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include <map>
#include <optional>
#include <string>

namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t window_bytes_most = 256u << 20; // what a node holds in all
constexpr std::uint64_t count_most = 1'000'000'000;
constexpr std::uint64_t chunk_bytes_most = postbus::limits{}.frame_bytes_max;

/// Takes "500ms", "30s", "2m"; a number alone is in `unit`, of which there are `unit_ms` milliseconds.
CLI::Option* add_time(CLI::App& to, const std::string& name, milliseconds& into, double unit_ms,
                      const std::string& what) {
  const auto parse = [&into, unit_ms](const std::string& text) {
    const std::map<std::string, double> units = {
      {"", unit_ms}, {"ms", 1}, {"s", 1000}, {"m", 60'000}};
    const auto digits = text.find_first_not_of("0123456789.");
    const auto unit = units.find(digits == std::string::npos ? "" : text.substr(digits));
    double number = 0;
    if (unit == units.end() || !CLI::detail::lexical_cast(text.substr(0, digits), number)
        || number > 1e6)
      throw CLI::ValidationError("'" + text + "' is no time such as 500ms, 30s or 2m");
    into = milliseconds(static_cast<milliseconds::rep>(number * unit->second));
  };
  return to.add_option_function<std::string>(name, parse, what)->type_name("TIME");
}

void add_node(CLI::App& to, tool::node_settings& into) {
  to.add_option("endpoint", into.endpoint, "tcp://host:port; host:port is the same")
    ->required()
    ->type_name("ENDPOINT");
  to.add_option("--id", into.id, "This node's id, 32 hexadecimal digits [random]");
  add_time(to, "--keepalive", into.keepalive, 1000,
           "How often a quiet side says that it lives; three of them in silence, and the peer is "
           "lost [15s]");
  add_time(to, "--drain", into.drain, 1000,
           fmt::format("How long closing may take for messages on their way [{}s]",
                       into.drain / std::chrono::seconds(1)));
}

void add_demo(CLI::App& app, tool::demo_options& into) {
  auto& command =
    *app.add_subcommand("demo", "Two nodes in this process: events, messages, a measured burst");
  command.add_option("--small", into.small_messages, "Messages of 64 B in the burst")
    ->check(CLI::Range(std::uint64_t{0}, count_most))
    ->capture_default_str();
  command.add_option("--large", into.large_messages, "Messages of 1 MiB in the burst")
    ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{100'000}))
    ->capture_default_str();
}

void add_listen(CLI::App& app, tool::listen_options& into) {
  auto& command = *app.add_subcommand("listen", "Listen, and print events and messages");
  add_node(command, into.node);
  command.add_flag("--json", into.json, "Events and messages as JSON, one object a line");
  command.add_flag("--raw", into.raw, "Only the bodies of messages on stdout; events go to stderr");
  command.add_flag("--once", into.once, "Serve one peer, then exit; 1 when something was lost");
  command
    .add_option("--http", into.http,
                "Serve statistics: /metrics for Prometheus, /peers as JSON. A port alone means "
                "127.0.0.1, port 0 a free one")
    ->type_name("ADDR");
  command
    .add_option("--window", into.node.window_bytes,
                "What a peer may send ahead of what was written, at most [4M]")
    ->transform(CLI::AsSizeValue(false))
    ->check(CLI::Range(std::uint64_t{1}, window_bytes_most))
    ->type_name("SIZE");
}

void add_send(CLI::App& app, tool::send_options& into) {
  auto& command = *app.add_subcommand(
    "send", "Send each line, or a file in pieces, and wait until all is confirmed");
  add_node(command, into.node);
  command.add_option("file", into.file, "What to send; - is stdin")->capture_default_str();
  command
    .add_option("--chunk", into.chunk_bytes, "Send pieces of this size (64K, 1M) instead of lines")
    ->transform(CLI::AsSizeValue(false))
    ->check(CLI::Range(std::uint64_t{1}, chunk_bytes_most))
    ->type_name("SIZE");
  add_time(command, "--timeout", into.timeout, 1000, "For connecting [10s]");
  command.add_flag("--progress", into.progress, "Show progress also when stderr is no terminal");
}

void add_ping(CLI::App& app, tool::ping_options& into) {
  auto& command = *app.add_subcommand("ping", "Measure round trips to a `postbus listen`");
  add_node(command, into.node);
  command.add_option("--count,-c", into.count, "Round trips; 0 for no end")
    ->check(CLI::Range(std::uint64_t{0}, count_most))
    ->capture_default_str();
  add_time(command, "--interval,-i", into.interval, 1,
           "Between them, in milliseconds or with a unit [200ms]");
  add_time(command, "--timeout", into.timeout, 1000, "For connecting, and for each answer [5s]");
  command.add_option("--size,-s", into.size_bytes, "Bytes of a request")
    ->transform(CLI::AsSizeValue(false))
    ->check(CLI::Range(std::uint64_t{8}, std::uint64_t{1} << 20))
    ->capture_default_str();
  command.add_flag("--quiet,-q", into.quiet, "Only the summary");
}

CLI::App& add_statistics(CLI::App& app, const std::string& name, const std::string& what,
                         tool::stats_options& into) {
  auto& command = *app.add_subcommand(name, what);
  command
    .add_option("url", into.url,
                "http://host:port of a `postbus listen --http`; a port alone means 127.0.0.1")
    ->required()
    ->type_name("URL");
  add_time(command, "--timeout", into.timeout, 1000, "For each answer [5s]");
  return command;
}

void add_stats(CLI::App& app, tool::stats_options& into) {
  auto& command = add_statistics(app, "stats", "Print what a running node has done", into);
  auto* json = command.add_flag("--json", into.json, "As JSON, as it came");
  command.add_flag("--prometheus", into.prometheus, "As Prometheus' text, as it came")
    ->excludes(json);
}

// "demo, listen, send".
std::string commands_of(const CLI::App& app) {
  std::string names;
  for (const auto* each : app.get_subcommands([](const CLI::App*) { return true; }))
    names += (names.empty() ? "" : ", ") + each->get_name();
  return names;
}

// The first word, when it is no command and no option either.
std::optional<std::string> unknown_command(const CLI::App& app, int count, char** arguments) {
  const std::string word = count < 2 ? "-" : arguments[1];
  const auto is_it = [&](const CLI::App* command) { return command->get_name() == word; };
  if (word.starts_with('-') || !app.get_subcommands(is_it).empty())
    return std::nullopt;
  return tool::printable(word);
}

// What is said of a command line that makes no sense, and where to read on.
std::string complaint(const CLI::App* app, const CLI::Error& what) {
  const auto chosen = app->get_subcommands();
  if (chosen.empty())
    return fmt::format("postbus: {}\npostbus: a command is one of {}; see `postbus --help`\n",
                       what.what(), commands_of(*app));
  return fmt::format("postbus: {}\npostbus: see `postbus {} --help`\n", what.what(),
                     chosen.front()->get_name());
}

} // namespace

int main(int count, char** arguments) {
  CLI::App app(
    "Postbus: nodes that exchange messages. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 or "
    "143 ended at once by Ctrl-C or SIGTERM.",
    "postbus");
  app.footer("In one terminal, and then in another:\n"
             "  postbus listen 127.0.0.1:4000\n"
             "  echo hello | postbus send 127.0.0.1:4000\n");
  app.failure_message(complaint);
  app.set_version_flag("--version", "postbus " POSTBUS_VERSION);
  app.require_subcommand(1);
  tool::demo_options demo;
  tool::listen_options listen;
  tool::send_options send;
  tool::ping_options ping;
  tool::stats_options stats;
  add_demo(app, demo);
  add_listen(app, listen);
  add_send(app, send);
  add_ping(app, ping);
  add_stats(app, stats);
  add_statistics(app, "top", "Watch what a running node does, anew each second, until Ctrl-C",
                 stats);
  if (const auto unknown = unknown_command(app, count, arguments)) {
    fmt::print(stderr, "postbus: there is no command '{}'; there are {}\n", *unknown,
               commands_of(app));
    return static_cast<int>(tool::exit_code::usage);
  }
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& what) {
    return app.exit(what) == 0 ? 0 : static_cast<int>(tool::exit_code::usage);
  }

  tool::signals::install();
  try {
    if (app.got_subcommand("demo"))
      return static_cast<int>(tool::demo(demo));
    if (app.got_subcommand("listen"))
      return static_cast<int>(tool::listen(listen));
    if (app.got_subcommand("send"))
      return static_cast<int>(tool::send(send));
    if (app.got_subcommand("ping"))
      return static_cast<int>(tool::ping(ping));
    return static_cast<int>(app.got_subcommand("top") ? tool::top(stats) : tool::stats(stats));
  } catch (const std::exception& what) { // no memory, no threads
    fmt::print(stderr, "postbus: {}\n", what.what());
    return static_cast<int>(tool::exit_code::failed);
  }
}
