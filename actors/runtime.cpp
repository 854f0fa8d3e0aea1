#include "postbus/actors/runtime.hpp"

#include "postbus/actors/loop.hpp"
#include "postbus/actors/node_access.hpp"
#include "postbus/actors/node_shell.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace postbus {

namespace {

// Added to the time nodes have for closing, before what is left is reset, and again before it is
// left behind.
constexpr auto reset_time = std::chrono::seconds(4);

void warn_of_stealing(const caf::actor_system& system) {
  static std::once_flag once;
  if (workers_steal(system))
    std::call_once(once, [] {
      std::fputs("postbus: this actor system's workers steal and sleep, which makes a round trip "
                 "through an actor\n"
                 "         245 us instead of 17; make it from postbus::system_config, or set the "
                 "scheduler's\n"
                 "         policy to sharing\n",
                 stderr);
    });
}

} // namespace

system_config::system_config() {
  init_message_types();
  prefer_sharing(*this);
}

struct runtime::parts {
  explicit parts(runtime_options options) : how(options) {}

  runtime_options how;
  // In this order: loops need the system, the system its configuration.
  std::unique_ptr<system_config> own_config;
  std::unique_ptr<caf::actor_system> own_system;
  caf::actor_system* system = nullptr;
  std::vector<std::unique_ptr<actors::loop>> loops;
  std::mutex mutex;
  std::vector<std::weak_ptr<actors::node_access>> nodes;
  std::size_t next_loop = 0;

  void make_loops() {
    for (unsigned count = 0; count < std::max(how.loops, 1u); ++count)
      loops.push_back(std::make_unique<actors::loop>(*system));
  }

  // Whoever still runs there may be reached by handles, and needs the system. A thread that nobody waits
  // for waits for them, and destroys both.
  void leave_behind(std::vector<std::unique_ptr<actors::loop>> busy) {
    std::fputs("postbus: something on a loop does not end; the loop is left to it\n", stderr);
    struct remains {
      // In this order: loops need the system, the system its configuration.
      std::unique_ptr<system_config> config;
      std::unique_ptr<caf::actor_system> system;
      std::vector<std::unique_ptr<actors::loop>> loops;
    };
    auto* left = new remains{std::move(own_config), std::move(own_system), std::move(busy)};
    try {
      std::thread([left] { delete left; }).detach();
    } catch (const std::system_error&) {
      // No thread to wait for them: they stay as long as the process.
    }
  }
};

runtime::runtime(runtime_options how) : parts_(std::make_unique<parts>(how)) {
  parts_->own_config = std::make_unique<system_config>();
  const untied_thread untied;
  parts_->own_system = std::make_unique<caf::actor_system>(*parts_->own_config);
  parts_->system = parts_->own_system.get();
  parts_->make_loops();
}

runtime::runtime(caf::actor_system& system, runtime_options how)
  : parts_(std::make_unique<parts>(how)) {
  parts_->system = &system;
  warn_of_stealing(system);
  parts_->make_loops();
}

runtime::~runtime() {
  if (actors::loop::on_any()) {
    std::fputs("postbus: a runtime is destroyed on a loop, which would wait for itself for ever\n",
               stderr);
    std::abort();
  }
  std::vector<std::shared_ptr<actors::node_access>> open;
  for (const auto& each : parts_->nodes)
    if (auto access = each.lock())
      open.push_back(std::move(access));
  const auto drained = later(actors::steady_now(), parts_->how.close_time);
  for (const auto& each : open)
    each->shell()->wake(actors::ask_close{{parts_->how.close_time, errc::shutting_down}});
  for (const auto& each : open)
    if (!each->wait_closed_until(later(drained, reset_time)))
      each->shell()->wake(actors::ask_end{});
  for (const auto& each : open)
    (void)each->wait_closed_until(later(drained, 2 * reset_time));
  for (const auto& each : open)
    each->end_functions();
  // All are told before one is waited for, and all together have one time.
  for (const auto& each : parts_->loops)
    (void)each->finish({});
  const auto given_up = later(actors::steady_now(), reset_time);
  std::vector<std::unique_ptr<actors::loop>> busy;
  for (auto& each : parts_->loops)
    if (!each->finish(given_up - actors::steady_now()))
      busy.push_back(std::move(each));
  if (!busy.empty())
    parts_->leave_behind(std::move(busy));
}

node runtime::spawn_node(node_options how) {
  const auto id = how.id;
  if (auto made = try_spawn_node(std::move(how)))
    return *made;
  auto access = std::make_shared<actors::node_access>(id);
  access->close();
  return node{std::move(access)};
}

result<node> runtime::try_spawn_node(node_options how) {
  if (auto checked = how.bounds.check(); !checked)
    return checked.error();
  if (how.init.size() > bus::init_bytes_max)
    return error{errc::bad_option, blame::local, "an init message above 8 KiB"};
  if (!how.id)
    how.id = node_id::random();
  auto access = std::make_shared<actors::node_access>(how.id);
  std::lock_guard guard(parts_->mutex);
  if (parts_->nodes.size() == parts_->nodes.capacity()) // not at each: there may be thousands
    std::erase_if(parts_->nodes, [](const auto& each) { return each.expired(); });
  auto& home = *parts_->loops[parts_->next_loop++ % parts_->loops.size()];
  const untied_thread untied;
  caf::actor actor;
  try {
    actor = actors::spawn_on<actors::node_shell>(
      *parts_->system, home,
      bus::node::options{how.id,
                         random_u64(),
                         std::move(how.init),
                         std::make_shared<const limits>(how.bounds),
                         how.hand_back_unsent,
                         {}},
      access);
  } catch (const std::exception& failed) { // the first node of a loop takes its descriptors
    return error{errc::system_failed, blame::local, failed.what()};
  }
  access->shell()->attach(actor);
  access->open(caf::actor_cast<node_actor>(actor));
  parts_->nodes.push_back(access);
  return node{std::move(access)};
}

caf::actor_system& runtime::system() noexcept {
  return *parts_->system;
}

int runtime::fail(const error& what) const {
  std::fprintf(stderr, "postbus: %s\n", to_string(what).c_str());
  return 1;
}

} // namespace postbus
