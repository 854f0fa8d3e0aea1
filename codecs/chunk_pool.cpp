#include "postbus/codecs/chunk_pool.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <mutex>
#include <new>

#if defined(__has_feature)
#  if __has_feature(address_sanitizer)
#    define POSTBUS_ADDRESS_SANITIZER
#  endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(POSTBUS_ADDRESS_SANITIZER)
#  include <sanitizer/asan_interface.h>
#else
#  define ASAN_POISON_MEMORY_REGION(begin, bytes) (static_cast<void>(0))
#  define ASAN_UNPOISON_MEMORY_REGION(begin, bytes) (static_cast<void>(0))
#endif

namespace postbus::codecs {
namespace {

constexpr std::size_t size_classes =
  chunk_pool::largest_exponent - chunk_pool::smallest_exponent + 1;
constexpr std::uint8_t unpooled = 0xff; // the size class of chunks that are never kept

constexpr std::size_t class_bytes(std::size_t size_class) noexcept {
  return (std::size_t{1} << (chunk_pool::smallest_exponent + size_class)) + chunk_pool::slack_bytes;
}

constexpr std::size_t pooled_bytes_max = class_bytes(size_classes - 1);

// The smallest class whose chunks hold `bytes`, which is at most pooled_bytes_max.
constexpr std::size_t class_of(std::size_t bytes) noexcept {
  constexpr std::size_t smallest = std::size_t{1} << chunk_pool::smallest_exponent;
  const std::size_t without_slack =
    std::max(bytes, chunk_pool::slack_bytes + smallest) - chunk_pool::slack_bytes;
  return static_cast<std::size_t>(std::bit_width(without_slack - 1))
         - chunk_pool::smallest_exponent;
}

static_assert(class_of(0) == 0 && class_of(512) == 0 && class_of(513) == 1 && class_of(768) == 1);
static_assert(class_of(pooled_bytes_max) == size_classes - 1);

// What a thread and the depot trade under one lock: few bytes, but many chunks when they are small.
constexpr std::size_t group_bytes_max = std::size_t{256} << 10;
constexpr std::size_t group_chunks_max = 64;

constexpr std::size_t group_chunks(std::size_t size_class) noexcept {
  return std::clamp<std::size_t>(group_bytes_max / class_bytes(size_class), 1, group_chunks_max);
}

// Bytes of all pooled and unpooled chunks that exist. Changes only when the allocator is asked.
constinit std::atomic<std::size_t> existing_bytes{0};

} // namespace

// -- groups -------------------------------------------------------------------------

// A stack of free chunks of one size class.
struct chunk_pool::group {
  chunk* first = nullptr;
  std::size_t chunks = 0;

  void push(chunk* free_chunk) noexcept {
    free_chunk->next_free_ = first;
    first = free_chunk;
    ++chunks;
  }

  chunk* pop() noexcept {
    chunk* taken = first;
    first = taken->next_free_;
    --chunks;
    return taken;
  }

  static chunk* allocate(std::size_t bytes, std::uint8_t size_class) {
    void* room = ::operator new(sizeof(chunk) + bytes);
    existing_bytes.fetch_add(bytes, std::memory_order_relaxed);
    return new (room) chunk(bytes, size_class);
  }

  static void free(chunk* last_held) noexcept {
    existing_bytes.fetch_sub(last_held->capacity_, std::memory_order_relaxed);
    ASAN_UNPOISON_MEMORY_REGION(last_held->data(), last_held->capacity_);
    last_held->~chunk();
    ::operator delete(last_held);
  }

  void free_all() noexcept {
    while (chunks > 0)
      free(pop());
  }
};

// -- depot --------------------------------------------------------------------------

// Groups that no thread keeps to itself, and the list of all stores. One lock for each.
class chunk_pool::depot {
public:
  // Leaked, so that chunks find it while static objects are destroyed.
  static depot& instance() {
    static depot* const made = new depot;
    return *made;
  }

