// value_variant: std::variant as MessagePack, a tagged array [index, value]; std::monostate is nil.
// msgpack-c has no adaptor for it before version 6.1, and the same form from then on, when
// MSGPACK_USE_STD_VARIANT_ADAPTOR is defined; define it to keep this one (or another) out of the way.
#pragma once

#ifndef MSGPACK_USE_STD_VARIANT_ADAPTOR

#  include <msgpack.hpp>

#  include <cstddef>
#  include <cstdint>
#  include <utility>
#  include <variant>

namespace msgpack {
MSGPACK_API_VERSION_NAMESPACE(MSGPACK_DEFAULT_API_NS) {
  namespace adaptor {

  template <>
  struct convert<std::monostate> {
    const msgpack::object& operator()(const msgpack::object& from, std::monostate&) const {
      if (from.type != msgpack::type::NIL)
        throw msgpack::type_error();
      return from;
    }
  };

  template <>
  struct pack<std::monostate> {
    template <class Stream>
    msgpack::packer<Stream>& operator()(msgpack::packer<Stream>& to, const std::monostate&) const {
      return to.pack_nil();
    }
  };

  template <class... Ts>
  struct convert<std::variant<Ts...>> {
    const msgpack::object& operator()(const msgpack::object& from,
                                      std::variant<Ts...>& found) const {
      if (from.type != msgpack::type::ARRAY || from.via.array.size != 2)
        throw msgpack::type_error();
      const auto index = from.via.array.ptr[0].as<std::uint64_t>();
      if (index >= sizeof...(Ts))
        throw msgpack::type_error();
      choose(index, from.via.array.ptr[1], found, std::index_sequence_for<Ts...>());
      return from;
    }

  private:
    template <std::size_t... I>
    static void choose(std::uint64_t index, const msgpack::object& from, std::variant<Ts...>& found,
                       std::index_sequence<I...>) {
      static_cast<void>(((index == I && (found.template emplace<I>(from.as<Ts>()), true)) || ...));
    }
  };

  template <class... Ts>
  struct pack<std::variant<Ts...>> {
    template <class Stream>
    msgpack::packer<Stream>& operator()(msgpack::packer<Stream>& to,
                                        const std::variant<Ts...>& value) const {
      to.pack_array(2);
      to.pack_uint64(value.index());
      std::visit([&](const auto& held) { to.pack(held); }, value);
      return to;
    }
  };

  } // namespace adaptor
} // MSGPACK_API_VERSION_NAMESPACE(MSGPACK_DEFAULT_API_NS)
} // namespace msgpack

#endif
