// wheel_fuzz: reads its input as operations on a wheel; it must agree with a sorted map throughout.
// Five bytes each: what to do, a key, how far to shift, and two bytes of time.
#include "postbus/tests/fuzz/operations.hpp"
#include "postbus/tests/support/wheel_model.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace postbus;
  const auto horizon = time_point(duration(std::int64_t{1} << 61));
  test::wheel_beside_model both(time_point(std::chrono::hours(1)));
  for (; size >= 5; data += 5, size -= 5) {
    const auto key = data[1];
    const duration time((std::int64_t{data[3]} << 8 | data[4]) << (data[2] % 44));
    switch (data[0] % 5) {
    case 0:
      both.arm(key, both.now() + time);
      break;
    case 1:
      both.arm(key, both.now() - time % std::chrono::hours(2));
      break;
    case 2:
      both.disarm(key);
      break;
    case 3:
      if (both.now() < horizon)
        both.drive(both.now() + time);
      break;
    case 4:
      both.drive_at_deadline();
      break;
    }
  }
  while (both.wrong() == nullptr && both.drive_at_deadline()) {
  }
  fuzz::law(both.wrong() == nullptr, both.wrong() != nullptr ? both.wrong() : "");
  fuzz::law(both.tested().size() == 0, "every key comes out in the end");
  return 0;
}
