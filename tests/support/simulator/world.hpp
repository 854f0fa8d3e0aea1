// world: several cores of nodes on one virtual clock, joined by wires that fail. Does what the node actor,
// its connections and the operating system do, letter by letter, in any order it is told, and holds
// whatever happens against the laws (violation.hpp). Throws a `violation`; reads no clock, starts no thread.
// Drive: start() nodes, subscribe, dial, send, break things; run() lets time pass. Or, for a search through
// all orders: enabled() and take().
#pragma once

#include "postbus/bus/node.hpp"
#include "postbus/tests/support/simulator/coverage.hpp"
#include "postbus/tests/support/simulator/kept_peers.hpp"
#include "postbus/tests/support/simulator/program.hpp"
#include "postbus/tests/support/simulator/random.hpp"
#include "postbus/tests/support/simulator/seeded_bug.hpp"
#include "postbus/tests/support/simulator/wire.hpp"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

namespace postbus::testing {

struct host;

/// One end of a connection: what the connection actor is.
struct end_point {
  end_point(host& home, bus::node::started start, connection_record& of, unsigned at_side,
            time_point now);

  [[nodiscard]] side_record& mine() const { return record.sides[side]; }
  [[nodiscard]] side_record& theirs() const { return record.sides[1 - side]; }
  [[nodiscard]] bool is_live() const {
    return session.at() == bus::phase::open || session.at() == bus::phase::draining;
  }

  host& of;
  bus::connection_id id;
  std::shared_ptr<const limits> bounds; ///< Of its node when it began.
  connection_record& record;
  unsigned side;
  bus::shared<bell> charge;
  bus::outbox box;
  bus::session session;
  std::shared_ptr<wire> in, out;
  frame_track arrived;        ///< What has been read.
  end_point* other = nullptr; ///< While it exists.

  std::deque<bus::node::output> orders; ///< The connection actor's mailbox.
  bool fresh = true;                    ///< Its first turn has not come.
  bool woken = false;                   ///< A sender left something in the outbox.
  bool input_open = true;
  bool over = false;
  bool linked = false;
  bool stayed = false;           ///< When all rested last its node kept the peer connected.
  std::size_t brought_bytes = 0; ///< Held before, and put into its outbox whatever the bounds.
  std::uint64_t brought_frames = 0;
  time_point armed = never;
  std::uint64_t history = 0;  ///< What it was told so far, in order, as a hash.
  std::uint64_t standing = 0; ///< What its node heard of it and wants of it: the same.

  // When things happened, as the world saw it: for the laws about time.
  bus::phase seen = bus::phase::hello;
  time_point seen_since;
  time_point started, heard, spoke, moved, busy;
  time_point stalled = never;
  time_point drain_until = never;
};

/// How a connection is dialed, and what becomes of that.
struct world_path {
  wire::settings there, back;
  enum class fate : std::uint8_t {
    good,
    nobody_reads,
    reset,
    refused, ///< These two for kept peers only: there is no connection,
    lost     ///< or nobody answers until the time for connecting is over.
  } end = fate::good;
  bool asks = false; ///< The dialer's program looks at the peer first.
};

/// One run of a node: what the node actor is, its subscribers, and the memory of what they must be told.
struct host {
  host(unsigned where, bus::node::options how, time_point now);

  struct told {
    bus::connection_id connection;
    std::unique_ptr<bus::session_event> event;
  };
  struct arrived { ///< A transport connection exists.
    connection_record* record;
    unsigned side;
    std::shared_ptr<wire> in, out;
    node_id expected;
    bool asks = false;
    bus::keeper::keep_id keep = 0;
    time_point deadline = never; ///< To be open.
  };
  struct settled {
    bus::subscription_id subscription;
  };
  struct reported { ///< What a connection has done.
    bus::connection_id connection;
    bus::collection_id collection;
    std::unique_ptr<connection_statistics> what;
  };
  using letter = std::variant<told, arrived, settled, reported>;

