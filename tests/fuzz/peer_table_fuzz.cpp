// peer_table_fuzz: connections to three peers come, are decided, open, are probed and go, in any order;
// a model of every connection says which actions may come out, and which must.
// Input: an operation, and the connection or peer it is about; in the end everything open is answered.
#include "postbus/bus/peer_table.hpp"
#include "postbus/tests/fuzz/operations.hpp"

#include <map>

namespace {

using namespace postbus;
using bus::connection_id;
using bus::peer_table;
using fuzz::id_of;
using fuzz::law;

const node_id self = id_of(5);
const node_id peers[] = {id_of(1), id_of(9), id_of(6)};

enum class stage : std::uint8_t {
  arrived,     ///< Told to the table.
  asked,       ///< The application decides.
  agreed,      ///< It said yes; the table may hold it back.
  accepted,    ///< Accepted on the wire.
  open,        ///< The one.
  turned_away, ///< Refused; ends by and by.
  gone,        ///< Over.
};

class world {
public:
  void arrive(unsigned which, unsigned incarnation, bool dialed) {
    const auto id = ++last_;
    all_[id].who = {id, peers[which], incarnation, dialed};
    table_.arrived(all_[id].who);
    drain();
  }

  void decide(unsigned which, bool yes) {
    const auto id = pick(which, stage::asked);
    if (id == 0)
      return;
    if (!yes)
      return over(id);
    all_[id].at = stage::agreed;
    table_.agreed(id);
    drain();
  }

  void open(unsigned which) {
    if (const auto id = pick(which, stage::accepted); id != 0) {
      auto& at = all_[id];
      law(open_to(at.who.peer) == 0, "accepted beside an open one");
      const auto may = committed_beside(at) == 0;
      if (may)
        at.at = stage::open; // before the call, as the others are turned away because of it
      law(table_.opened(id) == may,
          "what was accepted and not turned away may open, unless we are committed to another");
      drain();
    }
  }

  // Its welcome crossed our refusal.
  void open_late(unsigned which) {
    const auto id = pick(which, stage::turned_away);
    if (id == 0 || !all_[id].was_accepted)
      return;
    law(!table_.opened(id), "what was turned away does not open");
    const auto answer = table_.next();
    const auto* away = answer ? std::get_if<peer_table::turn_away>(&*answer) : nullptr;
    law(away != nullptr && away->connection == id, "it is turned away again");
    drain();
  }

  void answer(unsigned which, bool alive) {
    const auto id = pick_open(which);
    if (id == 0 || !all_[id].probed)
      return;
    auto& at = all_[id];
    at.probed = false;
    at.silent = !alive && !at.leaving;
    table_.probed(id, alive);
    drain();
    at.silent = false;
  }

  void leave(unsigned which) {
    if (const auto id = pick_open(which); id != 0) {
      all_[id].leaving = true;
      table_.leaving(id);
      drain();
    }
  }

  void go(unsigned which) {
    if (!all_.empty())
      over(1 + which % last_);
  }

  // What nobody should say, or what comes too late, changes nothing.
  void stray(unsigned which, unsigned what) {
    const auto id = last_ == 0 ? 1 : 1 + which % (last_ + 1);
    const auto found = all_.find(id);
    const auto at = found == all_.end() ? stage::gone : found->second.at;
    if (what == 0 && at != stage::asked)
      table_.agreed(id);
    if (what == 1 && !(at == stage::open && found->second.probed))
      table_.probed(id, false);
    if (what == 2 && at != stage::open)
      table_.leaving(id);
    if (what == 3 && at == stage::gone)
      table_.gone(id);
    drain();
  }

