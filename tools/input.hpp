// input: what `send` reads, as lines or in pieces, with read(2) and large steps. No wait is longer
// than a tenth of a second, so that a lost connection and a signal are seen in between.
#pragma once

#include "postbus/codecs/chunk.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace tool {

class input {
public:
  enum class outcome : std::uint8_t {
    bytes,   ///< Some came.
    quiet,   ///< None yet; ask again.
    end,     ///< None will come.
    stopped, ///< A signal asked to stop.
    failed,  ///< errno says why.
  };

  /// Opens `path`, "-" being stdin. `is_open` says whether that went well, errno why not.
  explicit input(const std::string& path);
  ~input();
  input(const input&) = delete;
  input& operator=(const input&) = delete;

  [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }
  /// Bytes of a regular file that are still to be read; 0 when nobody knows.
  [[nodiscard]] std::uint64_t size_bytes() const noexcept;

  /// Reads at most `into.size()` bytes; `count` is how many.
  [[nodiscard]] outcome read(std::span<std::byte> into, std::size_t& count);

private:
  int descriptor_;
};

/// Cuts bytes into lines, each with its newline, whatever else is in them. The last may have none.
/// Drive: next until it has nothing; read into room(); commit; and so on; at the end rest().
class line_cutter {
public:
  explicit line_cutter(std::size_t line_bytes_max);

  /// Where to read to. Never empty unless the line is too long.
  [[nodiscard]] std::span<std::byte> room();
  void commit(std::size_t count) noexcept { end_ += count; }
  /// The next whole line, valid until room() is called.
  [[nodiscard]] std::optional<std::span<const std::byte>> next() noexcept;
  /// What came behind the last newline.
  [[nodiscard]] std::span<const std::byte> rest() const noexcept {
    return {bytes_.get() + begin_, end_ - begin_};
  }
  /// True when the line at hand is longer than a line may be.
  [[nodiscard]] bool is_too_long() const noexcept { return rest().size() > line_bytes_max_; }

private:
  std::size_t line_bytes_max_;
  std::size_t capacity_;
  std::unique_ptr<std::byte[]> bytes_;
  std::size_t begin_ = 0;
  std::size_t looked_ = 0; // no newline lies before it
  std::size_t end_ = 0;
};

} // namespace tool
