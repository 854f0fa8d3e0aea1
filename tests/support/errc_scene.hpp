// errc_scene: nodes A, which dials, and B, which listens, on a virtual clock, for provoking errors; and what
// each end says of them afterwards, in what its programs were told and in what its statistics count.
// Drive: open() or dial(); provoke; run(time); then look_at_ends() or look_at_answer().
#pragma once

#include "postbus/tests/support/errc_proof.hpp"
#include "postbus/tests/support/node_world.hpp"

#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace postbus::test {

/// A node, and what it told its programs.
struct witnessed_node {
  witnessed_node(node_world& world, unsigned id, const limits& bounds, std::uint64_t incarnation,
                 const bus::subscription_options& wants = {}, bool keeps = false)
    : of(&world.add(id, bounds, incarnation)), subscription(world.subscribe(*of, wants, keeps)) {
    of->watch = [this](const bus::node::output& what) { take(what); };
  }
  witnessed_node(const witnessed_node&) = delete;
  witnessed_node& operator=(const witnessed_node&) = delete;
  ~witnessed_node() { of->watch = nullptr; }

  node_world::host* of;
  bus::subscription_id subscription;
  std::vector<error> disconnects; ///< As told by `disconnected`.
  std::vector<error> dials;       ///< That were answered with an error.
  std::vector<subscription_ended> cut_off;
  std::vector<bus::node::hand_over_request> asked;
  std::vector<bus::correlation_id> called_off;
  std::vector<result<reply>> answers;

private:
  void take(const bus::node::output& what) {
    using core = bus::node;
    if (const auto* dial = std::get_if<core::answer_dial>(&what)) {
      if (!dial->peer)
        dials.push_back(dial->peer.error());
    } else if (const auto* ask = std::get_if<core::hand_over_request>(&what)) {
      asked.push_back(*ask);
    } else if (const auto* off = std::get_if<core::call_off_request>(&what)) {
      called_off.push_back(off->id);
    } else if (const auto* answered = std::get_if<core::answer_request>(&what)) {
      answers.push_back(answered->what);
    } else if (const auto* told = std::get_if<core::tell_subscriber>(&what)) {
      const auto* event = std::get_if<node_event>(&told->what.what);
      if (event == nullptr)
        return;
      if (const auto* gone = std::get_if<disconnected>(event))
        disconnects.push_back(gone->reason);
      else if (const auto* over = std::get_if<subscription_ended>(event))
        cut_off.push_back(*over);
    }
  }
};

struct errc_scene {
  struct settings {
    limits of_a = {};
    limits of_b = {};
    bus::subscription_options b_wants = {};
    bool b_keeps = false; ///< B's program holds what it is given.
  };
  errc_scene() : errc_scene(settings{}) {}
  explicit errc_scene(const settings& how)
    : a(world, 1, how.of_a, 1), b(world, 2, how.of_b, 1, how.b_wants, how.b_keeps) {}

  node_world world;
  witnessed_node a;
  witnessed_node b;

  bus::connection_id dial() { return world.dial(*a.of, *b.of); }
  /// A and B are connected.
  void open() {
    (void)dial();
    run(std::chrono::seconds(0));
    REQUIRE(world.link(*a.of, *b.of) != nullptr);
    REQUIRE(world.link(*b.of, *a.of) != nullptr);
  }
  void run(duration time) { world.run(time); }

  /// A's end of its only connection, and B's.
  node_world::end& end_of_a() { return *a.of->ends.begin()->second; }
  node_world::end& end_of_b() { return *b.of->ends.begin()->second; }

  /// A says these bytes, which its session knows nothing of.
  void say(std::span<const std::byte> bytes) { end_of_a().out->push(bytes, world.now); }
  void say(const payload& frame) { say(frame.bytes()); }
  void say(codecs::frame_kind kind, std::uint8_t flags, std::size_t body_bytes,
           std::uint32_t length_more = 0) {
    std::vector<std::byte> frame(codecs::frame_header_bytes + body_bytes);
    const auto length = static_cast<std::uint32_t>(body_bytes) + length_more;
    codecs::store_header(frame.data(), {length, kind, flags, 0});
    say(frame);
  }
  /// A sends a message with this body, which need be no value.
  void send(std::span<const std::byte> body) {
    CHECK(world.link(*a.of, *b.of)->box.push(bus::outbox::lane::data, {}, body)
          == send_outcome::accepted);
  }
  /// A asks B.
  result<bus::correlation_id> ask(duration within = std::chrono::seconds(10)) {
    return a.of->core.ask(b.of->core.id(),
                          {.body = payload::copy_of("question"), .deadline = world.now + within},
                          world.now);
  }
  /// B's only handler answers what it was asked first.
  void respond(const bus::request_answer& what) {
    REQUIRE(b.asked.size() == 1);
    CHECK(b.of->core.respond(b.asked[0].connection, b.asked[0].what.id, what));
  }

  [[nodiscard]] node_statistics statistics(const witnessed_node& of) {
    return world.statistics_of(*of.of);
  }

  /// What the statistics of `of` count, and that its programs were told the same.
  std::vector<view> seen_by(const witnessed_node& of) {
    std::vector<view> out;
    const auto told = statistics(of);
    for (const auto& each : told.refusals)
      for (std::uint64_t times = 0; times < each.count; ++times)
        out.push_back({each.reason, each.by, counted::refusals});
    for (const auto& each : told.disconnects)
      for (std::uint64_t times = 0; times < each.count; ++times)
        out.push_back({each.reason, each.by, counted::disconnects});
    for (const auto& why : of.disconnects)
      CHECK(std::count(out.begin(), out.end(), view{why.code, why.by, counted::disconnects}) == 1);
    for (const auto& why : of.dials)
      CHECK(std::count(out.begin(), out.end(), view{why.code, why.by, counted::refusals}) == 1);
    CHECK(told.closed.size() == of.disconnects.size());
    return out;
  }

  /// A connection ended, or was never open: what both ends say of it.
  void look_at_ends(witness& seen, const witnessed_node& here, const witnessed_node& there) {
    seen.here = seen_by(here);
    seen.there = seen_by(there);
  }
  /// `what` was answered at one end; the other noticed nothing, and they are connected as before.
  void look_at_answer(witness& seen, const error& what, counted in = counted::nowhere) {
    seen.here.push_back({what.code, what.by, in});
    run(std::chrono::seconds(1));
    CHECK(world.link(*a.of, *b.of) != nullptr);
    CHECK(world.link(*b.of, *a.of) != nullptr);
    CHECK(seen_by(a).empty());
    seen.there = seen_by(b);
  }
};

} // namespace postbus::test
