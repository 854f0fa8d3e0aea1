// endpoint: every form that names one, every way to get it wrong, and back to text.
// POSTBUS_TEST_SEED=<seed> replays a random run.
#include "postbus/bus/endpoint.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <random>
#include <string>

using namespace postbus;

namespace {

constexpr auto tcp = endpoint::transport::tcp;
constexpr auto tls = endpoint::transport::tls;
const std::string id_text = "00112233445566778899aabbccddeeff";
const auto id = node_id::parse(id_text).value();

std::uint64_t seed_of_run() {
  if (const char* given = std::getenv("POSTBUS_TEST_SEED"))
    return std::strtoull(given, nullptr, 10);
  return std::random_device{}();
}

} // namespace

TEST_CASE("each form of an endpoint parses and prints") {
  const struct {
    std::string text;
    endpoint parsed;
    std::string printed; // empty: as the text
  } cases[] = {
    {"tcp://127.0.0.1:4000", {"", tcp, {}, "127.0.0.1", 4000}, ""},
    {"tls://bus.example:65535", {"", tls, {}, "bus.example", 65535}, ""},
    {"tcp://[::1]:0", {"", tcp, {}, "::1", 0}, ""},
    {"tcp://0.0.0.0:0", {"", tcp, {}, "0.0.0.0", 0}, ""},
    {"tcp://[::]:1", {"", tcp, {}, "::", 1}, ""},
    {"tls://" + id_text + "@bus.example:4000", {"", tls, id, "bus.example", 4000}, ""},
    {"tcp://" + id_text + "@[fe80::1%eth0]:4000", {"", tcp, id, "fe80::1%eth0", 4000}, ""},
    {"msgpacknet+tcp://host:1", {"msgpacknet", tcp, {}, "host", 1}, ""},
    {"v2+tls://host:1", {"v2", tls, {}, "host", 1}, ""},
    {"host:4000", {"", tcp, {}, "host", 4000}, "tcp://host:4000"},
    {"[::1]:4000", {"", tcp, {}, "::1", 4000}, "tcp://[::1]:4000"},
    {id_text + "@host:4000", {"", tcp, id, "host", 4000}, "tcp://" + id_text + "@host:4000"},
    {"TCP://Host:1", {"", tcp, {}, "Host", 1}, "tcp://Host:1"},
    {"MsgPackNet+TLS://host:1", {"msgpacknet", tls, {}, "host", 1}, "msgpacknet+tls://host:1"},
    {"tcp://00112233445566778899AABBCCDDEEFF@host:1",
     {"", tcp, id, "host", 1},
     "tcp://" + id_text + "@host:1"},
    {"tcp://host:00080", {"", tcp, {}, "host", 80}, "tcp://host:80"},
    {"tcp://a-b_c.example.:1", {"", tcp, {}, "a-b_c.example.", 1}, ""},
    {"tcp://4000:1", {"", tcp, {}, "", 1}, "wrong"},
    {"tcp://[1:2:3:4:5:6:7:8]:1", {"", tcp, {}, "1:2:3:4:5:6:7:8", 1}, ""},
    {"tcp://[1:2:3:4:5:6:1.2.3.4]:1", {"", tcp, {}, "1:2:3:4:5:6:1.2.3.4", 1}, ""},
    {"tcp://[::ffff:127.0.0.1]:1", {"", tcp, {}, "::ffff:127.0.0.1", 1}, ""},
    {"tcp://[1::]:1", {"", tcp, {}, "1::", 1}, ""},
    {"tcp://[1:2:3::7:8]:1", {"", tcp, {}, "1:2:3::7:8", 1}, ""},
    {"tcp://[1:2:3:4:5:6:7::]:1", {"", tcp, {}, "1:2:3:4:5:6:7::", 1}, ""},
    {"tcp://[ABCD::ef01]:1", {"", tcp, {}, "ABCD::ef01", 1}, ""},
  };
  for (const auto& each : cases) {
    CAPTURE(each.text);
    const auto parsed = endpoint::parse(each.text);
    if (each.printed == "wrong") {
      CHECK(!parsed);
      continue;
    }
    if (!parsed)
      CAPTURE(parsed.error().detail);
    REQUIRE(parsed);
    CHECK(*parsed == each.parsed);
    CHECK(to_string(*parsed) == (each.printed.empty() ? each.text : each.printed));
  }
}

