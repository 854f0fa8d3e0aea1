// control: the bytes of each control frame, written here from docs/PROTOCOL.md and not from the
// encoder, and what becomes of bytes that are anything else.
#include "postbus/bus/control.hpp"
#include "postbus/tests/support/hex.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

using namespace postbus;
using namespace postbus::bus;
using test::bytes;
using test::hex;
using test::joined;
using test::repeated;

namespace {

std::span<const std::byte> body_of(std::span<const std::byte> frame) {
  return frame.subspan(codecs::frame_header_bytes);
}

bool same(const payload& left, const bytes& right) {
  return left == payload::copy_of(right);
}

const auto alice = node_id::parse("a11ce000000000000000000000000001").value();
const auto bob = node_id::parse("b0b00000000000000000000000000002").value();

/// The hello of docs/PROTOCOL.md.
hello hello_of_alice() {
  hello value;
  value.id = alice;
  value.expected = bob;
  value.incarnation = 0x0102030405060708;
  value.window_bytes = 65536;
  value.window_frames = 2048;
  value.features = {"routing"};
  value.init = payload::copy_of(std::string_view("\xa2hi"));
  return value;
}

const std::string_view prefix_text = "'postbus' 0a  0001 0001"
                                     "a11ce000000000000000000000000001"
                                     "b0b00000000000000000000000000002"
                                     "0102030405060708";

const std::string_view map_text = "88"
                                  "ac 'keepalive_ms'    cd 3a98"
                                  "af 'frame_bytes_max' ce 01000000"
                                  "ac 'requests_max'    cd 0400"
                                  "b1 'request_bytes_max' ce 00400000"
                                  "ac 'window_bytes'    ce 00010000"
                                  "ad 'window_frames'   cd 0800"
                                  "a8 'features'        91 a7 'routing'"
                                  "a4 'init'            c4 03 a26869";

/// Every decoder by its name; says whether the body was taken.
struct decoder {
  const char* name;
  error (*wrong)(std::span<const std::byte>);
};

template <auto Decode>
error wrong_with(std::span<const std::byte> body) {
  auto value = Decode(body);
  return value ? error{errc::none, blame::local, {}} : std::move(value).error();
}

const decoder decoders[] = {
  {"hello", wrong_with<decode_hello>},   {"welcome", wrong_with<decode_welcome>},
  {"refuse", wrong_with<decode_refuse>}, {"goodbye", wrong_with<decode_goodbye>},
  {"probe", wrong_with<decode_probe>},   {"credit", wrong_with<decode_credit>},
};

error wrong(std::string_view name, std::span<const std::byte> body) {
  // A copy of its own size, so that a sanitizer sees a read behind the end.
  const auto exact = std::make_unique<std::byte[]>(body.size());
  std::copy(body.begin(), body.end(), exact.get());
  for (const auto& each : decoders)
    if (name == each.name)
      return each.wrong({exact.get(), body.size()});
  FAIL("no such decoder");
  return {};
}

} // namespace

// -- golden bytes -------------------------------------------------------------------

TEST_CASE("each frame is encoded to the bytes that the protocol says") {
  const struct {
    const char* name;
    payload encoded;
    std::string expected;
  } cases[] = {
    {"hello", encode(hello_of_alice()),
     "000000c0 01 00 0000" + std::string(prefix_text) + std::string(map_text)},
    {"welcome", encode(welcome{1}), "00000002 02 00 0000  0001"},
    {"refuse", encode(refuse{errc::rejected, "not today"}),
     "0000000b 03 00 0000  0018 'not today'"},
    {"refuse without words", encode(refuse{errc::wrong_node, ""}), "00000002 03 00 0000  0016"},
    {"goodbye", encode(goodbye{errc::closed, 1000, "bye"}),
     "0000000d 04 00 0000  000a 00000000000003e8 'bye'"},
    {"ping", encode_ping({0xfedcba9876543210}), "00000008 05 00 0000  fedcba9876543210"},
    {"pong", encode_pong({0xfedcba9876543210}), "00000008 06 00 0000  fedcba9876543210"},
    {"credit",
     encode(credit{.stream = 0, .bytes_limit = 65536, .frames_limit = 1024, .frames_taken = 7}),
     "0000001c 07 00 0000  00000000 0000000000010000 0000000000000400 0000000000000007"},
  };
  for (const auto& each : cases) {
    CAPTURE(each.name);
    CHECK(same(each.encoded, hex(each.expected)));
    CHECK(each.encoded.owner());
  }
}

