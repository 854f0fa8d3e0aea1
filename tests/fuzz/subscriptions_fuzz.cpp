// subscriptions_fuzz: subscribers come and go, messages and events are pushed, batches are held, kept
// as single messages and let go, in any order. A queue per subscriber says what must come out, and when.
// Input: one byte for the bound on batches in flight, then operations. As whoever drives the core does,
// a subscription is settled when, and only when, its receipt woke.
#include "postbus/bus/subscriptions.hpp"
#include "postbus/codecs/chunk_pool.hpp"
#include "postbus/tests/fuzz/operations.hpp"

#include <deque>
#include <set>
#include <vector>

namespace {

using namespace postbus;
using fuzz::id_of;
using fuzz::law;

class alarm : public bus::receipt {
public:
  bool take() noexcept { return std::exchange(rung_, false); }

private:
  void wake() noexcept override {
    law(!rung_, "one wake for each time it was wanted");
    rung_ = true;
  }
  bool rung_ = false;
};

struct item {
  enum class kind : std::uint8_t { messages, event, question } what = kind::event;
  std::uint64_t number = 0;
  friend bool operator==(const item&, const item&) = default;
};

struct pushed_batch {
  std::uint64_t number = 0;
  unsigned from = 0; // the peer, and its connection
  std::size_t messages = 0;
  bool given = false; // to anybody
};

struct subscriber {
  bus::subscription_id id = 0;
  bus::subscription_options wants;
  alarm* slot = nullptr; // alive as long as `hold`
  bus::shared<bus::receipt> hold;
  std::deque<item> expected;
  std::deque<std::pair<std::uint64_t, batch>> batches; // in its hands
  std::deque<std::pair<std::uint64_t, message>> messages;

  [[nodiscard]] std::set<std::uint64_t> in_hand() const {
    std::set<std::uint64_t> numbers;
    for (const auto& [number, each] : batches)
      numbers.insert(number);
    for (const auto& [number, each] : messages)
      numbers.insert(number);
    return numbers;
  }
};

class world {
public:
  explicit world(std::uint32_t in_flight_max)
    : in_flight_max_(in_flight_max), tested_(in_flight_max) {}

  void add(unsigned wants) {
    if (all_.size() == 5)
      return;
    auto& made = all_.emplace_back();
    made.wants = {(wants & 1) != 0, (wants & 2) != 0, (wants & 4) != 0};
    made.slot = new alarm;
    made.hold = bus::shared<bus::receipt>::adopt(made.slot);
    made.id = tested_.add(made.wants, made.hold);
    law(made.id > last_id_, "an id is never used twice");
    last_id_ = made.id;
    drain();
  }

  void remove(unsigned which) {
    if (all_.empty())
      return law(!tested_.remove(last_id_ + 1), "nobody of that name");
    which %= static_cast<unsigned>(all_.size());
    std::map<std::uint64_t, std::uint64_t> dropped;
    for (const auto& each : all_[which].expected) {
      const auto others = std::count_if(all_.begin(), all_.end(), [&](const subscriber& other) {
        return std::count(other.expected.begin(), other.expected.end(), each) > 0;
      });
      const auto* lost = each.what == item::kind::messages ? &batches_[each.number - 1] : nullptr;
      if (lost != nullptr && !lost->given && others == 1)
        dropped[lost->from] += lost->messages;
    }
    const auto id = all_[which].id;
    law(tested_.remove(id), "it was there");
    law(!tested_.remove(id), "it is removed once");
    law(tested_.take_dropped() == dropped, "what nobody else had or awaits is counted as dropped");
    law(tested_.take_dropped().empty(), "and counted once");
    gone_.push_back(std::move(all_[which])); // its hands may still be full
    gone_.back().expected.clear();
    all_.erase(all_.begin() + which);
    drain();
  }

  void push_messages(unsigned from, std::size_t count) {
    const auto number = batches_.size() + 1;
    batches_.push_back({number, from, count});
    auto frames = bus::shared<bus::received_frames>::adopt(new bus::received_frames(charge_));
    auto chunk = codecs::chunk_pool::take(count * 16);
    for (std::size_t index = 0; index < count; ++index) {
      auto* at = chunk->data() + index * 16;
      codecs::store_header(at, {8, codecs::frame_kind::message, codecs::frame_flag::opaque,
                                static_cast<std::uint16_t>(index)});
      codecs::store<std::uint64_t>(at + codecs::frame_header_bytes, number);
      frames->append(*chunk, at, at + 16);
    }
    chunk = {};
    frames->claimed.connection = from;
    std::size_t takers = 0;
    for (auto& each : all_)
      if (each.wants.messages) {
        ++takers;
        each.expected.push_back({item::kind::messages, number});
      }
    law(tested_.push(id_of(from), frames) == takers, "push says how many take it");
    frames = {};
    drain();
  }

  void push_event(bool question) {
    const auto number = ++events_;
    for (auto& each : all_)
      if (question ? each.wants.decides : each.wants.events)
        each.expected.push_back({question ? item::kind::question : item::kind::event, number});
    if (question)
      tested_.push(connection_request{number, id_of(1), {}, {}});
    else
      tested_.push(disconnected{id_of(1), {}, {number, 0, 0}, 0, 0});
    drain();
  }

  // Its oldest batch, or the newest; the first message of a batch may be kept alone.
  void let_go(unsigned which, unsigned how) {
    auto* at = holder(which);
    if (at == nullptr)
      return;
    if (how == 0 && !at->batches.empty())
      at->batches.pop_front();
    else if (how == 1 && !at->batches.empty())
      at->batches.pop_back();
    else if (how == 2 && !at->messages.empty())
      at->messages.pop_front();
    else if (how == 3 && !at->batches.empty())
      keep_first(*at);
    drain();
  }