TEST_CASE("a text that is no endpoint is refused with what is wrong and where") {
  const std::string long_host(254, 'h');
  const struct {
    std::string text, detail;
  } cases[] = {
    {"", "the text is empty"},
    {"host", "the port is missing: host:port"},
    {"tcp://host", "the port is missing: host:port"},
    {"tcp://[::1]", "the port is missing: [::1]:port"},
    {"tcp://host:", "the port after ':' is missing"},
    {"tcp://[::1]:", "the port after ':' is missing"},
    {"tcp://host:http", "the port 'http' is no number"},
    {"tcp://host:-1", "the port '-1' is no number"},
    {"tcp://host:80/", "the port '80/' is no number"},
    {"tcp://host: 80", "the port ' 80' is no number"},
    {"tcp://host:65536", "the port '65536' is out of range: 0 to 65535"},
    {"tcp://host:99999999999999999999",
     "the port '99999999999999999999' is out of range: 0 to 65535"},
    {"tcp://", "the host is empty"},
    {"tcp://:4000", "the host is empty"},
    {":4000", "the host is empty"},
    {"tcp://[]:4000", "the host is empty"},
    {"tcp://" + id_text + "@:4000", "the host is empty"},
    {"tcp://[::1:4000", "the bracket '[' is not closed"},
    {"tcp://[::1]4000", "':' and a port must follow ']', not '4000'"},
    {"tcp://[127.0.0.1]:4000", "'127.0.0.1' in brackets is no IPv6 address"},
    {"tcp://[host]:4000", "'host' in brackets is no IPv6 address"},
    {"tcp://[::1::]:4000", "'::1::' in brackets is no IPv6 address"},
    {"tcp://[1:2:3:4:5:6:7]:1", "'1:2:3:4:5:6:7' in brackets is no IPv6 address"},
    {"tcp://[1:2:3:4:5:6:7:8:9]:1", "'1:2:3:4:5:6:7:8:9' in brackets is no IPv6 address"},
    {"tcp://[1:2:3:4::5:6:7:8]:1", "'1:2:3:4::5:6:7:8' in brackets is no IPv6 address"},
    {"tcp://[12345::]:1", "'12345::' in brackets is no IPv6 address"},
    {"tcp://[1:]:1", "'1:' in brackets is no IPv6 address"},
    {"tcp://[:1]:1", "':1' in brackets is no IPv6 address"},
    {"tcp://[:::1]:1", "':::1' in brackets is no IPv6 address"},
    {"tcp://[::1.2.3]:1", "'::1.2.3' in brackets is no IPv6 address"},
    {"tcp://[::1.2.3.4:5]:1", "'::1.2.3.4:5' in brackets is no IPv6 address"},
    {"tcp://[1:2:3:4:5:6:7:1.2.3.4]:1", "'1:2:3:4:5:6:7:1.2.3.4' in brackets is no IPv6 address"},
    {"tcp://[fe80::1%]:1", "the zone of 'fe80::1%' is no name of an interface"},
    {"tcp://[fe80::1%a b]:1", "the zone of 'fe80::1%a b' is no name of an interface"},
    {"::1:4000", "an IPv6 address needs brackets: [::1]:4000"},
    {"tcp://::1", "an IPv6 address needs brackets: [::1]:4000"},
    {"tcp://fe80::1%eth0:4000", "an IPv6 address needs brackets: [::1]:4000"},
    {"tcp://1:2:3:4:5:6:7:8:4000", "an IPv6 address needs brackets: [::1]:4000"},
    {"tcp://host:1:2", "more than one ':' in 'host:1:2'"},
    {"udp://host:1", "unknown transport 'udp': tcp or tls"},
    {"http://host:1", "unknown transport 'http': tcp or tls"},
    {"toby+udp://host:1", "unknown transport 'udp': tcp or tls"},
    {"toby://host:1", "unknown transport 'toby': tcp or tls"},
    {"://host:1", "the transport before '://' is missing: tcp or tls"},
    {"toby+://host:1", "the transport before '://' is missing: tcp or tls"},
    {"+tcp://host:1", "the dialect before '+' is missing"},
    {"2by+tcp://host:1", "the dialect '2by' is not a letter, then letters and digits"},
    {"to-by+tcp://host:1", "the dialect 'to-by' is not a letter, then letters and digits"},
    {"a+b+tcp://host:1", "the dialect 'a+b' is not a letter, then letters and digits"},
    {"tcp://@host:1", "before '@': a node id has 32 hexadecimal digits, not 0 characters"},
    {"tcp://alice@host:1", "before '@': a node id has 32 hexadecimal digits, not 5 characters"},
    {"tcp://x" + id_text.substr(1) + "@host:1",
     "before '@': character 1 of the node id is no hexadecimal digit"},
    {"tcp://" + std::string(32, '0') + "@host:1", "before '@': a node id of zeros is nobody's"},
    {"tcp://" + id_text + "@a@host:1", "the host 'a@host' contains '@'"},
    {"tcp://ho st:1", "the host 'ho st' contains ' '"},
    {"tcp://host\n:1", "the host 'host?' contains '?'"},
    {"tcp:/host:1", "more than one ':' in 'tcp:/host:1'"},
    {"tcp://a/b:1", "the host 'a/b' contains '/'"},
    {" tcp://host:1", "unknown transport ' tcp': tcp or tls"},
    {"tcp://256.0.0.1:1", "the host '256.0.0.1' is no IPv4 address"},
    {"tcp://127.1:1", "the host '127.1' is no IPv4 address"},
    {"tcp://127.0.0.01:1", "the host '127.0.0.01' is no IPv4 address"},
    {"tcp://1.2.3.4.5:1", "the host '1.2.3.4.5' is no IPv4 address"},
    {"tcp://" + long_host + ":1", "the host is longer than 253 characters"},
    {"tcp://host:" + std::string(100, 'x'),
     "the port '" + std::string(60, 'x') + "...' is no number"},
  };
  for (const auto& each : cases) {
    CAPTURE(each.text);
    const auto parsed = endpoint::parse(each.text);
    REQUIRE(!parsed);
    CHECK(parsed.error().detail == each.detail);
    CHECK(parsed.error().code == errc::bad_endpoint);
    CHECK(parsed.error().by == blame::local);
  }
}

