// peer_pair: two peer tables, A's and B's, and between them connections reduced to what tables see
// of them: hello, welcome, refuse, the end of the stream. Offers every step that can happen next, so
// that a search can try all orders; copyable, with a key that is equal for equal states.
#pragma once

#include "postbus/bus/peer_table.hpp"
#include "postbus/tests/support/session_end.hpp"

#include <array>
#include <string>
#include <vector>

namespace postbus::test {

class peer_pair {
public:
  enum end_name : unsigned { a = 0, b = 1 };

  /// A connection that somebody will dial at some time.
  struct dial {
    end_name to = b;            ///< The listening end.
    bool forged = false;        ///< Dialed by a third party that claims to be the other end.
    bool open_at_start = false; ///< Already open at both ends.
    bool dead = false;          ///< With `open_at_start`: only the listening end is left of it.
  };
  struct settings {
    std::vector<dial> dials;
    unsigned failures_max = 0; ///< Connections that may break at any time.
    bool a_is_smaller = true;
  };
  /// One thing that can happen next.
  struct step {
    enum class kind : std::uint8_t {
      start,
      deliver,
      decide,
      answer_probe,
      forge_on,
      forge_off,
      fail
    };
    kind what = kind::start;
    unsigned connection = 0;
    unsigned end = 0;
  };

  explicit peer_pair(const settings& how)
    : tables_{bus::peer_table(id_of(how.a_is_smaller ? 1 : 9)), bus::peer_table(id_of(5))},
      ids_{id_of(how.a_is_smaller ? 1 : 9), id_of(5)}, failures_left_(how.failures_max) {
    for (const auto& one : how.dials) {
      auto& c = connections_.emplace_back();
      c.how = one;
      if (one.open_at_start)
        open_at_start(static_cast<unsigned>(connections_.size() - 1));
    }
  }

  [[nodiscard]] std::vector<step> steps() const {
    std::vector<step> out;
    for (unsigned index = 0; index < connections_.size(); ++index) {
      const auto& c = connections_[index];
      if (!c.started) {
        out.push_back({step::kind::start, index, 0});
        continue;
      }
      for (const unsigned end : {0u, 1u}) {
        const auto& at = c.ends[end];
        if (!c.to[end].empty())
          out.push_back({step::kind::deliver, index, end});
        if (at.table == standing::asked)
          out.push_back({step::kind::decide, index, end});
        if (at.probed && c.ends[1 - end].session != stage::closing) // else its words are on the way
          out.push_back({step::kind::answer_probe, index, end});
      }
      const auto& forger = c.ends[1 - c.how.to];
      if (c.how.forged && forger.session == stage::welcomed) {
        out.push_back({step::kind::forge_on, index, 0});
        out.push_back({step::kind::forge_off, index, 0});
      }
      if (failures_left_ > 0 && !c.failed && !is_over(c))
        out.push_back({step::kind::fail, index, 0});
    }
    return out;
  }

  void take(const step& what) {
    auto& c = connections_[what.connection];
    switch (what.what) {
    case step::kind::start:
      c.started = true;
      c.ends[1 - c.how.to].session = stage::begun;
      c.ends[c.how.to].session = stage::begun;
      c.to[c.how.to].push_back(word::hello);
      break;
    case step::kind::deliver: {
      const auto said = c.to[what.end].front();
      c.to[what.end].erase(c.to[what.end].begin());
      deliver(what.connection, what.end, said);
      break;
    }
    case step::kind::decide:
      c.ends[what.end].table = standing::agreed;
      tables_[what.end].agreed(id_at(what.connection));
      break;
    case step::kind::answer_probe: {
      c.ends[what.end].probed = false;
      const auto other = c.ends[1 - what.end].session;
      const bool alive = (other == stage::open || other == stage::welcomed) && !c.failed;
      tables_[what.end].probed(id_at(what.connection), alive);
      break;
    }
    case step::kind::forge_on:
      c.ends[1 - c.how.to].session = stage::open;
      c.to[c.how.to].push_back(word::welcome);
      break;
    case step::kind::forge_off:
      c.ends[1 - c.how.to].session = stage::over;
      c.to[c.how.to].push_back(word::broken);
      break;
    case step::kind::fail:
      --failures_left_;
      c.failed = true;
      for (auto& way : c.to) {
        way.clear();
        way.push_back(word::broken);
      }
      break;
    }
    for (const unsigned end : {0u, 1u})
      act(end);
    invariants();
  }