  // A whole group, or an empty one when there is none.
  group take(std::size_t size_class) noexcept {
    shelf& here = shelves_[size_class];
    std::lock_guard guard(here.lock);
    chunk* first = here.top;
    if (first == nullptr)
      return {};
    here.top = first->next_group_;
    kept_bytes_.fetch_sub(first->group_chunks_ * class_bytes(size_class),
                          std::memory_order_relaxed);
    return {first, first->group_chunks_};
  }

  // Keeps the group, or frees it when enough is kept.
  void put(std::size_t size_class, group spare) noexcept {
    if (spare.chunks == 0)
      return;
    const std::size_t bytes = spare.chunks * class_bytes(size_class);
    if (kept_bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes > kept_bytes_max) {
      kept_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
      spare.free_all();
      return;
    }
    spare.first->group_chunks_ = static_cast<std::uint16_t>(spare.chunks);
    shelf& here = shelves_[size_class];
    std::lock_guard guard(here.lock);
    spare.first->next_group_ = here.top;
    here.top = spare.first;
  }

  void trim() noexcept {
    for (std::size_t size_class = 0; size_class < size_classes; ++size_class)
      for (group spare = take(size_class); spare.chunks > 0; spare = take(size_class))
        spare.free_all();
  }

  std::size_t kept_bytes() const noexcept { return kept_bytes_.load(std::memory_order_relaxed); }

  void enlist(store& one) noexcept;
  void dismiss(store& one) noexcept;
  std::size_t bytes_kept_by_threads() noexcept;

private:
  struct alignas(64) shelf {
    std::mutex lock;
    chunk* top = nullptr;
  };

  std::array<shelf, size_classes> shelves_;
  std::atomic<std::size_t> kept_bytes_{0};
  std::mutex stores_lock_;
  store* stores_ = nullptr;
};

// -- store --------------------------------------------------------------------------

// What one thread keeps to itself: two groups of every size class. With two, a thread that goes
// back and forth across the border of a group does not go to the depot each time.
class chunk_pool::store {
public:
  // This thread's, or null once the thread is ending (and when there is no memory for one).
  static store* mine() noexcept {
    if (mine_ != nullptr) [[likely]]
      return mine_;
    return ended_ ? nullptr : begin();
  }

  chunk* take(std::size_t size_class) {
    pair& here = pairs_[size_class];
    if (here.near.chunks == 0) [[unlikely]] {
      std::swap(here.near, here.far);
      if (here.near.chunks == 0) {
        here.near = depot::instance().take(size_class);
        if (here.near.chunks == 0)
          return group::allocate(class_bytes(size_class), static_cast<std::uint8_t>(size_class));
        count(here.near.chunks * class_bytes(size_class));
      }
    }
    count(-class_bytes(size_class));
    return here.near.pop();
  }

  void give_back(chunk* last_held) noexcept {
    const std::size_t size_class = last_held->size_class_;
    pair& here = pairs_[size_class];
    if (kept_bytes() + class_bytes(size_class) > thread_bytes_max) [[unlikely]]
      flush();
    if (here.near.chunks == group_chunks(size_class)) [[unlikely]] {
      std::swap(here.near, here.far);
      count(-(here.near.chunks * class_bytes(size_class)));
      depot::instance().put(size_class, std::exchange(here.near, {}));
    }
    count(class_bytes(size_class));
    here.near.push(last_held);
  }

  void flush() noexcept {
    for (std::size_t size_class = 0; size_class < size_classes; ++size_class) {
      depot::instance().put(size_class, std::exchange(pairs_[size_class].near, {}));
      depot::instance().put(size_class, std::exchange(pairs_[size_class].far, {}));
    }
    kept_bytes_.store(0, std::memory_order_relaxed);
  }

  std::size_t kept_bytes() const noexcept { return kept_bytes_.load(std::memory_order_relaxed); }

private:
  friend class depot;

  struct pair {
    group near;
    group far;
  };

  // Ends the store with its thread. Chunks that are let go after that go to the depot at once.
  struct ending {
    ~ending() {
      ended_ = true;
      if (mine_ == nullptr)
        return;
      mine_->flush();
      depot::instance().dismiss(*mine_);
      delete std::exchange(mine_, nullptr);
    }
  };