  /// A request of its programs that is not answered.
  struct question {
    node_id to;
    sent_message content;
    time_point deadline;
    connection_record* over = nullptr; ///< Null when it asks itself.
    time_point asked;
  };
  /// A request that its handler has.
  struct service {
    bus::connection_id connection = 0;
    bus::correlation_id id = 0;
    payload body;
    time_point due; ///< Then it answers.
    time_point deadline;
  };
  /// A peer that was dialed to be looked at, and waits to hear what is thought of it.
  struct looked_at {
    bus::connection_id connection = 0;
    time_point due;
  };
  struct manner_of_handler {
    duration answers_after = duration::zero(); ///< max(): never.
  };
  /// The way to itself.
  struct own_way {
    explicit own_way(const limits& bounds)
      : box(bounds), charge(bus::shared<bell>::adopt(new bell)) {}

    bus::outbox box;
    bus::shared<bell> charge;
    connection_record record; ///< Sent by side 0, received by side 1.
    bool due = false;         ///< There may be something to hand on.
  };
  /// What waits for the next connection to a peer that is kept.
  struct hold {
    bus::outbox box;
    std::vector<sent_message> messages; ///< In the box, in order.
    bool is_way = false;                ///< The peer is away: what is sent to it comes here.
  };
  /// A dial of the keeper's that has not met anybody yet.
  struct kept_dial {
    bus::keeper::keep_id keep = 0;
    std::string endpoint;
    unsigned place = 0;
    node_id expected;
    time_point due, deadline;
    world_path over;
  };
  using drops = std::map<std::tuple<drop, errc, blame>, std::uint64_t>;
  struct over_connection {
    node_id peer;
    errc reason = errc::none;
    send_account account;
  };

  [[nodiscard]] bool runs() const { return core && !paused; }
  [[nodiscard]] bool anybody_takes() const;

  unsigned place;
  node_id id;
  limits bounds;   ///< As they are now.
  limits loosest;  ///< The largest that each was, where a smaller one holds only later.
  bool hands_back; ///< What was not sent is told.
  own_way own;
  std::optional<bus::node> core; ///< Empty after a crash.
  std::deque<letter> mailbox;
  std::map<bus::connection_id, std::unique_ptr<end_point>> ends;
  std::map<node_id, end_point*> links; ///< Whom it reaches, and how.
  std::map<bus::subscription_id, std::unique_ptr<program>> programs;
  std::map<bus::connection_id, connection_record*> dials; ///< Begun here.
  std::map<bus::correlation_id, question> questions;
  std::vector<service> services;
  std::vector<looked_at> looks;
  std::set<bus::connection_id> agreed; ///< Peers that a program let in, and waits to see open.
  std::optional<bus::handler_id> handler;
  manner_of_handler handling;
  kept_peers kept;
  std::map<node_id, hold> holds;
  std::vector<kept_dial> kept_dials;
  std::vector<expectation> given_back;        ///< Told behind what else one input leads to.
  std::set<bus::connection_id> disconnecting; ///< A program asked for their end, and waits for it.
  bool listens = true;
  bool paused = false;
  bool finished = false;
  bool closed_due = false; ///< Its programs were promised `closed`.
  time_point resumed = time_point::min();
  time_point close_deadline = never;
  std::vector<bus::connection_id> known; ///< Whose hello is in, in order.

  // What its statistics must say, and who waits for them.
  std::set<bus::collection_id> collections;
  traffic over_total; ///< Of the connections that it has heard the end of.
  std::uint64_t linked = 0, unlinked = 0, refused = 0;
  std::uint64_t unclaimed = 0;
  drops dropped; ///< Without the unclaimed.
  std::vector<over_connection> over;
};

/// A wheel tells a deadline so much late.
inline constexpr duration slack = 2 * bus::wheel::tick;

/// Something that can happen now.
struct step {
  enum class kind : std::uint8_t {
    letter,
    tick,
    let_go,
    answer,
    begin,
    order,
    read,
    write,
    settle,
    serve,
    own,
    dial
  };

  kind what = kind::letter;
  host* at = nullptr;
  end_point* end = nullptr;
  bus::subscription_id subscription = 0;
};

class world {
public:
  struct settings {
    std::uint64_t seed = 1;
    seeded_bug bug = seeded_bug::none;
    bool whole_reads = false; ///< A read takes all there is; else any part of it.
    std::function<world_path()> kept_path = nullptr; ///< How kept peers are dialed; else well.
    bool breaks_at_open =
      false; ///< Connections for which something is held break, now and then, at once.
    std::function<void(const std::string&)> trace = nullptr;
  };
  using path = world_path;

