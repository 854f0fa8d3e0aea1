// hello_map: what a hello may be, in its prefix and in its map, and what becomes of any other.
#include "postbus/bus/control.hpp"
#include "postbus/tests/support/hex.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

using namespace postbus;
using namespace postbus::bus;
using test::hex;
using test::repeated;

namespace {

const auto alice = node_id::parse("a11ce000000000000000000000000001").value();
const auto bob = node_id::parse("b0b00000000000000000000000000002").value();

const std::string prefix_text = "'postbus' 0a  0001 0001"
                                "a11ce000000000000000000000000001"
                                "b0b00000000000000000000000000002"
                                "0102030405060708";

error wrong(std::span<const std::byte> body) {
  // A copy of its own size, so that a sanitizer sees a read behind the end.
  const auto exact = std::make_unique<std::byte[]>(body.size());
  std::copy(body.begin(), body.end(), exact.get());
  auto value = decode_hello({exact.get(), body.size()});
  return value ? error{errc::none, blame::local, {}} : std::move(value).error();
}

} // namespace

// -- prefix ------------------------------------------------------------------

TEST_CASE("a hello of another protocol is not Postbus's, from the first wrong byte on") {
  CHECK(wrong(hex("'G'")) == errc::not_postbus);
  CHECK(wrong(hex("'GET / HTTP/1.1' 0d0a")) == errc::not_postbus);
  CHECK(wrong(hex("'postbus' 0d")) == errc::not_postbus);
  CHECK(wrong(hex("'postbus'")) == errc::malformed_frame);
  CHECK(wrong(hex("")) == errc::malformed_frame);
}

TEST_CASE("a hello's versions are a range and its id is somebody's") {
  const std::string ids = "a11ce000000000000000000000000001 00000000000000000000000000000000";
  const std::string rest = "0000000000000000 80";
  CHECK(wrong(hex("'postbus' 0a 0001 0001" + ids + rest)) == errc::none);
  CHECK(wrong(hex("'postbus' 0a 0001 ffff" + ids + rest)) == errc::none);
  CHECK(wrong(hex("'postbus' 0a 0002 0001" + ids + rest)).detail
        == "hello: the versions are no range");
  CHECK(wrong(hex("'postbus' 0a 0000 0001" + ids + rest)).detail
        == "hello: the versions are no range");
  CHECK(wrong(hex("'postbus' 0a 0001 0001" + repeated("00", 32) + rest)).detail
        == "hello: the id is all zero");
}

TEST_CASE("of a hello without a common version only the prefix is read") {
  const auto later = decode_hello(hex("'postbus' 0a 0002 0005"
                                      "a11ce000000000000000000000000001"
                                      "b0b00000000000000000000000000002 0000000000000009"
                                      "'whatever version 2 likes'"));
  REQUIRE(later);
  CHECK(later->version_min == 2);
  CHECK(later->version_max == 5);
  CHECK(later->id == alice);
  CHECK(later->expected == bob);
  CHECK(later->incarnation == 9);
  CHECK(later->keepalive_ms == hello{}.keepalive_ms);
  CHECK(later->init.empty());
}

// -- map ---------------------------------------------------------------------

TEST_CASE("a hello's map may leave keys out, and bring keys and forms that are new") {
  const struct {
    const char* name;
    std::string map;
  } cases[] = {
    {"empty", "80"},
    {"only unknown keys", "82 a1'x' 01 a1'y' 93 c0 c2 82 01 02 03 a0"},
    {"an unknown key twice", "82 a1'x' 01 a1'x' 02"},
    {"keys of other types", "84 01 02  c0 03  91 01 04  82 01 02 03 04 05"},
    {"every kind of value", "de 001b"
                            "00 7f 00 e0 00 ff 00 c0 00 c2 00 c3"
                            "00 c401'x' 00 c50001'x' 00 c600000001'x'"
                            "00 c7010541 00 c800010541 00 c9000000010541"
                            "00 ca00000000 00 cb0000000000000000"
                            "00 ccff 00 cdffff 00 ceffffffff 00 cfffffffffffffffff"
                            "00 d080 00 d18000 00 d280000000 00 d38000000000000000"
                            "00 d40541 00 d5054141 00 d605"
                              + repeated("41", 4) + "00 d705" + repeated("41", 8) + "00 d805"
                              + repeated("41", 16)},
    {"long forms", "df 00000003 d901'x' dc0001 c0 da0001'y' dd00000001 c0 db00000001'z' de0000"},
    {"an integer in every form",
     "83 ac'keepalive_ms' d3 0000000000003a98"
     "af'frame_bytes_max' cf 0000000001000000 ac'requests_max' d1 0400"},
    {"the least keepalive", "81 ac'keepalive_ms' 64"},
    {"the longest keepalive", "81 ac'keepalive_ms' ce 0036ee80"},
    {"the smallest frames", "81 af'frame_bytes_max' cd 0400"},
    {"the largest frames", "81 af'frame_bytes_max' ce ffffffff"},
    {"no requests", "81 ac'requests_max' 00"},
    {"requests of any size", "81 b1'request_bytes_max' ceffffffff"},
    {"windows from the start", "82 ac'window_bytes' ceffffffff ad'window_frames' 00"},
    {"no features", "81 a8'features' 90"},
    {"64 features", "81 a8'features' dc0040" + repeated("a1'f'", 64)},
    {"a feature of 64 bytes", "81 a8'features' 91 d940" + repeated("'f'", 64)},
    {"an empty init", "81 a4'init' c400"},
    {"63 levels below the map", "81 a1'x'" + repeated("91", 62) + "90"},
  };
  for (const auto& each : cases) {
    CAPTURE(each.name);
    CHECK(wrong(hex(prefix_text + each.map)).detail == "");
  }
}

