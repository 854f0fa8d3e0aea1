#include "postbus/tools/progress.hpp"

#include "postbus/tools/text.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>

#include <unistd.h>

namespace tool {

progress::progress(std::uint64_t total_bytes, bool asked_for)
  : total_bytes_(total_bytes), on_terminal_(::isatty(STDERR_FILENO) == 1),
    shows_(on_terminal_ || asked_for) {}

void progress::show(std::uint64_t messages, std::uint64_t bytes, std::string_view doing) {
  if (!shows_)
    return;
  const auto now = clock::now();
  if (now < next_)
    return;
  next_ = now + std::chrono::milliseconds(on_terminal_ ? 100 : 1000);
  const auto seconds = std::chrono::duration<double>(now - begun_).count();
  auto text =
    fmt::format("{}: {}, {}, {}/s", doing, counted(messages, "message"), bytes_text(bytes),
                bytes_text(static_cast<std::uint64_t>(static_cast<double>(bytes) / seconds)));
  if (total_bytes_ > 0) {
    constexpr std::size_t width = 24;
    const auto part = std::min(1.0, static_cast<double>(bytes) / static_cast<double>(total_bytes_));
    const auto full = static_cast<std::size_t>(part * static_cast<double>(width));
    text = fmt::format("[{:<{}}] {:3.0f} %  {}", std::string(full, '#'), width, 100 * part, text);
  }
  if (on_terminal_)
    fmt::print(stderr, "\r{}\x1b[K", text);
  else
    fmt::print(stderr, "{}\n", text);
  std::fflush(stderr);
  drawn_ = true;
}

void progress::clear() {
  if (drawn_ && on_terminal_)
    fmt::print(stderr, "\r\x1b[K");
  drawn_ = false;
}

std::chrono::nanoseconds progress::elapsed() const {
  return clock::now() - begun_;
}

} // namespace tool