  explicit world(settings how);
  ~world();
  world(const world&) = delete;
  world& operator=(const world&) = delete;

  [[nodiscard]] time_point now() const noexcept { return now_; }
  [[nodiscard]] coverage& seen() noexcept { return seen_; }

  // -- nodes --------------------------------------------------------------------------

  /// A node starts at a place, to which others dial.
  host& start(unsigned place, bus::node::options how);
  /// The node that runs there; null when none does.
  [[nodiscard]] host* find(unsigned place);
  void close(host& which, duration drain);
  /// It dies without a word. With `reset` its system answers for it, else nobody does.
  void crash(host& which, bool reset);
  /// Its process stands still, and goes on.
  void pause(host& which);
  void resume(host& which);

  // -- connections --------------------------------------------------------------------

  /// A connection from one to whoever is at the place. Null when nobody listens there.
  connection_record* dial(host& from, unsigned place, const path& over,
                          const node_id& expected = {});
  /// From now on nobody can dial it; or again.
  void listen(host& at, bool yes) { at.listens = yes; }
  /// A program ends the connection to the peer in order, if there is one.
  void disconnect(host& at, const node_id& peer, duration drain);
  void cut(connection_record& which);                  ///< Both ends see the stream end.
  void reset(connection_record& which);                ///< Both ends see an error.
  void silence(connection_record& which, unsigned to); ///< Nothing arrives at this side any more.
  void corrupt(connection_record& which, unsigned to, std::uint64_t offset, std::byte mask);
  [[nodiscard]] end_point* end_of(const connection_record& which, unsigned side);
  [[nodiscard]] const std::vector<std::unique_ptr<connection_record>>& connections() const {
    return records_;
  }

  // -- peers that stay ----------------------------------------------------------------

  /// Who is at the place is kept connected, and only this one if an id is given. False when it is already.
  bool keep(host& at, unsigned place, const node_id& expected, postbus::keep_connected how);
  /// One of those that are kept is kept no more.
  void stop_keeping(host& at, std::size_t which);

  // -- settings -----------------------------------------------------------------------

  void change_bounds(host& at, const limits& changed);
  void change_init(host& at, std::size_t bytes);

  // -- programs -----------------------------------------------------------------------

  bus::subscription_id subscribe(host& at, const bus::subscription_options& wants,
                                 program::manner how);
  void unsubscribe(host& at, bus::subscription_id id);
  void answer(host& at, bus::connection_id connection, bool yes);
  /// Asks for the statistics of a node; what comes is held against the record.
  void collect(host& at);
  /// To a peer, to one that is away and held for, or to itself.
  send_outcome send(host& from, const node_id& to, sent_message what);

  /// From now on one handler has the requests to this node; those that another has stay with that.
  void handle(host& at, const host::manner_of_handler& how);
  /// A program of `from` asks. False when it was refused.
  bool ask(host& from, const node_id& to, std::uint32_t bytes, duration within);
  /// Gives up the oldest request, if there is one.
  void cancel_any(host& from);

  // -- time ---------------------------------------------------------------------------

  /// What can happen now. Empty when all rests until the clock moves.
  void enabled(std::vector<step>& into);
  void take(const step& what);
  /// One thing happens, whatever it is. False when all rests.
  bool take_any();
  /// When something happens by itself.
  [[nodiscard]] time_point next_moment() const;
  /// The clock moves; all must rest.
  void advance(time_point to);
  /// Lets time pass, with everything that happens in it.
  void run(duration span);
  void run_until(time_point until);

  // -- the end ------------------------------------------------------------------------