  /// Open connections of an end, by their sessions.
  [[nodiscard]] std::vector<unsigned> open_at(unsigned end) const {
    std::vector<unsigned> out;
    for (unsigned index = 0; index < connections_.size(); ++index)
      if (connections_[index].ends[end].session == stage::open && !is_forger(index, end))
        out.push_back(index);
    return out;
  }
  [[nodiscard]] const bus::peer_table& table_of(unsigned end) const { return tables_[end]; }
  [[nodiscard]] const node_id& id_of_end(unsigned end) const { return ids_[end]; }
  [[nodiscard]] bool forged(unsigned index) const { return connections_[index].how.forged; }
  /// A connection that one end had open was turned away by the other.
  [[nodiscard]] bool turned_away_when_open() const { return turned_away_when_open_; }
  /// An honest connection, open at both ends and unbroken, was ended by a table.
  [[nodiscard]] bool kicked() const { return kicked_; }
  [[nodiscard]] unsigned failures_left() const { return failures_left_; }

  [[nodiscard]] std::string key() const {
    std::string out;
    for (const auto& c : connections_) {
      out += static_cast<char>('0' + (c.started ? 1 : 0) + (c.failed ? 2 : 0));
      for (const unsigned end : {0u, 1u}) {
        const auto& at = c.ends[end];
        out += static_cast<char>('a' + static_cast<int>(at.session));
        out += static_cast<char>('A' + static_cast<int>(at.table));
        out += at.probed ? '?' : '.';
        for (const auto said : c.to[end])
          out += static_cast<char>('0' + static_cast<int>(said));
        out += '|';
      }
    }
    for (const auto& order : order_) {
      for (const auto index : order)
        out += static_cast<char>('0' + index);
      out += '/';
    }
    out += static_cast<char>('0' + failures_left_);
    out += turned_away_when_open_ ? '!' : ' ';
    return out;
  }

private:
  enum class stage : std::uint8_t { none, begun, deciding, welcomed, open, closing, over };
  enum class standing : std::uint8_t { none, waiting, asked, agreed, accepted, open, turned_away };
  enum class word : std::uint8_t { hello, welcome, refuse, end, broken };

  struct half {
    stage session = stage::none;
    standing table = standing::none;
    bool probed = false;
  };
  struct connection {
    dial how;
    bool started = false;
    bool failed = false;
    std::array<half, 2> ends;
    std::array<std::vector<word>, 2> to; // on the way to this end
  };

  static bus::connection_id id_at(unsigned index) { return index + 1; }
  static bool is_over(const connection& c) {
    return c.ends[0].session == stage::over && c.ends[1].session == stage::over;
  }
  [[nodiscard]] bool is_forger(unsigned index, unsigned end) const {
    return connections_[index].how.forged && end != connections_[index].how.to;
  }

  void arrive(unsigned index, unsigned end) {
    auto& c = connections_[index];
    c.ends[end].session = stage::deciding;
    c.ends[end].table = standing::waiting;
    order_[end].push_back(index);
    // A restarted end has another incarnation than the dead connection, a forger any other.
    const std::uint64_t incarnation = c.how.forged ? 1000 + index : c.how.dead ? 7 : 8;
    tables_[end].arrived({.connection = id_at(index),
                          .peer = ids_[1 - end],
                          .incarnation = incarnation,
                          .dialed = end != c.how.to});
  }

  void open_at_start(unsigned index) {
    auto& c = connections_[index];
    c.started = true;
    for (const unsigned end : {0u, 1u}) {
      if (c.how.dead && end != c.how.to) {
        c.ends[end].session = stage::over;
        continue;
      }
      arrive(index, end);
      (void)tables_[end].next();
      tables_[end].agreed(id_at(index));
      (void)tables_[end].next();
      law(tables_[end].opened(id_at(index)), "not open at the start");
      c.ends[end].session = stage::open;
      c.ends[end].table = standing::open;
    }
  }

