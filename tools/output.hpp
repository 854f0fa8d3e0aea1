// output: what `listen` writes to stdout, gathered so that many messages cost one system call.
// Drive: line or body, then flush. Waits for a slow reader, which is how it holds the senders back.
#pragma once

#include "postbus/bus/batch.hpp"

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/uio.h>

namespace tool {

class output {
public:
  /// `look` is called after each system call, which a signal may have cut short; writing goes on then.
  output(int descriptor, std::function<void()> look)
    : descriptor_(descriptor), look_(std::move(look)) {}

  /// Adds `text` and a newline.
  void line(std::string_view text);
  /// Adds the body of `from`, not copied.
  void body(postbus::message from);
  /// Keeps `from` until its line is written.
  void keep(postbus::message from) { kept_.push_back(std::move(from)); }

  /// True when there is so much that it should be written now.
  [[nodiscard]] bool is_full() const noexcept;
  /// Writes everything and lets go of the messages: only then are they confirmed to their sender.
  /// False when it cannot be written; the messages are kept then, and stay unconfirmed.
  [[nodiscard]] bool flush();
  /// What went wrong: errno.
  [[nodiscard]] int failure() const noexcept { return failure_; }

private:
  [[nodiscard]] bool write_pieces();

  int descriptor_;
  std::function<void()> look_;
  int failure_ = 0;
  std::string text_;
  std::vector<iovec> pieces_;
  std::size_t bytes_ = 0;
  std::vector<postbus::message> kept_;
};

} // namespace tool