  /// Closes what runs, waits for it, and holds the whole run against the laws.
  void finish(duration drain);
  /// What must hold when all rests.
  void check_rest();
  /// Equal for equal states, whatever order led there, by hashes. Of an end it has what it was told, its
  /// phase and deadline, the orders that wait for it and the bytes that are on the way to it. A node's
  /// state is taken to follow from what it heard of each connection that it has, and ordered there, from
  /// the order of their hellos, and from its deadline.
  [[nodiscard]] std::uint64_t key() const;

private:
  void begin(host& at, host::arrived& what);
  void hand_in(host& at, host::told& what);
  void obey(host& at);
  void obey(host& at, bus::node::output& what);
  void order(host& at, bus::connection_id id, bus::node::output& what);
  void link_up(host& at, const bus::node::link_up& what);
  void link_down(host& at, bus::node::link_down& what);
  void tell(host& at, bus::subscriptions::output& what);
  void look_at(host& at, const bus::node::ask_dialer& what);
  void hand_over(host& at, bus::node::hand_over_request& what);
  void call_off(host& at, const bus::node::call_off_request& what);
  void take_reply(host& at, const bus::node::answer_request& what);
  [[nodiscard]] static time_point next_service(const host& at);
  void serve(host& at);
  void expect(host& at, const expectation& what);
  void expect_message(host& at, const expectation& what);
  void expect_changes(host& at);
  void expect_given_back(host& at);
  void take_answer(host& at, const bus::node::answer_dial& what);
  void take_in(host& at, end_point& end, bus::received& arrived);
  void note_end(host& at, end_point& end, const bus::ended& over);
  connection_record* connect(host& from, host& to, const path& over, host::arrived dialer);
  [[nodiscard]] static time_point next_kept_dial(const host& at);
  void dial_kept(host& at, bus::node::dial_kept& what);
  void arrive_kept(host& at);
  void fail_kept(host& at, bus::keeper::keep_id keep, errc why);
  void hold_for(host& at, const bus::node::hold_messages& what);
  void bring_held(host& at, end_point& to);
  void leave_held(host& at, end_point& end, bus::node::link_down& what);
  void release(host& at, const node_id& peer);
  void give_back(host& at, const node_id& peer, const bus::fifo<bus::outgoing>& frames,
                 std::vector<sent_message> what);
  send_outcome put(bus::outbox& box, const sent_message& what);
  send_outcome send_held(host& from, const node_id& to, const sent_message& what);
  void deliver_own(host& at);
  void expect_own(host& at, std::uint64_t before);
  void check_own(host& at);
  void check_kept(host& at);
  void check_programs(host& at);
  void promise_closed(host& at);
  void check_drops(const host& at, const node_statistics& what) const;
  void check_statistics(host& at, const bus::node::statistics_ready& told);
  void follow(end_point& at, bus::node::output& what);
  void drive(end_point& at);
  void hand_over(end_point& at);
  void check_received(end_point& at, const bus::received_frames& frames);
  void write(end_point& at);
  void read(end_point& at);
  void close_socket(end_point& at);
  void carry_bounce(end_point& at);
  void look(end_point& at);
  void check_bounds(host& at);
  void check_time(const end_point& at) const;
  void check_progress(const end_point& at) const;
  void check_end(const end_point& at, const bus::ended& what);
  void check_disconnect(const end_point& at, const bus::ended& what) const;
  void check_finished();
  void remove(host& at, bus::connection_id id);
  [[nodiscard]] bool bug_strikes(seeded_bug which, unsigned one_in = 1);
  void note(const std::function<std::string()>& text) const {
    if (settings_.trace)
      settings_.trace(std::to_string((now_.time_since_epoch() - std::chrono::seconds(1000))
                                     / std::chrono::milliseconds(1))
                      + " ms: " + text());
  }

  settings settings_;
  std::size_t held_before_;
  time_point now_{std::chrono::seconds(1000)};
  random choices_;
  std::uint64_t serial_ = 0; ///< Of the last message.
  coverage seen_;
  run_account account_;
  std::vector<std::unique_ptr<connection_record>> records_;
  std::vector<std::unique_ptr<host>> hosts_;
  std::optional<codecs::read_scratch> scratch_{std::in_place};
  std::vector<step> steps_;
  std::uint64_t steps_at_now_ = 0;
  std::vector<batch> kept_by_mistake_;
  std::vector<bus::outbox> queues_kept_by_mistake_;
};

} // namespace postbus::testing