  void finish(fuzz::operations& in) {
    for (int turns = 0; !is_quiet(); ++turns) {
      law(turns < 1000, "never at rest");
      const auto choice = in.byte();
      for (const auto& [id, at] : std::map(all_)) {
        const auto now = all_[id].at;
        if (now == stage::asked)
          decide_one(id, (choice & 1) == 0);
        else if (now == stage::accepted)
          (choice & 2) == 0 ? open_one(id) : over(id);
        else if (now == stage::open && all_[id].probed)
          answer_one(id, (choice & 4) == 0);
        else if (now == stage::turned_away || (now == stage::open && all_[id].leaving))
          over(id);
      }
    }
    for (const auto& [id, at] : all_)
      law(at.at == stage::open || at.at == stage::gone, "a connection without an answer");
    for (const auto& [id, at] : std::map(all_))
      if (at.at != stage::gone)
        over(id);
    law(table_.open_count() == 0, "something is left open");
    for (const auto& id : peers)
      law(!table_.find(id) && !table_.pending(id), "something is left");
  }

private:
  struct connection {
    peer_table::candidate who;
    stage at = stage::arrived;
    bool was_accepted = false;
    bool probed = false;  ///< Asked for a sign of life, and not answered yet.
    bool silent = false;  ///< Just now found so.
    bool leaving = false; ///< Its end has begun.
  };

  void decide_one(connection_id id, bool yes) { decide(rank(id, stage::asked), yes); }
  void open_one(connection_id id) { open(rank(id, stage::accepted)); }
  void answer_one(connection_id id, bool alive) { answer(rank(id, stage::open), alive); }

  void over(connection_id id) {
    if (all_[id].at == stage::gone)
      return;
    all_[id].at = stage::gone;
    table_.gone(id);
    drain();
  }

  [[nodiscard]] connection_id pick(unsigned which, stage at) const {
    std::size_t count = 0;
    for (const auto& [id, each] : all_)
      count += each.at == at ? 1 : 0;
    if (count == 0)
      return 0;
    auto left = which % count;
    for (const auto& [id, each] : all_)
      if (each.at == at && left-- == 0)
        return id;
    return 0;
  }
  [[nodiscard]] connection_id pick_open(unsigned which) const { return pick(which, stage::open); }
  [[nodiscard]] unsigned rank(connection_id of, stage at) const {
    unsigned before = 0;
    for (const auto& [id, each] : all_)
      before += id < of && each.at == at ? 1 : 0;
    return before;
  }

  [[nodiscard]] connection_id open_to(const node_id& peer) const {
    connection_id found = 0;
    for (const auto& [id, each] : all_)
      if (each.at == stage::open && each.who.peer == peer) {
        law(found == 0, "at most one open connection per peer");
        found = id;
      }
    return found;
  }
  // Whoever has accepted the connection it dialed takes it for open, against another incarnation.
  [[nodiscard]] connection_id committed_beside(const connection& at) const {
    for (const auto& [id, each] : all_)
      if (each.who.peer == at.who.peer && each.who.dialed && each.at == stage::accepted
          && each.who.incarnation != at.who.incarnation)
        return id;
    return 0;
  }
  [[nodiscard]] static bool is_undecided(const connection& at) { return at.at < stage::open; }
  [[nodiscard]] bool anybody_waits_for(const node_id& peer) const {
    return std::any_of(all_.begin(), all_.end(), [&](const auto& each) {
      return each.second.who.peer == peer && is_undecided(each.second);
    });
  }

  // docs/DESIGN.md, "Two dials at once", in its words.
  [[nodiscard]] bool must_yield(const connection& which) const {
    return std::any_of(all_.begin(), all_.end(), [&](const auto& each) {
      const connection& other = each.second;
      if (other.who.connection == which.who.connection || other.who.peer != which.who.peer)
        return false;
      if (other.who.dialed && other.at == stage::accepted)
        return true; // whoever has accepted the connection it dialed accepts no other
      if (other.who.dialed == which.who.dialed || other.who.incarnation != which.who.incarnation)
        return false;
      if (which.who.dialed) // the larger id holds its own back while it has accepted the other
        return which.who.peer < self && other.at == stage::accepted;
      return self < which.who.peer && other.at == stage::asked;
    });
  }

  void drain() {
    while (const auto action = table_.next())
      std::visit([this](const auto& what) { take(what); }, *action);
    check();
  }

  connection& known(connection_id id) {
    const auto found = all_.find(id);
    law(found != all_.end() && found->second.at != stage::gone, "about a connection that is there");
    return found->second;
  }

