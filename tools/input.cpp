#include "postbus/tools/input.hpp"

#include "postbus/tools/signals.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tool {

namespace {

constexpr int wait_ms = 100;
constexpr std::size_t first_bytes = 128u << 10;

} // namespace

input::input(const std::string& path)
  : descriptor_(path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}

input::~input() {
  if (descriptor_ > STDIN_FILENO)
    ::close(descriptor_);
}

std::uint64_t input::size_bytes() const noexcept {
  struct stat about = {};
  if (::fstat(descriptor_, &about) != 0 || !S_ISREG(about.st_mode))
    return 0;
  const auto at = std::max<off_t>(::lseek(descriptor_, 0, SEEK_CUR), 0);
  return about.st_size > at ? static_cast<std::uint64_t>(about.st_size - at) : 0;
}

input::outcome input::read(std::span<std::byte> into, std::size_t& count) {
  count = 0;
  pollfd ready[] = {{descriptor_, POLLIN, 0}, {signals::stop_descriptor(), POLLIN, 0}};
  const auto found = ::poll(ready, 2, wait_ms);
  if (signals::stop_asked())
    return outcome::stopped;
  if (found == 0 || (found < 0 && errno == EINTR))
    return outcome::quiet;
  if (found < 0)
    return outcome::failed;
  const auto got = ::read(descriptor_, into.data(), into.size());
  if (got < 0)
    return errno == EINTR || errno == EAGAIN ? outcome::quiet : outcome::failed;
  count = static_cast<std::size_t>(got);
  return got == 0 ? outcome::end : outcome::bytes;
}

line_cutter::line_cutter(std::size_t line_bytes_max)
  : line_bytes_max_(line_bytes_max), capacity_(first_bytes),
    bytes_(std::make_unique_for_overwrite<std::byte[]>(capacity_)) {}

std::span<std::byte> line_cutter::room() {
  if (begin_ > 0) {
    std::memmove(bytes_.get(), bytes_.get() + begin_, end_ - begin_);
    looked_ -= begin_;
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == capacity_) {
    const auto larger = std::min(2 * capacity_, std::max(line_bytes_max_ + 1, capacity_));
    auto grown = std::make_unique_for_overwrite<std::byte[]>(larger);
    std::memcpy(grown.get(), bytes_.get(), end_);
    bytes_ = std::move(grown);
    capacity_ = larger;
  }
  return {bytes_.get() + end_, capacity_ - end_};
}

std::optional<std::span<const std::byte>> line_cutter::next() noexcept {
  const auto* newline =
    static_cast<const std::byte*>(std::memchr(bytes_.get() + looked_, '\n', end_ - looked_));
  if (newline == nullptr) {
    looked_ = end_;
    return std::nullopt;
  }
  const auto from = begin_;
  begin_ = looked_ = static_cast<std::size_t>(newline - bytes_.get()) + 1;
  return std::span<const std::byte>(bytes_.get() + from, begin_ - from);
}

} // namespace tool