TEST_CASE("a hello's map that is anything else is malformed") {
  const struct {
    const char* name;
    std::string map, detail;
  } cases[] = {
    {"nothing", "", "the map is cut short"},
    {"an array", "90", "no map follows the prefix"},
    {"nil", "c0", "no map follows the prefix"},
    {"two maps", "80 80", "bytes follow the map"},
    {"a count without bytes", "df ffffffff", "the map is cut short, or a count in it is too large"},
    {"half a count", "df ffff", "the map is cut short"},
    {"one pair too few", "82 a1'x' 01", "the map is cut short, or a count in it is too large"},
    {"a map of keys", "81 a1'x'", "the map is cut short"},
    {"hostile array", "81 00 dd 0fffffff", "the map is cut short, or a count in it is too large"},
    {"hostile map", "81 00 df 7fffffff", "the map is cut short, or a count in it is too large"},
    {"hostile map inside", "81 00 81 00 de 0001 00",
     "the map is cut short, or a count in it is too large"},
    {"hostile string", "81 00 db ffffffff", "the map is cut short, or a count in it is too large"},
    {"hostile bytes", "81 00 c6 ffffffff", "the map is cut short, or a count in it is too large"},
    {"hostile extension", "81 00 c9 ffffffff",
     "the map is cut short, or a count in it is too large"},
    {"extension without contents", "81 00 d8 01",
     "the map is cut short, or a count in it is too large"},
    {"half a double", "81 00 cb 00000000", "the map is cut short, or a count in it is too large"},
    {"no value", "81 00 c1", "a byte that begins no MessagePack value"},
    {"no key", "81 c1 00", "a byte that begins no MessagePack value"},
    {"too deep", "81 a1'x'" + repeated("91", 63) + "90", "a value is nested too deeply"},
    {"too deep in maps", "81 a1'x'" + repeated("8101", 63) + "80", "a value is nested too deeply"},
    {"too deep in a key", "81" + repeated("91", 64) + "0000", "a value is nested too deeply"},
    {"keepalive too short", "81 ac'keepalive_ms' 63",
     "\"keepalive_ms\" is no integer from 100 to 3600000"},
    {"keepalive too long", "81 ac'keepalive_ms' ce 0036ee81",
     "\"keepalive_ms\" is no integer from 100 to 3600000"},
    {"keepalive beyond 32 bits", "81 ac'keepalive_ms' cf 0000000100003a98",
     "\"keepalive_ms\" is no integer from 100 to 3600000"},
    {"keepalive negative", "81 ac'keepalive_ms' ff",
     "\"keepalive_ms\" is no integer from 100 to 3600000"},
    {"keepalive negative, long", "81 ac'keepalive_ms' d1 8000",
     "\"keepalive_ms\" is no integer from 100 to 3600000"},
    {"keepalive a string", "81 ac'keepalive_ms' a5'15000'",
     "\"keepalive_ms\" is no integer from 100 to 3600000"},
    {"keepalive a double", "81 ac'keepalive_ms' cb 40cd4c0000000000",
     "\"keepalive_ms\" is no integer from 100 to 3600000"},
    {"keepalive missing", "81 ac'keepalive_ms'", "the map is cut short"},
    {"frames too small", "81 af'frame_bytes_max' cd 03ff",
     "\"frame_bytes_max\" is no integer from 1024 to 4294967295"},
    {"frames beyond 32 bits", "81 af'frame_bytes_max' cf 0000000100000000",
     "\"frame_bytes_max\" is no integer from 1024 to 4294967295"},
    {"requests beyond 32 bits", "81 ac'requests_max' cf 0000000100000000",
     "\"requests_max\" is no integer from 0 to 4294967295"},
    {"requests nil", "81 ac'requests_max' c0",
     "\"requests_max\" is no integer from 0 to 4294967295"},
    {"features a map", "81 a8'features' 80", "\"features\" is no array"},
    {"65 features", "81 a8'features' dc0041" + repeated("a1'f'", 65), "more than 64 features"},
    {"hostile features", "81 a8'features' dd ffffffff",
     "the map is cut short, or a count in it is too large"},
    {"a feature of 65 bytes", "81 a8'features' 91 d941" + repeated("'f'", 65),
     "a feature is not 1 to 64 printable ASCII characters"},
    {"an empty feature", "81 a8'features' 91 a0",
     "a feature is not 1 to 64 printable ASCII characters"},
    {"a feature of two lines", "81 a8'features' 91 a3'a' 0a 'b'",
     "a feature is not 1 to 64 printable ASCII characters"},
    {"a feature that is binary", "81 a8'features' 91 c401'f'", "a feature is no string"},
    {"too few features", "81 a8'features' 92 a1'f'", "the map is cut short"},
    {"init a string", "81 a4'init' a2'hi'", "\"init\" is not binary"},
    {"init cut short", "81 a4'init' c403'hi'",
     "the map is cut short, or a count in it is too large"},
    {"keepalive twice", "82 ac'keepalive_ms' 64 ac'keepalive_ms' 64", "a key occurs twice"},
    {"frames twice", "82 af'frame_bytes_max' cd0400 af'frame_bytes_max' cd0400",
     "a key occurs twice"},
    {"request bytes of text", "81 b1'request_bytes_max' a0",
     "\"request_bytes_max\" is no integer from 0 to 4294967295"},
    {"a negative window", "81 ac'window_bytes' ff",
     "\"window_bytes\" is no integer from 0 to 4294967295"},
    {"a window of very many frames", "81 ad'window_frames' cf0000000100000000",
     "\"window_frames\" is no integer from 0 to 4294967295"},
    {"a window twice", "82 ac'window_bytes' 00 ac'window_bytes' 00", "a key occurs twice"},
    {"requests twice", "82 ac'requests_max' 00 ac'requests_max' 00", "a key occurs twice"},
    {"features twice", "82 a8'features' 90 a8'features' 90", "a key occurs twice"},
    {"init twice", "82 a4'init' c400 d904'init' c400", "a key occurs twice"},
  };
  for (const auto& each : cases) {
    CAPTURE(each.name);
    const auto what = wrong(hex(prefix_text + each.map));
    CHECK(what.code == errc::malformed_frame);
    CHECK(what.by == blame::remote);
    CHECK(what.detail == "hello: " + each.detail);
  }
}

