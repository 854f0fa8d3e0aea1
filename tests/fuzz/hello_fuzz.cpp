// hello_fuzz: any bytes as the body of a hello. What decodes must be in its ranges, and survive being
// encoded and decoded again.
#include "postbus/bus/control.hpp"

#include <cstdio>
#include <cstdlib>

namespace {

void require(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "not so: %s\n", what);
    std::abort();
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace postbus;
  const auto first = bus::decode_hello(std::as_bytes(std::span(data, size)));
  if (!first) {
    const auto& what = first.error();
    require(what.code == errc::malformed_frame || what.code == errc::not_postbus, "a known error");
    require(what.by == blame::remote && !what.detail.empty(), "blame and words");
    return 0;
  }
  require(static_cast<bool>(first->id), "an id");
  require(first->version_min >= 1 && first->version_min <= first->version_max,
          "a range of versions");
  require(first->keepalive_ms >= bus::keepalive_ms_min
            && first->keepalive_ms <= bus::keepalive_ms_max,
          "a keepalive time in range");
  require(first->frame_bytes_max >= bus::frame_bytes_max_min, "a frame bound in range");
  require(first->features.size() <= bus::features_max, "few features");
  require(first->init.size() <= size, "no more init than bytes");

  const auto frame = bus::encode(*first);
  const auto header = codecs::load_header(frame.data());
  require(header
            == codecs::frame_header{static_cast<std::uint32_t>(frame.size() - 8),
                                    codecs::frame_kind::hello, 0, 0},
          "the header");
  const auto second = bus::decode_hello(frame.bytes().subspan(codecs::frame_header_bytes));
  require(second.has_value(), "it decodes again");
  require(
    second->id == first->id && second->expected == first->expected
      && second->incarnation == first->incarnation && second->version_min == first->version_min
      && second->version_max == first->version_max && second->keepalive_ms == first->keepalive_ms
      && second->frame_bytes_max == first->frame_bytes_max
      && second->requests_max == first->requests_max && second->features == first->features
      && second->init == first->init,
    "the same hello");
  return 0;
}
