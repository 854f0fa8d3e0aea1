// caf: everything that differs between CAF 0.17 and CAF 1.x, so that nothing else asks which CAF
// this is, and nothing else includes a CAF header. Only CAF's core library is used.
#pragma once

#include "postbus/codecs/result.hpp"

#include <caf/actor.hpp>
#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/logger.hpp>
#include <caf/message_handler.hpp>
#include <caf/scheduler.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#if CAF_MAJOR_VERSION >= 1
#  include <caf/anon_mail.hpp>
#  include <caf/init_global_meta_objects.hpp>
#endif

#include <chrono>
#include <string>
#include <utility>

// -- errors ---------------------------------------------------------------------------

// On 1.x the enumeration needs a type id, which it gets with the message types.
#if CAF_MAJOR_VERSION >= 1
CAF_ERROR_CODE_ENUM(postbus::errc)
#else
CAF_ERROR_CODE_ENUM(postbus::errc, "postbus")
#endif

// -- message types --------------------------------------------------------------------

/// Declares the message types that the list `TYPES(X)` names with X(type) each: once in the library,
/// at global scope. None is ever serialised, so none needs an inspector.
#if CAF_MAJOR_VERSION >= 1
#  define POSTBUS_ADD_TYPE_ID(type) CAF_ADD_TYPE_ID(postbus, (type))
#  define POSTBUS_DECLARE_MESSAGE_TYPES(TYPES)                                                     \
    CAF_BEGIN_TYPE_ID_BLOCK(postbus, caf::first_custom_type_id + 1000)                             \
    TYPES(POSTBUS_ADD_TYPE_ID)                                                                     \
    CAF_ADD_TYPE_ID(postbus, (postbus::errc))                                                      \
    CAF_END_TYPE_ID_BLOCK(postbus)                                                                 \
    TYPES(CAF_ALLOW_UNSAFE_MESSAGE_TYPE)                                                           \
    CAF_ALLOW_UNSAFE_MESSAGE_TYPE(postbus::errc)                                                   \
    namespace postbus::caf_detail {                                                                \
    using declared_types = caf::id_block::postbus;                                                 \
    }
#else
#  define POSTBUS_DECLARE_MESSAGE_TYPES(TYPES)                                                     \
    TYPES(CAF_ALLOW_UNSAFE_MESSAGE_TYPE)                                                           \
    namespace postbus::caf_detail {                                                                \
    using declared_types = void;                                                                   \
    }
#endif