// -- encoding -------------------------------------------------------------------------

TEST_CASE("integers, strings and bytes of a hello take their shortest form") {
  hello value;
  value.id = alice;
  value.incarnation = 0x0102030405060708;
  value.keepalive_ms = 127;
  value.frame_bytes_max = 1024;
  value.requests_max = 200;
  value.request_bytes_max = 0;
  value.window_bytes = 65536;
  value.window_frames = 9;
  value.features = std::vector<std::string>(16, "f");
  value.features[3] = std::string(40, 'x');
  value.init = payload::copy_of(std::string(300, 'i'));
  const auto expected =
    hex("'postbus' 0a  0001 0001"
        "a11ce000000000000000000000000001 00000000000000000000000000000000 0102030405060708"
        "88 ac 'keepalive_ms' 7f  af 'frame_bytes_max' cd 0400  ac 'requests_max' cc c8"
        "b1 'request_bytes_max' 00  ac 'window_bytes' ce 00010000  ad 'window_frames' 09"
        "a8 'features' dc 0010 a1'f' a1'f' a1'f' d928 '"
        + repeated("x", 40) + "'" + repeated("a1'f'", 12) + "a4 'init' c5 012c '"
        + repeated("i", 300) + "'");
  const auto frame = encode(value);
  CHECK(codecs::load_header(frame.data()).length == expected.size());
  CHECK(payload::copy_of(frame.bytes().subspan(codecs::frame_header_bytes))
        == payload::copy_of(expected));
}
