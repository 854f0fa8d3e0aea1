#include "postbus/codecs/value.hpp"

namespace postbus::codecs {
namespace {

// A plain pointer, so that it can be looked at when this thread's other objects are gone.
constinit thread_local msgpack::zone* spare_zone = nullptr;
constinit thread_local bool thread_ending = false;

struct spare_zone_ending {
  ~spare_zone_ending() {
    delete std::exchange(spare_zone, nullptr);
    thread_ending = true;
  }
};

bool refer_to_bytes(msgpack::type::object_type, std::size_t, void*) {
  return true;
}

} // namespace

borrowed_zone::borrowed_zone() : zone_(std::exchange(spare_zone, nullptr)) {
  if (zone_ == nullptr)
    zone_ = std::make_unique<msgpack::zone>();
}

borrowed_zone::~borrowed_zone() {
  if (spare_zone != nullptr || thread_ending)
    return;
  thread_local spare_zone_ending at_thread_exit;
  static_cast<void>(&at_thread_exit);
  zone_->clear(); // frees all but its first 8 KiB
  spare_zone = zone_.release();
}

msgpack::object tree_of(std::span<const std::byte> bytes, const value_limits& limits,
                        msgpack::zone& zone) {
  const std::size_t backed = bytes.size();
  const msgpack::unpack_limit limit(backed, backed, backed, backed, backed, limits.depth_max);
  std::size_t offset = 0;
  bool referred = false;
  return msgpack::unpack(zone, reinterpret_cast<const char*>(bytes.data()), bytes.size(), offset,
                         referred, refer_to_bytes, nullptr, limit);
}

} // namespace postbus::codecs