  void deliver(unsigned index, unsigned end, word said) {
    auto& c = connections_[index];
    auto& at = c.ends[end];
    if (at.session == stage::over)
      return;
    if (is_forger(index, end)) { // obeys nothing, but notices
      at.session = said == word::welcome ? stage::welcomed : stage::over;
      if (at.session == stage::over)
        c.to[1 - end].push_back(word::end);
      return;
    }
    switch (said) {
    case word::hello:
      if (at.session == stage::begun)
        arrive(index, end);
      return;
    case word::welcome:
      if (at.session == stage::begun)
        arrive(index, end);
      else if (at.session == stage::welcomed)
        open(index, end);
      return; // else it crossed our refusal
    case word::refuse:
      turned_away_when_open_ =
        turned_away_when_open_ || (at.session == stage::open && !c.how.forged);
      if (at.session != stage::closing)
        c.to[1 - end].push_back(word::end);
      at.session = stage::closing;
      return;
    case word::end:
      if (at.session != stage::closing)
        c.to[1 - end].push_back(word::end);
      return gone(index, end);
    case word::broken:
      return gone(index, end);
    }
  }

  void open(unsigned index, unsigned end) {
    auto& at = connections_[index].ends[end];
    at.session = stage::open;
    const bool lives = tables_[end].opened(id_at(index));
    law(lives, "a connection that was accepted may not live");
    at.table = standing::open;
  }

  void gone(unsigned index, unsigned end) {
    auto& at = connections_[index].ends[end];
    at.session = stage::over;
    at.table = standing::none;
    at.probed = false;
    std::erase(order_[end], index);
    tables_[end].gone(id_at(index));
  }

  // Does what the table of `end` wants done.
  void act(unsigned end) {
    for (int turns = 0; auto what = tables_[end].next(); ++turns) {
      law(turns < 1000, "a table without rest");
      std::visit(
        [&](const auto& one) { perform(end, static_cast<unsigned>(one.connection - 1), one); },
        *what);
    }
  }
  void perform(unsigned end, unsigned index, const bus::peer_table::ask&) {
    law(connections_[index].ends[end].table == standing::waiting, "asked twice");
    connections_[index].ends[end].table = standing::asked;
  }
  void perform(unsigned end, unsigned index, const bus::peer_table::accept&) {
    auto& c = connections_[index];
    auto& at = c.ends[end];
    law(at.table == standing::agreed, "accepted without being agreed to");
    at.table = standing::accepted;
    if (at.session != stage::deciding)
      return; // on its way out
    c.to[1 - end].push_back(word::welcome);
    at.session = stage::welcomed;
    if (end != c.how.to)
      open(index, end);
  }
  void perform(unsigned end, unsigned index, const bus::peer_table::turn_away&) {
    auto& c = connections_[index];
    auto& at = c.ends[end];
    law(at.table != standing::none && at.table != standing::turned_away, "turned away twice");
    at.table = standing::turned_away;
    kicked_ = kicked_ || at.session == stage::open;
    if (at.session == stage::closing)
      return;
    at.session = stage::closing;
    c.to[1 - end].push_back(word::refuse);
    c.to[1 - end].push_back(word::end);
  }
  void perform(unsigned end, unsigned index, const bus::peer_table::probe&) {
    law(connections_[index].ends[end].table == standing::open, "a probe of what is not open");
    connections_[index].ends[end].probed = true;
  }
  void perform(unsigned end, unsigned index, const bus::peer_table::displace&) {
    auto& c = connections_[index];
    kicked_ =
      kicked_
      || (!c.how.forged && !c.how.dead && !c.failed && c.ends[1 - end].session == stage::open);
    c.to[1 - end].push_back(word::broken);
    gone(index, end);
  }

  void invariants() const {
    for (const unsigned end : {0u, 1u}) {
      const auto open = open_at(end);
      law(open.size() <= 1, "two connections open at one end");
      const auto found = tables_[end].find(ids_[1 - end]);
      law(tables_[end].open_count() == (found ? 1 : 0), "open_count differs from find");
      if (!open.empty())
        law(found == id_at(open[0]), "find does not name the open connection");
    }
  }

  std::array<bus::peer_table, 2> tables_;
  std::array<node_id, 2> ids_;
  std::vector<connection> connections_;
  std::array<std::vector<unsigned>, 2> order_; // in which they arrived at an end
  unsigned failures_left_;
  bool turned_away_when_open_ = false;
  bool kicked_ = false;
};

} // namespace postbus::test
