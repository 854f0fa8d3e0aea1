// loop: one thread that waits for sockets and runs the actors bound to it, so that a socket
// callback and a message handler of one actor never race. Asio waits; the loop is the actors' context.
// Drive: construct, spawn bound actors, finish(). Never block on one. A loop is not destroyed while an
// actor is left on it, whose handles may be anywhere: who will not wait for that leaves the loop behind.
#pragma once

#include "postbus/actors/caf.hpp"
#include "postbus/bus/time.hpp"
#include "postbus/codecs/frame_reader.hpp"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

namespace asio {
class io_context;
}

namespace postbus::actors {

/// The time that the cores are told. The only clock that is read.
[[nodiscard]] inline time_point steady_now() noexcept {
  return std::chrono::steady_clock::now();
}

/// What an actor on a loop puts off until the others there have had their turn.
class late_work {
public:
  virtual void do_late() noexcept = 0;

protected:
  ~late_work() = default;
};

class loop final : public own_context {
public:
  explicit loop(caf::actor_system& system);
  /// Waits until no actor is left, however long that takes.
  ~loop() override;
  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;

  /// True on the thread of any loop of this process: blocking calls must not be made there.
  [[nodiscard]] static bool on_any() noexcept;
  [[nodiscard]] bool is_current() const noexcept;

  [[nodiscard]] asio::io_context& io() noexcept { return *io_; }
  /// Where every connection of this loop reads to, one at a time.
  [[nodiscard]] codecs::read_scratch& scratch() noexcept { return scratch_; }

  /// Ends the guests, waits until no bound actor is left, at most `within`, then ends the thread. False
  /// when one is left: the loop goes on, and may be asked again. Call from elsewhere.
  [[nodiscard]] bool finish(duration within);

  // -- on its thread ------------------------------------------------------------------

  /// Whether an actor other than the one that runs has something to do.
  [[nodiscard]] bool others_are_ready() const noexcept { return ready_.size() > next_; }
  /// Calls `what`, which `holder` keeps alive, once when all that is ready has had its turn.
  void put_off(late_work& what, caf::strong_actor_ptr holder) {
    late_.push_back({&what, std::move(holder)});
  }
  /// Sends `whom`, an actor that has nothing left to do, `finish` within some milliseconds: together with
  /// others that end, because each end alone wakes the thread of CAF's clock.
  void retire(caf::actor whom);

  // -- on any thread ------------------------------------------------------------------

  /// Runs an actor of this loop on its thread, and gives any other back to the system's workers.
  void take(caf::resumable* job) override;

  /// Counts actors that live on this loop; kept by `bound`.
  void count_actor(int change);
  /// Actors of the user's that live on this loop come and go; on its thread.
  void guest_came(const caf::actor& who);
  void guest_left(caf::actor_id who) { guests_.erase(who); }

private:
  void run();
  void run_ready();
  void do_late_work();
  void call_soon();
  void dismiss_retired();
  static void send_away(const caf::actor& guest);

  caf::actor_system& workers_of_;
  std::unique_ptr<asio::io_context> io_;
  codecs::read_scratch scratch_;

  // Actors that have something to do. The first to arrive from elsewhere rings the bell.
  std::mutex mutex_;
  std::vector<caf::resumable*> arriving_;
  bool bell_rung_ = false;
  int actors_ = 0;
  std::condition_variable deserted_;
  // The same from the loop's own thread.
  std::vector<caf::resumable*> ready_;
  std::size_t next_ = 0; // of these; the one before it runs
  bool running_ = false;
  bool called_ = false;
  struct put_off_work {
    late_work* what;
    caf::strong_actor_ptr holder;
  };
  std::vector<put_off_work> late_;
  struct retirement;
  std::unique_ptr<retirement> retired_;
  std::unordered_map<caf::actor_id, caf::actor> guests_;
  bool takes_guests_ = true;

  std::thread thread_;
};

/// An actor that lives on a loop: `Base` is a CAF event-based actor. Its handlers and the socket
/// callbacks it makes run on the loop's thread only. It must hold itself while a callback is pending.
template <class Base>
class bound : public Base {
public:
  bound(caf::actor_config& config, loop& home) : Base(config), loop_(home) { home.count_actor(1); }
  ~bound() override {
    if (counted_) // the constructor of what is derived has failed
      loop_.count_actor(-1);
  }

  using Base::enqueue;
  // Returns nothing in CAF 0.17, bool in 1.x.
  auto enqueue(caf::mailbox_element_ptr what, actor_context*)
    -> decltype(std::declval<Base&>().Base::enqueue(std::move(what), nullptr)) override {
    return Base::enqueue(std::move(what), &loop_);
  }
  void launch(actor_context*, bool lazy, bool hide) override { Base::launch(&loop_, lazy, hide); }
  // Tells the loop's own actors from others that CAF hands to the context of a sender.
  caf::resumable::subtype_t subtype() const noexcept override { return caf::resumable::io_actor; }

  void on_exit() final {
    leave();
    Base::on_exit();
    counted_ = false;
    loop_.count_actor(-1);
  }

protected:
  /// Closes sockets and timers and clears whatever holds this actor. Called once, when it ends.
  virtual void leave() = 0;
  [[nodiscard]] loop& home() const noexcept { return loop_; }

private:
  loop& loop_;
  bool counted_ = true;
};

/// Spawns an actor class derived from `bound` on its loop.
template <class Actor, class... Ts>
auto spawn_on(caf::actor_system& system, loop& home, Ts&&... arguments) {
  caf::actor_config config{&home, nullptr};
  return system.spawn_class<Actor, caf::no_spawn_options>(config, home,
                                                          std::forward<Ts>(arguments)...);
}

} // namespace postbus::actors
