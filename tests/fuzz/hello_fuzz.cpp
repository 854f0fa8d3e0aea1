// hello_fuzz: any bytes as the body of a hello. What decodes must be in its ranges, and survive being
// encoded and decoded again.
#include "postbus/bus/control.hpp"
#include "postbus/tests/fuzz/operations.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace postbus;
  using fuzz::law;
  const auto first = bus::decode_hello(std::as_bytes(std::span(data, size)));
  if (!first) {
    const auto& what = first.error();
    law(what.code == errc::malformed_frame || what.code == errc::not_postbus, "a known error");
    law(what.by == blame::remote && !what.detail.empty(), "blame and words");
    return 0;
  }
  law(static_cast<bool>(first->id), "an id");
  law(first->version_min >= 1 && first->version_min <= first->version_max, "a range of versions");
  law(first->keepalive_ms >= bus::keepalive_ms_min && first->keepalive_ms <= bus::keepalive_ms_max,
      "a keepalive time in range");
  law(first->frame_bytes_max >= bus::frame_bytes_max_min, "a frame bound in range");
  law(first->features.size() <= bus::features_max, "few features");
  for (const auto& name : first->features) {
    law(!name.empty() && name.size() <= bus::feature_bytes_max, "features of few characters");
    law(std::all_of(name.begin(), name.end(), [](char c) { return c > 0x20 && c < 0x7f; }),
        "which can be printed");
  }
  law(first->init.size() <= size, "no more init than bytes");

  const auto frame = bus::encode(*first);
  const auto header = codecs::load_header(frame.data());
  law(header
        == codecs::frame_header{static_cast<std::uint32_t>(frame.size() - 8),
                                codecs::frame_kind::hello, 0, 0},
      "the header");
  const auto second = bus::decode_hello(frame.bytes().subspan(codecs::frame_header_bytes));
  law(second.has_value(), "it decodes again");
  law(second->id == first->id && second->expected == first->expected
        && second->incarnation == first->incarnation && second->version_min == first->version_min
        && second->version_max == first->version_max && second->keepalive_ms == first->keepalive_ms
        && second->frame_bytes_max == first->frame_bytes_max
        && second->requests_max == first->requests_max && second->features == first->features
        && second->init == first->init,
      "the same hello");
  return 0;
}
