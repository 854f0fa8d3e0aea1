// progress: how far `send` is, on stderr. On a terminal one line that is drawn anew, once it has
// taken a second; when asked for, also elsewhere, as a line every second.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

namespace tool {

class progress {
public:
  /// `total_bytes` is 0 when nobody knows.
  progress(std::uint64_t total_bytes, bool asked_for);

  /// Cheap enough to be called often; draws when it is time.
  void show(std::uint64_t messages, std::uint64_t bytes, std::string_view doing);
  /// Takes the line off the terminal.
  void clear();
  [[nodiscard]] std::chrono::nanoseconds elapsed() const;

private:
  using clock = std::chrono::steady_clock;

  std::uint64_t total_bytes_;
  bool on_terminal_;
  bool shows_;
  bool drawn_ = false;
  clock::time_point begun_ = clock::now();
  clock::time_point next_ = begun_ + std::chrono::seconds(1);
};

} // namespace tool
