#include "postbus/tools/output.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>

#include <poll.h>

namespace tool {

namespace {

constexpr std::size_t gathered_bytes_max = 256u << 10;
constexpr std::size_t gathered_pieces_max = IOV_MAX;

} // namespace

void output::line(std::string_view text) {
  text_.append(text).append("\n");
}

void output::body(postbus::message from) {
  const auto bytes = from.bytes();
  if (!bytes.empty()) {
    pieces_.push_back({const_cast<std::byte*>(bytes.data()), bytes.size()});
    bytes_ += bytes.size();
  }
  keep(std::move(from));
}

bool output::is_full() const noexcept {
  return text_.size() + bytes_ >= gathered_bytes_max || kept_.size() >= gathered_pieces_max;
}

bool output::flush() {
  if (failure_ != 0)
    return false;
  if (!text_.empty())
    pieces_.push_back({text_.data(), text_.size()});
  if (!pieces_.empty() && !write_pieces())
    return false;
  text_.clear();
  pieces_.clear();
  bytes_ = 0;
  kept_.clear();
  return true;
}

bool output::write_pieces() {
  auto* next = pieces_.data();
  const auto* end = next + pieces_.size();
  while (next != end) {
    const auto count = std::min<std::ptrdiff_t>(end - next, IOV_MAX);
    const auto written = ::writev(descriptor_, next, static_cast<int>(count));
    const auto why = errno;
    look_();
    if (written < 0) {
      if (why == EINTR)
        continue;
      if (why == EAGAIN) { // a terminal that somebody made non-blocking
        pollfd ready = {descriptor_, POLLOUT, 0};
        (void)::poll(&ready, 1, 100);
        continue;
      }
      failure_ = why;
      return false;
    }
    auto left = static_cast<std::size_t>(written);
    while (next != end && left >= next->iov_len)
      left -= (next++)->iov_len;
    if (left > 0) {
      next->iov_base = static_cast<char*>(next->iov_base) + left;
      next->iov_len -= left;
    }
  }
  return true;
}

} // namespace tool