  static store* begin() noexcept {
    thread_local ending at_thread_exit;
    static_cast<void>(&at_thread_exit);
    mine_ = new (std::nothrow) store;
    if (mine_ != nullptr)
      depot::instance().enlist(*mine_);
    return mine_;
  }

  // Only this thread writes it, so no read-modify-write is needed; others read it now and then.
  void count(std::size_t more) noexcept {
    kept_bytes_.store(kept_bytes() + more, std::memory_order_relaxed);
  }

  static constinit thread_local store* mine_;
  static constinit thread_local bool ended_;

  std::array<pair, size_classes> pairs_;
  std::atomic<std::size_t> kept_bytes_{0};
  store* previous_ = nullptr;
  store* next_ = nullptr;
};

constinit thread_local chunk_pool::store* chunk_pool::store::mine_ = nullptr;
constinit thread_local bool chunk_pool::store::ended_ = false;

void chunk_pool::depot::enlist(store& one) noexcept {
  std::lock_guard guard(stores_lock_);
  one.next_ = stores_;
  if (stores_ != nullptr)
    stores_->previous_ = &one;
  stores_ = &one;
}

void chunk_pool::depot::dismiss(store& one) noexcept {
  std::lock_guard guard(stores_lock_);
  (one.previous_ != nullptr ? one.previous_->next_ : stores_) = one.next_;
  if (one.next_ != nullptr)
    one.next_->previous_ = one.previous_;
}

std::size_t chunk_pool::depot::bytes_kept_by_threads() noexcept {
  std::lock_guard guard(stores_lock_);
  std::size_t sum = 0;
  for (const store* each = stores_; each != nullptr; each = each->next_)
    sum += each->kept_bytes();
  return sum;
}

// -- the pool -------------------------------------------------------------------------

chunk_ptr chunk_pool::take(std::size_t bytes) {
  chunk_ptr taken;
  if (bytes > pooled_bytes_max) [[unlikely]] {
    taken.chunk_ = group::allocate(bytes, unpooled);
    return taken;
  }
  const std::size_t size_class = class_of(bytes);
  store* own = store::mine();
  if (own == nullptr) [[unlikely]]
    taken.chunk_ = group::allocate(class_bytes(size_class), static_cast<std::uint8_t>(size_class));
  else
    taken.chunk_ = own->take(size_class);
  ASAN_UNPOISON_MEMORY_REGION(taken->data(), taken->capacity());
  return taken;
}

void chunk_pool::give_back(chunk* last_held) noexcept {
  if (last_held->size_class_ == unpooled) [[unlikely]]
    return group::free(last_held);
  last_held->holders_.store(1, std::memory_order_relaxed);
  ASAN_POISON_MEMORY_REGION(last_held->data(), last_held->capacity_);
  store* own = store::mine();
  if (own == nullptr) [[unlikely]] {
    group lone;
    lone.push(last_held);
    return depot::instance().put(last_held->size_class_, lone);
  }
  own->give_back(last_held);
}

void chunk_ptr::give_back(chunk* last_held) noexcept {
  chunk_pool::give_back(last_held);
}

std::size_t chunk_pool::held_bytes() noexcept {
  depot& shared = depot::instance();
  const std::size_t unused = shared.kept_bytes() + shared.bytes_kept_by_threads();
  const std::size_t existing = existing_bytes.load(std::memory_order_relaxed);
  return existing > unused ? existing - unused : 0; // they are read one after the other
}

std::size_t chunk_pool::kept_bytes() noexcept {
  const store* own = store::mine();
  return depot::instance().kept_bytes() + (own != nullptr ? own->kept_bytes() : 0);
}

void chunk_pool::trim() noexcept {
  if (store* own = store::mine(); own != nullptr)
    own->flush();
  depot::instance().trim();
}

} // namespace postbus::codecs

namespace postbus {

payload payload::copy_of(std::span<const std::byte> bytes) {
  if (bytes.empty())
    return {};
  codecs::chunk_ptr owner = codecs::chunk_pool::take(bytes.size());
  std::memcpy(owner->data(), bytes.data(), bytes.size());
  const std::byte* data = owner->data();
  return {std::move(owner), data, bytes.size()};
}

} // namespace postbus
