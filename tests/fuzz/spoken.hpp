// spoken: what one end of a connection has written, read as docs/PROTOCOL.md allows it to be written,
// frame by frame; anything else breaks a law. Knows the order of frames, not why they were said.
// Drive: hear(bytes) in any pieces; a derived listener may look at each frame.
#pragma once

#include "postbus/bus/control.hpp"
#include "postbus/tests/fuzz/operations.hpp"

#include <optional>
#include <vector>

namespace postbus::fuzz {

class spoken {
public:
  spoken() = default;
  spoken(const spoken&) = delete;
  spoken& operator=(const spoken&) = delete;
  virtual ~spoken() = default;

  void hear(std::span<const std::byte> bytes) {
    begun_.insert(begun_.end(), bytes.begin(), bytes.end());
    std::size_t used = 0;
    while (begun_.size() - used >= codecs::frame_header_bytes) {
      const auto header = codecs::load_header(begun_.data() + used);
      const auto length = codecs::frame_header_bytes + header.length;
      if (begun_.size() - used < length)
        break;
      hear(header, std::span(begun_).subspan(used + codecs::frame_header_bytes, header.length));
      used += length;
    }
    begun_.erase(begun_.begin(), begun_.begin() + static_cast<std::ptrdiff_t>(used));
  }

  /// True between frames.
  [[nodiscard]] bool is_whole() const { return begun_.empty(); }
  [[nodiscard]] bool has_welcomed() const { return welcomed_; }
  [[nodiscard]] const std::optional<bus::refuse>& refusal() const { return refused_; }
  [[nodiscard]] const std::optional<bus::goodbye>& farewell() const { return goodbye_; }
  [[nodiscard]] const bus::credit& granted() const { return granted_; }
  [[nodiscard]] std::uint64_t frames() const { return frames_; }

protected:
  /// A message; the counts are of those before it.
  virtual void on_message(const codecs::frame_header&, std::span<const std::byte>) {}
  virtual void on_credit(const bus::credit&) {}
  virtual void on_pong(std::uint64_t) {}

private:
  void hear(const codecs::frame_header& header, std::span<const std::byte> body) {
    using kind = codecs::frame_kind;
    ++frames_;
    law(!refused_, "nothing follows a refuse");
    const auto has_value =
      header.kind == kind::message || header.kind == kind::request || header.kind == kind::response;
    const auto correlates = header.kind >= kind::request && header.kind <= kind::cancel;
    if (!has_value)
      law((header.flags == 0 || correlates) && header.tag == 0,
          "control frames have neither flags nor tag");
    if (header.kind != kind::hello)
      law(has_value || body.size() <= 1024, "control frames are small");
    switch (header.kind) {
    case kind::hello:
      law(!hello_ && frames_ == 1, "one hello, and first of all");
      take_hello(bus::decode_hello(body));
      return;
    case kind::welcome:
      law(hello_ && !welcomed_, "one welcome, behind the hello");
      law(bus::decode_welcome(body).has_value(), "a welcome that decodes");
      welcomed_ = true;
      return;
    case kind::refuse: {
      law(!said_more_, "an open connection is not refused");
      auto refusal = bus::decode_refuse(body);
      law(refusal.has_value(), "a refuse that decodes");
      refused_ = std::move(*refusal);
      return;
    }
    case kind::goodbye: {
      say_open();
      law(!goodbye_, "one goodbye");
      auto goodbye = bus::decode_goodbye(body);
      law(goodbye.has_value(), "a goodbye that decodes");
      law(goodbye->frames_taken >= granted_.frames_taken, "frames taken never shrink");
      granted_.frames_taken = goodbye->frames_taken;
      goodbye_ = std::move(*goodbye);
      return;
    }
    case kind::ping: {
      say_open();
      const auto ping = bus::decode_probe(body);
      law(ping && ping->token > token_, "tokens of one side only grow");
      token_ = ping->token;
      return;
    }
    case kind::pong: {
      say_open();
      const auto pong = bus::decode_probe(body);
      law(pong.has_value(), "a pong that decodes");
      on_pong(pong->token);
      return;
    }
    case kind::credit: {
      say_open();
      const auto told = bus::decode_credit(body);
      law(told && told->stream == 0, "a credit that decodes, for messages");
      law(told->bytes_limit >= granted_.bytes_limit && told->frames_limit >= granted_.frames_limit
            && told->frames_taken >= granted_.frames_taken,
          "no count of a credit shrinks");
      law(!goodbye_ || goodbye_->reason <= errc::canceled
            || (told->bytes_limit == granted_.bytes_limit
                && told->frames_limit == granted_.frames_limit),
          "behind a goodbye that waits for nothing no credit grants more");
      on_credit(*told);
      granted_ = *told;
      return;
    }
    case kind::message:
      say_open();
      law(!goodbye_, "no message follows a goodbye");
      on_message(header, body);
      return;
    case kind::request:
    case kind::response:
    case kind::failure:
    case kind::cancel:
      say_open();
      law(!goodbye_, "no request and no answer follows a goodbye");
      law((header.flags & codecs::frame_flag::correlated) != 0 && body.size() >= 4,
          "what is said about a request names it");
      return;
    default:
      law(false, "a kind that is not spoken in this version");
    }
  }

  void take_hello(const result<bus::hello>& told) {
    law(told.has_value(), "a hello that decodes");
    granted_.bytes_limit = told->window_bytes;
    granted_.frames_limit = told->window_frames;
    hello_ = true;
  }

  // A dialer is open with its own welcome, a listener with the other's, which is not seen here.
  void say_open() {
    law(welcomed_, "nothing of an open connection before the welcome");
    said_more_ = true;
  }

  std::vector<std::byte> begun_;
  bool hello_ = false;
  bool welcomed_ = false;
  bool said_more_ = false;
  std::optional<bus::refuse> refused_;
  std::optional<bus::goodbye> goodbye_;
  bus::credit granted_;
  std::uint64_t token_ = 0;
  std::uint64_t frames_ = 0;
};

} // namespace postbus::fuzz