  void take(const peer_table::ask& what) {
    auto& at = known(what.connection);
    law(at.at == stage::arrived, "nobody is asked twice");
    law(open_to(at.who.peer) == 0, "nobody is asked beside an open connection");
    at.at = stage::asked;
  }
  void take(const peer_table::accept& what) {
    auto& at = known(what.connection);
    law(at.at == stage::agreed, "accepted once, and only what was agreed to");
    law(open_to(at.who.peer) == 0, "nothing is accepted beside an open connection");
    law(!must_yield(at), "what must yield is not accepted");
    at.at = stage::accepted;
    at.was_accepted = true;
  }
  void take(const peer_table::turn_away& what) {
    auto& at = known(what.connection);
    law(is_undecided(at), "turned away once, and never an open one");
    const auto open = open_to(at.who.peer);
    const auto other = open != 0 ? open : committed_beside(at);
    law(other != 0, "turned away only in favour of another");
    const auto same = all_[other].who.incarnation == at.who.incarnation;
    law(same || !(at.who.dialed && at.at == stage::accepted),
        "a dial of ours that was accepted is as good as open, whoever else claims to be the peer");
    law(what.reason == (same ? errc::already_connected : errc::id_in_use), "the right reason");
    at.at = stage::turned_away;
  }
  void take(const peer_table::probe& what) {
    auto& at = known(what.connection);
    law(at.at == stage::open && !at.leaving, "only an open connection is probed");
    law(!at.probed, "nothing is probed twice");
    law(anybody_waits_for(at.who.peer), "probed only for somebody who waits");
    at.probed = true;
  }
  void take(const peer_table::displace& what) {
    auto& at = known(what.connection);
    law(at.at == stage::open && at.silent, "only a silent connection is displaced");
    bool anybody = false;
    bool same = false;
    for (const auto& [id, other] : all_)
      if (other.who.peer == at.who.peer && is_undecided(other)) {
        anybody = true;
        same = same || other.who.incarnation == at.who.incarnation;
      }
    law(anybody, "displaced only for somebody who waits");
    law(what.reason == (same ? errc::peer_lost : errc::peer_restarted), "the right reason");
    at.leaving = true;
  }

  // What the table says of itself, and that nobody waits without a reason.
  void check() {
    std::size_t opened = 0;
    for (const auto& peer : peers) {
      const auto open = open_to(peer);
      opened += open != 0 ? 1 : 0;
      law(table_.find(peer) == (open != 0 ? std::optional(open) : std::nullopt), "find");
      law(table_.pending(peer) == anybody_waits_for(peer), "pending");
      if (open != 0 && anybody_waits_for(peer))
        law(all_[open].probed || all_[open].leaving, "who waits for an answer that is on its way");
    }
    law(table_.open_count() == opened, "open_count");
    for (const auto& [id, at] : all_) {
      law(table_.is_asked(id) == (at.at == stage::asked), "is_asked");
      if (open_to(at.who.peer) != 0)
        continue;
      law(at.at != stage::arrived, "with nothing open everybody is asked at once");
      law(at.at != stage::agreed || must_yield(at), "who need not yield is accepted at once");
    }
  }

  [[nodiscard]] bool is_quiet() const {
    return std::all_of(all_.begin(), all_.end(), [](const auto& each) {
      const auto& at = each.second;
      return at.at == stage::gone || (at.at == stage::open && !at.probed && !at.leaving);
    });
  }

  peer_table table_{self};
  std::map<connection_id, connection> all_;
  connection_id last_ = 0;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::operations in(data, size, 100);
  world all;
  while (in.more()) {
    const auto what = in.byte();
    const auto which = what >> 4;
    switch (what & 0xf) {
    case 0:
    case 1:
    case 2:
      all.arrive(which % 3, 1 + (which >> 2) % 2, which >= 8);
      break;
    case 3:
    case 4:
    case 5:
      all.decide(which, true);
      break;
    case 6:
      all.decide(which, false);
      break;
    case 7:
    case 8:
    case 9:
      all.open(which);
      break;
    case 10:
      all.open_late(which);
      break;
    case 11:
      all.answer(which, true);
      break;
    case 12:
      all.answer(which, false);
      break;
    case 13:
      all.leave(which);
      break;
    case 14:
      all.go(which + in.below(16));
      break;
    case 15:
      all.stray(in.byte(), which % 4);
      break;
    }
  }
  all.finish(in);
  return 0;
}
