#include "postbus/tests/support/simulator/record.hpp"

#include <algorithm>

namespace postbus::testing {

std::string_view to_string(law which) noexcept {
  switch (which) {
  case law::order:
    return "order";
  case law::content:
    return "content";
  case law::events:
    return "events";
  case law::dials:
    return "dials";
  case law::requests:
    return "requests";
  case law::account:
    return "account";
  case law::progress:
    return "progress";
  case law::deadline:
    return "deadline";
  case law::bound:
    return "bound";
  case law::protocol:
    return "protocol";
  case law::survivor:
    return "survivor";
  case law::ending:
    return "ending";
  case law::leak:
    return "leak";
  }
  return "unknown";
}

// -- bodies -----------------------------------------------------------------------

namespace {

constexpr std::size_t bin_header_max = 5;

std::byte content(std::uint64_t serial, std::size_t index) {
  return static_cast<std::byte>((serial >> 8) * (index + 1) + serial * 131 + index * 7
                                + (index >> 8));
}

/// The bytes that begin a MessagePack binary of `bytes` in all; says how many they are.
std::size_t bin_header(std::uint32_t bytes, std::span<std::byte, bin_header_max> at) {
  if (bytes <= 2 + 0xffu) {
    at[0] = std::byte{0xc4};
    codecs::store(&at[1], static_cast<std::uint8_t>(bytes - 2));
    return 2;
  }
  at[0] = std::byte{0xc6};
  codecs::store(&at[1], bytes - 5);
  return 5;
}

} // namespace

std::vector<std::byte> body_of(const sent_message& what) {
  std::vector<std::byte> body(what.bytes);
  std::byte head[bin_header_max];
  const auto head_bytes = what.opaque ? 0 : bin_header(what.bytes, head);
  std::copy_n(head, head_bytes, body.begin());
  for (auto index = head_bytes; index < body.size(); ++index)
    body[index] = content(what.serial, index);
  return body;
}

bool is_body_of(const sent_message& what, std::span<const std::byte> body) {
  if (body.size() != what.bytes)
    return false;
  std::byte head[bin_header_max];
  const auto head_bytes = what.opaque ? 0 : bin_header(what.bytes, head);
  if (!std::equal(head, head + head_bytes, body.begin()))
    return false;
  const std::size_t step = body.size() > 2048 ? 251 : 1;
  for (auto index = head_bytes; index < body.size(); index += step)
    if (body[index] != content(what.serial, index))
      return false;
  return body.size() <= head_bytes || body.back() == content(what.serial, body.size() - 1);
}

// -- accounts ---------------------------------------------------------------------

std::string connection_record::name() const {
  const auto short_id = [](const node_id& id) {
    return id ? std::to_string(std::to_integer<unsigned>(id.bytes()[0])) : std::string("nobody");
  };
  return '#' + std::to_string(serial) + ' ' + short_id(sides[dialer].self) + "→"
         + short_id(sides[listener].self);
}

void settle_account(const connection_record& of, run_account& sums) {
  for (const unsigned at : {0u, 1u}) {
    const auto& from = of.sides[at];
    const auto& to = of.sides[1 - at];
    const auto told = [&](const char* what) {
      return [&, what] {
        return of.name() + (at == 0 ? ", the dialer: " : ", the listener: ") + what + ": taken "
               + std::to_string(from.sent.size()) + ", written "
               + std::to_string(from.ended ? from.ended->account.sent : 0) + ", confirmed "
               + std::to_string(from.ended ? from.ended->account.confirmed : 0) + ", unsent "
               + std::to_string(from.ended ? from.ended->account.unsent : 0)
               + "; the other side had " + std::to_string(to.handed) + ", let go of "
               + std::to_string(to.let_go);
      };
    };
    // Counted one by one, where they pass: that they are each other's parts is not given.
    require(to.delivered + to.dropped + to.unclaimed_in_time <= to.received, law::account,
            told("more given to programs and dropped than had come"));
    require(to.received <= to.handed, law::account, told("more had come than arrived"));
    if (of.spoiled) {
      // What the other side took for messages need not be ours.
      sums.spoiled += from.sent.size() - from.carried;
    } else {
      sums.delivered += to.delivered;
      sums.unclaimed += to.unclaimed_in_time;
      sums.dropped += to.dropped;
      sums.left_behind += to.received - to.delivered - to.dropped - to.unclaimed_in_time;
      sums.turned_away += to.handed - to.received;
    }
    if (!of.spoiled && (from.crashed || !from.exists)) {
      require(to.handed <= from.sent.size(), law::account, told("more arrived than was sent"));
      sums.crashed += from.sent.size() - to.handed;
    }
    if (from.crashed || !from.exists)
      continue;
    require(from.ended.has_value(), law::ending, told("it never ended"));
    const auto& account = from.ended->account;
    require(account.sent + account.unsent == from.sent.size(), law::account,
            told("what was taken is not what was written and what was not"));
    require(account.confirmed <= account.sent, law::account, told("more confirmed than written"));
    sums.confirmed += account.confirmed;
    if (of.spoiled)
      continue;
    require(from.carried <= account.unsent, law::account, told("more held than was not sent"));
    sums.unsent += account.unsent - from.carried;
    require(to.handed <= account.sent, law::account, told("more arrived than was written"));
    require(to.let_go <= to.handed, law::account, told("more let go of than arrived"));
    require(to.crashed || account.confirmed <= to.let_go, law::account,
            told("confirmed what nobody was done with"));
    require(account.confirmed <= to.received, law::account,
            told("confirmed what no program was given"));
    sums.lost_on_the_way += account.sent - to.handed;
    const auto in_order = [](const side_record& side) {
      return side.ended && !side.drain_expired
             && (side.ended->reason.code == errc::closed || side.ended->reason.code == errc::idle);
    };
    // Otherwise a last word may leave behind the end, and is counted nowhere.
    if (from.opened && in_order(from) && to.opened && to.ended)
      require(to.ended->total.bytes_received <= from.ended->total.bytes_sent, law::account,
              told("more bytes arrived than were written"));
    // What was held may come too late for a connection that is closing already.
    if (!of.disturbed && from.opened && in_order(from) && in_order(to))
      require(account.sent == account.confirmed && account.unsent <= from.brought, law::account,
              told("an orderly close lost messages"));
  }
}

} // namespace postbus::testing
