// result: a value, or the error that stands in its place.
// What can fail returns one; nothing in this library reports failure by throwing.
#pragma once

#include "postbus/codecs/errc.hpp"

#include <cassert>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace postbus {

/// Which side brought an end about.
enum class blame : std::uint8_t {
  local,  ///< This program, its machine, or its settings.
  remote, ///< The peer, or the network between.
};

/// "local" or "remote".
[[nodiscard]] constexpr std::string_view to_string(blame by) noexcept {
  return by == blame::local ? "local" : "remote";
}

/// A reason with the side it lies on and, where there are any, words that say more.
struct error {
  errc code = errc::unknown;
  blame by = blame::local;
  std::string detail; ///< A step, an address, the peer's own words; may be empty.

  friend bool operator==(const error& left, const error& right) noexcept {
    return left.code == right.code && left.by == right.by && left.detail == right.detail;
  }
  friend bool operator==(const error& left, errc right) noexcept { return left.code == right; }
};

/// For people: "connect_failed (remote): no address could be reached: 127.0.0.1:9: Connection refused".
[[nodiscard]] std::string to_string(const error& what);

/// A `T`, or an `error`. Never empty.
template <class T>
class [[nodiscard]] result {
public:
  using value_type = T;

  result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
  result(postbus::error what) : content_(std::in_place_index<1>, std::move(what)) {}
  result(errc code) : content_(std::in_place_index<1>, postbus::error{code, blame::local, {}}) {}

  [[nodiscard]] bool has_value() const noexcept { return content_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  /// The value. Asking a failed result for it is a mistake in the program.
  [[nodiscard]] T& value() & { return get(*this); }
  [[nodiscard]] const T& value() const& { return get(*this); }
  [[nodiscard]] T&& value() && { return std::move(get(*this)); }
  [[nodiscard]] T& operator*() & { return get(*this); }
  [[nodiscard]] const T& operator*() const& { return get(*this); }
  [[nodiscard]] T&& operator*() && { return std::move(get(*this)); }
  [[nodiscard]] T* operator->() { return &get(*this); }
  [[nodiscard]] const T* operator->() const { return &get(*this); }
  [[nodiscard]] T value_or(T other) const& { return has_value() ? **this : std::move(other); }

  /// The error. Asking a successful result for it is a mistake in the program.
  [[nodiscard]] const postbus::error& error() const& {
    assert(!has_value());
    return *std::get_if<1>(&content_);
  }
  [[nodiscard]] postbus::error&& error() && {
    assert(!has_value());
    return std::move(*std::get_if<1>(&content_));
  }

private:
  template <class Self>
  static auto& get(Self& self) {
    assert(self.has_value());
    return *std::get_if<0>(&self.content_);
  }

  std::variant<T, postbus::error> content_;
};

/// Nothing, or an `error`.
template <>
class [[nodiscard]] result<void> {
public:
  using value_type = void;

  result() = default;
  result(postbus::error what) : error_(std::move(what)) {}
  result(errc code) : error_(postbus::error{code, blame::local, {}}) {}

  [[nodiscard]] bool has_value() const noexcept { return !error_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }

  [[nodiscard]] const postbus::error& error() const& {
    assert(error_.has_value());
    return *error_;
  }
  [[nodiscard]] postbus::error&& error() && {
    assert(error_.has_value());
    return std::move(*error_);
  }

private:
  std::optional<postbus::error> error_;
};

} // namespace postbus