TEST_CASE("an endpoint is local when its host is the loopback in any writing") {
  for (const auto* host : {"127.0.0.1", "127.255.255.255", "127.0.0.0", "localhost", "LocalHost",
                           "::1", "0:0:0:0:0:0:0:1", "0000::0001", "::0.0.0.1", "::1%lo",
                           "::ffff:127.0.0.1", "::FFFF:7f00:1"}) {
    CAPTURE(host);
    CHECK(endpoint{"", tcp, {}, host, 1}.is_local());
  }
  for (const auto* host :
       {"", "128.0.0.1", "126.255.255.255", "0.0.0.0", "10.0.0.1", "::", "::2", "fe80::1",
        "127.0.0", "127.0.0.1.example", "127.0.0.1.", "localhost.example", "localhos", "ocalhost",
        "1::1", "::ffff:128.0.0.1", "::127.0.0.1"}) {
    CAPTURE(host);
    CHECK(!endpoint{"", tcp, {}, host, 1}.is_local());
  }
}

TEST_CASE("any endpoint survives its text") {
  const auto seed = seed_of_run();
  MESSAGE("POSTBUS_TEST_SEED=" << seed);
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };
  const auto text_of = [&](std::string_view alphabet, std::size_t size) {
    std::string text;
    while (text.size() < size)
      text += alphabet[below(alphabet.size())];
    return text;
  };
  const auto number = [&] { return std::to_string(below(256)); };
  for (int run = 0; run < 5000; ++run) {
    endpoint where;
    if (below(2) == 0)
      where.dialect = text_of("abcxyz", 1) + text_of("abcxyz0189", below(10));
    where.over = below(2) == 0 ? tcp : tls;
    if (below(2) == 0)
      where.expected = node_id::random();
    switch (below(3)) {
    case 0:
      where.host = text_of("abcXYZ", 1) + text_of("abcXYZ019.-_", below(30));
      break;
    case 1:
      where.host = number() + "." + number() + "." + number() + "." + number();
      break;
    case 2: {
      const bool gap = below(2) == 0;
      const std::size_t groups = gap ? below(8) : 8;
      const std::size_t gap_at = gap ? below(groups + 1) : 9;
      for (std::size_t group = 0; group <= groups; ++group) {
        if (group == gap_at)
          where.host += "::";
        else if (group > 0 && group < groups)
          where.host += ":";
        if (group < groups)
          where.host += text_of("0123456789abcdefABCDEF", 1 + below(4));
      }
      break;
    }
    }
    where.port = static_cast<std::uint16_t>(below(65536));
    const auto text = to_string(where);
    CAPTURE(text);
    const auto parsed = endpoint::parse(text);
    REQUIRE(parsed);
    CHECK(*parsed == where);
  }
}

TEST_CASE("no text, however mangled, parses to an endpoint that does not survive") {
  const auto seed = seed_of_run();
  MESSAGE("POSTBUS_TEST_SEED=" << seed);
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const std::string whole = "toby+tls://" + id_text + "@[fe80::1%eth0]:4000";
  const std::string some = std::string("+:/@[]%.0aZ~ \n\xff") + '\0';
  for (int run = 0; run < 20000; ++run) {
    auto text = random() % 2 == 0 ? whole : std::string("tcp://127.0.0.1:80");
    for (auto changes = 1 + random() % 3; changes != 0; --changes) {
      const auto at = static_cast<std::size_t>(random() % (text.size() + 1));
      const char c = some[static_cast<std::size_t>(random() % some.size())];
      if (at == text.size() || random() % 3 == 0)
        text.insert(at, 1, c);
      else if (random() % 2 == 0)
        text.erase(at, 1 + static_cast<std::size_t>(random() % 4));
      else
        text[at] = c;
    }
    if (const auto parsed = endpoint::parse(text)) {
      CAPTURE(text);
      const auto again = endpoint::parse(to_string(*parsed));
      REQUIRE(again);
      CHECK(*again == *parsed);
    }
  }
}