namespace postbus {

static_assert(static_cast<int>(errc::malformed_value) < 256, "CAF keeps one byte of an error code");

/// The same reason as a CAF error, for a handler that fails.
[[nodiscard]] caf::error to_caf(const error& what);

/// The error that `to_caf` was given, its side forgotten; `node_closed` when the node's actor is over;
/// any other is `system_failed` in CAF's words.
[[nodiscard]] error from_caf(const caf::error& what);

/// What a CAF error says, ours and any other: "bad_endpoint (local): the text is no endpoint: …".
[[nodiscard]] std::string render(const caf::error& what);

namespace caf_detail {

// A template because 1.x knows the enumeration only where the message types are declared.
template <class Errc>
[[nodiscard]] bool is_one_of(const caf::error& what) {
#if CAF_MAJOR_VERSION >= 1
  return what && what.category() == caf::type_id_v<Errc>;
#else
  return what && what.category() == caf::detail::error_factory<Errc>::category;
#endif
}

[[nodiscard]] inline std::string words_of_caf(const caf::error& what) {
#if CAF_MAJOR_VERSION >= 1
  return to_string(what);
#else
  return caf::actor_system_config::render(what);
#endif
}

} // namespace caf_detail

// -- signatures -----------------------------------------------------------------------

namespace caf_detail {

template <class>
struct signature;

template <class B, class... A>
struct signature<B(A...)> {
#if CAF_MAJOR_VERSION >= 1
  using type = ::caf::result<B>(A...);
#else
  using type = typename ::caf::replies_to<A...>::template with<B>;
#endif
};

} // namespace caf_detail

/// `sig<B(A)>`: what takes an `A` and answers with a `B`, in a `caf::typed_actor`.
template <class S>
using sig = typename caf_detail::signature<S>::type;

// -- sending --------------------------------------------------------------------------

/// Sends without a sender.
template <class Handle, class... Ts>
void post(const Handle& to, Ts&&... what) {
#if CAF_MAJOR_VERSION >= 1
  caf::anon_mail(std::forward<Ts>(what)...).send(to);
#else
  caf::anon_send(to, std::forward<Ts>(what)...);
#endif
}

/// Asks, for an answer that `.then` or `.receive` takes.
template <class Self, class Handle, class... Ts>
auto ask(Self* self, const Handle& to, std::chrono::nanoseconds within, Ts&&... what) {
#if CAF_MAJOR_VERSION >= 1
  return self->mail(std::forward<Ts>(what)...).request(to, within);
#else
  return self->request(to, within, std::forward<Ts>(what)...);
#endif
}

// -- systems --------------------------------------------------------------------------

/// Where an actor runs.
#if CAF_MAJOR_VERSION >= 1
using actor_context = caf::scheduler;
#else
using actor_context = caf::execution_unit;
#endif

/// The base class of a context of our own: `loop`. CAF 0.17 and 1.x hand it their jobs by other names.
class own_context : public actor_context {
public:
  /// Takes a job over, with the reference that comes with it. Called from any thread.
  virtual void take(caf::resumable* job) = 0;

#if CAF_MAJOR_VERSION >= 1
  void schedule(caf::resumable* job) final {
    take(job);
  }
  void delay(caf::resumable* job) final {
    take(job);
  }
  void start() final {}
  void stop() final {}

protected:
  explicit own_context(caf::actor_system&) {}
#else
  void exec_later(caf::resumable* job) final {
    take(job);
  }

protected:
  explicit own_context(caf::actor_system& system) : actor_context(&system) {}
#endif
};

/// Gives a job to the workers of `system`.
template <class System>
void give_to_workers(System& system, caf::resumable* job) {
  auto& workers = system.scheduler();
  if constexpr (requires { workers.schedule(job); })
    workers.schedule(job);
  else
    workers.enqueue(job);
}

/// Settings the bus wants of a system: workers that share one queue and do not sleep.
inline void prefer_sharing(caf::actor_system_config& config) {
#if CAF_MAJOR_VERSION >= 1
  config.set("caf.scheduler.policy", "sharing");
#else
  config.set("scheduler.policy", caf::atom("sharing"));
#endif
}

/// True when the workers of `system` steal from each other: they sleep 50 µs at a time then, and a
/// message round trip costs 245 µs instead of 17.
[[nodiscard]] inline bool workers_steal(const caf::actor_system& system) {
#if CAF_MAJOR_VERSION >= 1
  return caf::get_or(system.config(), "caf.scheduler.policy", "stealing") == "stealing";
#else
  constexpr auto stealing = caf::atom("stealing");
  return caf::get_or(system.config(), "scheduler.policy", stealing) == stealing;
#endif
}

/// CAF 0.17 ties a thread that makes a system, or spawns in one, to the system's logger, and a system
/// that ends waits until all others have ended or forgotten it. What is made while one of these lives
/// leaves its thread as free as it was.
class untied_thread {
public:
  untied_thread() = default;
  untied_thread(const untied_thread&) = delete;
  untied_thread& operator=(const untied_thread&) = delete;
#if CAF_MAJOR_VERSION < 1
  ~untied_thread() {
    if (caf::logger::current_logger() != before_)
      caf::logger::set_current_actor_system(nullptr);
  }

private:
  const caf::logger* before_ = caf::logger::current_logger();
#else
  ~untied_thread() {}
#endif
};

/// From now on `self` answers `what` to everything it has no handler for.
inline void answer_others(caf::scheduled_actor& self, const error& what) {
#if CAF_MAJOR_VERSION >= 1
  self.set_default_handler(caf::scheduled_actor::default_handler(
    [what](caf::scheduled_actor*, caf::message&) -> caf::skippable_result {
      return to_caf(what);
    }));
#else
  self.set_default_handler(caf::scheduled_actor::default_handler(
    [what](caf::scheduled_actor*, caf::message_view&) -> caf::result<caf::message> {
      return to_caf(what);
    }));
#endif
}

namespace caf_detail {

// For init_message_types(), where all types are complete.
template <class Types>
void make_known() {
#if CAF_MAJOR_VERSION >= 1
  caf::init_global_meta_objects<Types>();
  caf::core::init_global_meta_objects();
#endif
}

} // namespace caf_detail

/// Makes this library's message types known to CAF. Before the first system; again does no harm.
void init_message_types();

} // namespace postbus
