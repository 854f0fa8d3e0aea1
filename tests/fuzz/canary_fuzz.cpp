// canary_fuzz: breaks a law on purpose. The tests demand that the fuzzer finds how, and that a replay
// of what it found fails: else neither proves anything about the other targets. `make corpus` leaves it out.
// The bug: a door that forgets its lock when it is slammed four times while it is locked and ajar. By
// chance nobody does that; the coverage of each step leads there.
#include "postbus/tests/fuzz/operations.hpp"

namespace {

class door {
public:
  void lock(unsigned key) {
    if (key == 0xca) // one key in 256
      locked_ = true;
  }
  void push() {
    if (!locked_)
      slams_ = 0;
    ajar_ = !ajar_;
  }
  void slam(unsigned force) {
    if (!locked_ || !ajar_)
      return;
    switch (slams_) {
    case 0:
      slams_ = force == 0x11 ? 1 : 0;
      break;
    case 1:
      slams_ = force == 0x5e ? 2 : 0;
      break;
    case 2:
      slams_ = force == 0xb0 ? 3 : 0;
      break;
    case 3:
      open_ = force == 0xe9;
      slams_ = 0;
      break;
    }
  }
  [[nodiscard]] bool is_consistent() const { return !(locked_ && open_); }

private:
  bool locked_ = false;
  bool ajar_ = false;
  bool open_ = false;
  int slams_ = 0;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  postbus::fuzz::operations in(data, size);
  door tested;
  while (in.more()) {
    switch (in.below(3)) {
    case 0:
      tested.lock(in.byte());
      break;
    case 1:
      tested.push();
      break;
    case 2:
      tested.slam(in.byte());
      break;
    }
    postbus::fuzz::law(tested.is_consistent(), "the canary's: no door is locked and open");
  }
  return 0;
}