  void hand_on_all() {
    in_flight_max_ = UINT32_MAX;
    tested_.hand_on_all();
    drain();
    for (const auto& each : all_)
      law(each.expected.empty(), "at the end everything is handed on");
  }

  void finish() {
    while (std::any_of(all_.begin(), all_.end(), [](const auto& each) {
      return !each.batches.empty() || !each.messages.empty();
    })) {
      for (auto& each : all_) {
        each.batches.clear();
        each.messages.clear();
      }
      drain();
    }
    for (const auto& each : all_)
      law(each.expected.empty(), "who lets go gets everything");
    gone_.clear();
    drain();
    law(charge_->frames() == pushed(), "everything was let go");
  }

private:
  subscriber* holder(unsigned which) {
    const auto count = all_.size() + gone_.size();
    if (count == 0)
      return nullptr;
    which %= static_cast<unsigned>(count);
    return which < all_.size() ? &all_[which] : &gone_[which - all_.size()];
  }

  static void keep_first(subscriber& of) {
    auto& [number, from] = of.batches.front();
    of.messages.emplace_back(number, from.take_first());
    law(codecs::load<std::uint64_t>(of.messages.back().second.bytes().data()) == number,
        "a message of its batch");
    if (from.empty())
      of.batches.pop_front();
  }

  void drain() {
    for (bool more = true; more;) {
      while (auto out = tested_.next())
        take(*out);
      more = false;
      for (auto& each : all_)
        if (each.slot->take()) {
          tested_.settle(each.id);
          more = true;
        }
    }
    check();
  }

  void take(bus::subscriptions::output& out) {
    const auto found =
      std::find_if(all_.begin(), all_.end(), [&](const auto& each) { return each.id == out.to; });
    law(found != all_.end(), "an output for a subscriber that is there");
    law(!found->expected.empty(), "nothing comes that was not pushed for it");
    const auto next = found->expected.front();
    found->expected.pop_front();
    if (auto* messages = std::get_if<batch>(&out.what)) {
      const auto number = codecs::load<std::uint64_t>((*messages->begin()).bytes().data());
      law(next == item{item::kind::messages, number}, "everything comes in order");
      law(messages->from() == id_of(batches_[number - 1].from), "from its sender");
      batches_[number - 1].given = true;
      law(messages->size() == batches_[number - 1].messages, "and whole");
      found->batches.emplace_back(number, std::move(*messages));
      law(found->in_hand().size() <= in_flight_max_, "no more batches in hand than the bound");
    } else {
      const auto& event = std::get<node_event>(out.what);
      const auto* question = std::get_if<connection_request>(&event);
      const auto got = question != nullptr
                         ? item{item::kind::question, question->connection}
                         : item{item::kind::event, std::get<disconnected>(event).account.sent};
      law(next == got, "every event comes once and in order");
    }
  }

  [[nodiscard]] std::uint64_t pushed() const {
    std::uint64_t sum = 0;
    for (const auto& each : batches_)
      sum += each.messages;
    return sum;
  }

  void check() {
    std::set<std::uint64_t> held;
    bool takes = false;
    bool decides = false;
    for (const auto* list : {&all_, &gone_})
      for (const auto& each : *list) {
        held.merge(each.in_hand());
        for (const auto& waits : each.expected)
          if (waits.what == item::kind::messages)
            held.insert(waits.number);
      }
    for (const auto& each : all_) {
      takes = takes || each.wants.messages;
      decides = decides || each.wants.decides;
      if (!each.expected.empty()) {
        law(each.expected.front().what == item::kind::messages,
            "an event waits for no batch but those before it");
        law(each.in_hand().size() == in_flight_max_,
            "nothing waits while there is room in its hands");
      }
    }
    law(tested_.anybody_takes_messages() == takes, "anybody_takes_messages");
    law(tested_.anybody_decides() == decides, "anybody_decides");
    std::uint64_t messages = 0;
    for (const auto number : held)
      messages += batches_[number - 1].messages;
    law(charge_->frames() == pushed() - messages, "charged is what somebody holds");
    law(charge_->bytes() == 16 * charge_->frames(), "with all its bytes");
  }

  std::uint32_t in_flight_max_;
  bus::shared<bus::receipt> charge_ = bus::shared<bus::receipt>::adopt(new bus::receipt);
  bus::subscriptions tested_;
  std::deque<subscriber> all_;
  std::deque<subscriber> gone_; // removed, with what they still hold
  std::vector<pushed_batch> batches_;
  std::uint64_t events_ = 0;
  bus::subscription_id last_id_ = 0;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::operations in(data, size, 512);
  const auto held_before = codecs::chunk_pool::held_bytes();
  {
    world all(1 + in.below(4));
    while (in.more()) {
      const auto what = in.byte();
      const auto which = what >> 4;
      switch (what & 0xf) {
      case 0:
      case 1:
        all.add(which);
        break;
      case 2:
        all.remove(which);
        break;
      case 3:
      case 4:
      case 5:
      case 6:
        all.push_messages(1 + which % 3, 1 + which / 3);
        break;
      case 7:
      case 8:
        all.push_event(which % 2 == 1);
        break;
      case 9:
        if (which == 15)
          all.hand_on_all();
        break;
      default:
        all.let_go(which, (what & 0xf) % 4);
        break;
      }
    }
    all.finish();
  }
  law(codecs::chunk_pool::held_bytes() == held_before, "nothing is left of any message");
  return 0;
}
