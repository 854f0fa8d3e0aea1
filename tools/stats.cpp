// stats, top: the statistics of a running `postbus listen --http`, once, or anew each second.
#include "postbus/tools/commands.hpp"
#include "postbus/tools/common.hpp"
#include "postbus/tools/http.hpp"
#include "postbus/tools/signals.hpp"
#include "postbus/tools/statistics_text.hpp"

#include <fmt/core.h>

#include <cstdio>

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace tool {

namespace {

constexpr auto refresh_time = std::chrono::milliseconds(1000);

exit_code print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    complain("writing to stdout failed");
    return exit_code::failed;
  }
  return exit_code::ok;
}

/// The terminal's other screen, which leaves what was on the first as it was.
class screen {
public:
  screen() { write("\x1b[?1049h\x1b[?25l"); }
  screen(const screen&) = delete;
  screen& operator=(const screen&) = delete;
  ~screen() { write("\x1b[?25h\x1b[?1049l"); }

  /// Lines that it has room for, and columns.
  [[nodiscard]] static winsize size() {
    winsize room{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &room) != 0 || room.ws_row == 0 || room.ws_col == 0)
      room.ws_row = 24, room.ws_col = 80;
    return room;
  }

  /// In the place of what it shows: line over line, so that nothing flickers.
  void show(std::string_view page) {
    std::string out = "\x1b[H";
    const auto columns = size().ws_col;
    while (!page.empty()) {
      const auto end = page.find('\n');
      out.append(page.substr(0, std::min<std::size_t>(end, columns))).append("\x1b[K\r\n");
      page.remove_prefix(end + 1);
    }
    write(out + "\x1b[J");
  }

private:
  static void write(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }
};

/// False when it was asked to stop.
bool wait_for_refresh() {
  pollfd stop{signals::stop_descriptor(), POLLIN, 0};
  (void)::poll(&stop, 1, static_cast<int>(refresh_time.count()));
  return !signals::stop_asked();
}

exit_code fail_asking(const postbus::error& why) {
  const auto ends = fail("asking for statistics", why);
  if (why.code == postbus::errc::connect_failed)
    complain("it must have been started with --http");
  return ends;
}

} // namespace

exit_code stats(const stats_options& how) {
  const auto from = http_url(how.url);
  if (!from)
    return fail(how.url, from.error());
  const auto got = http_get(*from, how.prometheus ? "/metrics" : "/peers", how.timeout);
  if (!got)
    return fail_asking(got.error());
  if (how.prometheus)
    return print(*got);
  if (how.json)
    return print(*got + "\n");
  const auto page = page_of(*got);
  return page ? print(*page) : fail("reading statistics", page.error());
}

exit_code top(const stats_options& how) {
  if (::isatty(STDOUT_FILENO) == 0)
    return stats(how);
  const auto from = http_url(how.url);
  if (!from)
    return fail(how.url, from.error());
  signals::drain_on_first(false);
  std::optional<screen> shown; // only once there is something to show
  do {
    const auto got = http_get(*from, "/peers", how.timeout);
    const auto lines = static_cast<std::size_t>(screen::size().ws_row - 1);
    const auto page = got ? page_of(*got, lines) : postbus::result<std::string>(got.error());
    if (!page) {
      shown.reset(); // so that the reason is seen
      return got ? fail("reading statistics", page.error()) : fail_asking(page.error());
    }
    if (!shown)
      shown.emplace();
    shown->show(*page);
  } while (wait_for_refresh());
  return exit_code::ok;
}

} // namespace tool
