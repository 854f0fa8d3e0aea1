# values: MessagePack bodies as `listen` shows them, also such as no good sender would make. Sent by a
# peer of 30 lines that knows the protocol from docs/PROTOCOL.md and nothing of the library.
import json
import os
import socket
import struct

from _tool import Case, main

HELLO, WELCOME, GOODBYE, CREDIT, MESSAGE = 1, 2, 4, 7, 16
CLOSED = 10


class Peer:
    """Dials, and sends bodies it is given."""

    def __init__(self, endpoint):
        host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        self.frame(HELLO, b"postbus\n" + struct.pack(">HH", 1, 1) + os.urandom(16) + bytes(16) + os.urandom(8) + b"\x80")
        self.await_kind(WELCOME)
        self.frame(WELCOME, struct.pack(">H", 1))
        self.sent_bytes = 0
        self.bytes_limit = 0

    def frame(self, kind, body, flags=0, tag=0):
        self.socket.sendall(struct.pack(">IBBH", len(body), kind, flags, tag) + body)

    def message(self, body, tag):
        """A frame may begin while there is credit for a byte."""
        while self.sent_bytes >= self.bytes_limit:
            _, self.bytes_limit, _, _ = struct.unpack(">IQQQ", self.await_kind(CREDIT))
        self.frame(MESSAGE, body, tag=tag)
        self.sent_bytes += 8 + len(body)

    def exactly(self, count):
        found = b""
        while len(found) < count:
            more = self.socket.recv(count - len(found))
            if not more:
                raise EOFError
            found += more
        return found

    def await_kind(self, wanted):
        while True:
            length, kind, _, _ = struct.unpack(">IBBH", self.exactly(8))
            body = self.exactly(length)
            if kind == wanted:
                return body

    def part(self):
        self.frame(GOODBYE, struct.pack(">HQ", CLOSED, 0))
        self.await_kind(GOODBYE)
        self.socket.close()


VALUES = (  # a body, and what it is as JSON
    (b"\xc0", None),
    (b"\xc3", True),
    (b"\xcf" + b"\xff" * 8, 2**64 - 1),
    (b"\xd3\x80" + bytes(7), -2**63),
    (b"\xcb\x3f\xf8" + bytes(6), 1.5),
    (b"\xca\x7f\x80\x00\x00", "infinity"),
    (b"\xcb\x7f\xf8" + bytes(6), "nan"),
    (b"\xa5hello", "hello"),
    (b"\xa2\xc3\x28", "\ufffd("),
    (b"\xc4\x03\x00\x01\xff", {"bin": "0001ff"}),
    (b"\xc7\x02\x05\xab\xcd", {"ext": 5, "data": "abcd"}),
    (b"\x93\x01\xa1a\x90", [1, "a", []]),
    (b"\x82\xa1k\x01\x02\xc2", {"k": 1, "2": False}),
    (b"", {"undecodable": "truncated_value"}),
    (b"\xc1", {"undecodable": "malformed_value"}),
    (b"\x01\x02", {"undecodable": "trailing_bytes"}),
    (b"\xdd\x0f\xff\xff\xff", {"undecodable": "too_many_elements"}),
    (b"\xdf\xff\xff\xff\xff", {"undecodable": "too_many_elements"}),
    (b"\xdb\xff\xff\xff\xff", {"undecodable": "truncated_value"}),
    (b"\x91" * 65 + b"\xc0", {"undecodable": "too_deep"}),
    (b"\xdc\x0b\xb8" + b"\xc0" * 3000, [None] * 3000),
    (b"\xdd\x00\x01\x00\x01" + b"\xc0" * 65537, {"undecodable": "too_many_elements"}),
)


class Values(Case):
    def say(self, *arguments):
        """What a listener writes when all values are sent to it."""
        listener = self.start("listen", "127.0.0.1:0", "--once", *arguments)
        line = listener.line("listening", stream="out")
        endpoint = json.loads(line)["endpoint"] if arguments else line.split()[1]
        peer = Peer(endpoint)
        for number, (body, _) in enumerate(VALUES):
            peer.message(body, number)
        peer.part()
        self.assertEqual(listener.end(), 0, listener.shown())
        self.assert_small(listener)
        return listener.out.decode()

    def test_values_are_json_and_what_is_none_is_named(self):
        messages = [each for each in map(json.loads, self.say("--json").splitlines()) if each["event"] == "message"]
        self.assertEqual(len(messages), len(VALUES))
        for message, (body, expected) in zip(messages, VALUES):
            self.assertEqual(message["value"], expected)
            self.assertEqual(message["bytes"], len(body))
        self.assertEqual([each["tag"] for each in messages], list(range(len(VALUES))))

    def test_values_are_shown_on_short_lines_without_control_characters(self):
        lines = [line for line in self.say().splitlines() if line.startswith("message")]
        self.assertEqual(len(lines), len(VALUES))
        self.assertIn('tag 7: "hello"', lines[7])
        for line in lines:
            self.assertLess(len(line), 500)
            self.assertNotRegex(line, r"[\x00-\x1f\x7f-\x9f]")


if __name__ == "__main__":
    main()