TEST_CASE("the frames that docs/PROTOCOL.md shows are the ones that are encoded") {
  std::ifstream document(POSTBUS_SOURCE_DIR "/docs/PROTOCOL.md");
  REQUIRE(document);
  std::vector<std::string> shown;
  bool inside = false;
  for (std::string line; std::getline(document, line);) {
    if (line == "```hex") {
      inside = true;
      shown.emplace_back();
    } else if (line == "```") {
      inside = false;
    } else if (inside) {
      shown.back() += line.substr(0, line.find(';'));
    }
  }
  const payload encoded[] = {
    encode(hello_of_alice()),
    encode(welcome{1}),
    encode(refuse{errc::rejected, "not today"}),
    encode(credit{.stream = 0, .bytes_limit = 65536, .frames_limit = 1024, .frames_taken = 7}),
    encode_ping({0xfedcba9876543210}),
    encode_pong({0xfedcba9876543210}),
    encode(goodbye{errc::closed, 1000, "bye"}),
  };
  std::size_t control_frames = 0;
  for (const auto& each : shown) {
    CAPTURE(each);
    const auto frame = hex(each);
    REQUIRE(frame.size() >= codecs::frame_header_bytes);
    const auto header = codecs::load_header(frame.data());
    CHECK(header.length == frame.size() - codecs::frame_header_bytes);
    if (header.kind == codecs::frame_kind::message)
      continue;
    CHECK(std::count(std::begin(encoded), std::end(encoded), payload::copy_of(frame)) == 1);
    ++control_frames;
  }
  CHECK(control_frames == std::size(encoded));
}

TEST_CASE("each body decodes to its value") {
  const auto first = decode_hello(hex(std::string(prefix_text) + std::string(map_text)));
  REQUIRE(first);
  CHECK(first->version_min == 1);
  CHECK(first->version_max == 1);
  CHECK(first->id == alice);
  CHECK(first->expected == bob);
  CHECK(first->incarnation == 0x0102030405060708);
  CHECK(first->keepalive_ms == 15000);
  CHECK(first->frame_bytes_max == 16777216);
  CHECK(first->requests_max == 1024);
  CHECK(first->request_bytes_max == 4194304);
  CHECK(first->window_bytes == 65536);
  CHECK(first->window_frames == 2048);
  CHECK(first->features == std::vector<std::string>{"routing"});
  CHECK(first->init.text() == "\xa2hi");

  const auto yes = decode_welcome(hex("0003"));
  REQUIRE(yes);
  CHECK(yes->version == 3);

  const auto no = decode_refuse(hex("0018 'not today'"));
  REQUIRE(no);
  CHECK(no->reason == errc::rejected);
  CHECK(no->text == "not today");

  const auto end = decode_goodbye(hex("000b 00000000000003e8"));
  REQUIRE(end);
  CHECK(end->reason == errc::idle);
  CHECK(end->frames_taken == 1000);
  CHECK(end->text.empty());

  const auto sign = decode_probe(hex("fedcba9876543210"));
  REQUIRE(sign);
  CHECK(sign->token == 0xfedcba9876543210);

  const auto room =
    decode_credit(hex("01020304 1112131415161718 2122232425262728 3132333435363738"));
  REQUIRE(room);
  CHECK(*room == credit{0x01020304, 0x1112131415161718, 0x2122232425262728, 0x3132333435363738});
}

// -- length -------------------------------------------------------------------------

TEST_CASE("a body cut at any byte is malformed, unless what is left is whole") {
  const struct {
    const char* name;
    bytes body;
    std::size_t whole; // bytes from which on a cut body is good
  } cases[] = {
    {"hello", hex(std::string(prefix_text) + std::string(map_text)), 192},
    {"welcome", hex("0001"), 2},
    {"refuse", hex("0018 'no'"), 2},
    {"goodbye", hex("000a 0000000000000001 'bye'"), 10},
    {"probe", hex("0000000000000001"), 8},
    {"credit", hex("00000000 0000000000000001 0000000000000002 0000000000000003"), 28},
  };
  for (const auto& each : cases) {
    CAPTURE(each.name);
    for (std::size_t size = 0; size <= each.body.size(); ++size) {
      CAPTURE(size);
      const auto what = wrong(each.name, std::span(each.body).first(size));
      CHECK(what.code == (size < each.whole ? errc::malformed_frame : errc::none));
      if (size < each.whole) {
        CHECK(what.by == blame::remote);
        CHECK(!what.detail.empty());
      }
    }
  }
}

TEST_CASE("bytes behind the body are skipped in a welcome only") {
  CHECK(wrong("welcome", hex("0001 ff00")) == errc::none);
  CHECK(wrong("probe", hex("0000000000000001 00")) == errc::malformed_frame);
  CHECK(wrong("credit", hex(repeated("00", 29))) == errc::malformed_frame);
  CHECK(wrong("hello", hex(std::string(prefix_text) + std::string(map_text) + "00")).detail
        == "hello: bytes follow the map");
}

// -- reasons and text ---------------------------------------------------------------

TEST_CASE("a reason without a name, or none at all, reads as unknown") {
  for (const auto* number : {"0000", "0001", "0002", "7fff", "ffff"}) {
    CAPTURE(number);
    CHECK(decode_refuse(hex(number))->reason == errc::unknown);
    CHECK(decode_goodbye(hex(std::string(number) + "0000000000000000"))->reason == errc::unknown);
  }
  CHECK(decode_refuse(hex("0019"))->reason == errc::already_connected);
}

TEST_CASE("text from a peer is fit to be printed") {
  const struct {
    std::string_view said, shown;
  } cases[] = {
    {"", ""},
    {"plain words", "plain words"},
    {"Grüße, 世界, 🚌", "Grüße, 世界, 🚌"},
    {"two\nlines\r\n\tand \x1b[31mred\x7f", "two?lines???and ?[31mred?"},
    {std::string_view("zero\0zero", 9), "zero?zero"},
    {"\x80 alone", "? alone"},
    {"cut \xe4\xb8", "cut ??"},
    {"latin gr\xfc\xdf"
     "e",
     "latin gr??e"},
    {"slash \xc0\xaf \xe0\x80\xaf \xf0\x80\x80\xaf", "slash ?? ??? ????"},
    {"surrogate \xed\xa0\x80", "surrogate ???"},
    {"beyond \xf4\x90\x80\x80 \xf5\x80\x80\x80 \xff", "beyond ???? ???? ?"},
    {"last \xf4\x8f\xbf\xbf \xed\x9f\xbf \xee\x80\x80",
     "last \xf4\x8f\xbf\xbf \xed\x9f\xbf \xee\x80\x80"},
    {"c1 \xc2\x85 \xc2\xa0", "c1 ?? \xc2\xa0"},
    {"bad \xe4\x41\x42", "bad ?AB"},
  };
  for (const auto& each : cases) {
    CAPTURE(each.said);
    CHECK(clean_text(each.said) == each.shown);
    const auto said = std::as_bytes(std::span(each.said));
    CHECK(decode_refuse(joined(hex("0018"), bytes(said.begin(), said.end())))->text == each.shown);
    CHECK(
      decode_goodbye(joined(hex("000a 0000000000000000"), bytes(said.begin(), said.end())))->text
      == each.shown);
  }
}

TEST_CASE("text is cut between characters: what comes at 1 KiB, what goes to fit a body of 1 KiB") {
  const std::string ascii(5000, 'x');
  const std::string wide = repeated("世", 1000);
  CHECK(clean_text(ascii).size() == 1024);
  CHECK(clean_text(wide) == repeated("世", 341));
  CHECK(clean_text("é", 1) == "");
  CHECK(clean_text("\xc3", 1) == "?");

  CHECK(decode_refuse(hex("0018 '" + ascii + "'"))->text == std::string(1024, 'x'));
  CHECK(encode(refuse{errc::rejected, ascii}).size() == 8 + 1024);
  CHECK(encode(goodbye{errc::closed, 0, ascii}).size() == 8 + 1024);
  const auto said = encode(goodbye{errc::closed, 0, wide + "\n"});
  CHECK(said.size() == 8 + 10 + 1014);
  CHECK(decode_goodbye(body_of(said.bytes()))->text == repeated("世", 338));
}

TEST_CASE("text is cleaned before it is sent, too") {
  CHECK(same(encode(refuse{errc::rejected, "a\nb\xff"}), hex("00000006 03 00 0000 0018 'a?b?'")));
}
