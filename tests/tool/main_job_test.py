# main_job: a text file of more than a million lines goes through `send` and `listen --raw`, and the
# copy is the same, byte for byte.
import os

from _tool import Case, main

LINES = 1_200_000


def awkward_lines():
    """Lines of all kinds: empty, CRLF, no UTF-8, long, with a zero byte; the last has no newline."""
    kinds = (b"", b"\r", b"crlf\r", b"\xff\xfe\xc3(\x80", b"zero\0byte", b"Gr\xc3\xbc\xc3\x9fe",
             b"\r\r", b"tab\t", b"x" * 80, b"x" * 200)
    for number in range(LINES - 1):
        text = kinds[number % len(kinds)]
        yield (b"%d %s\n" % (number, text)) if number % 3 else text + b"\n"
        if number % 100_000 == 0:
            yield b"y" * 1_000_000 + b"\n"  # longer than every buffer
    yield b"the last line, without a newline"


class MainJob(Case):
    def copy(self, *arguments):
        listener, endpoint = self.listen_into("copy")
        sender = self.send_file(endpoint, "text", *arguments)
        self.assert_ends(sender, 0)
        self.assert_ends(listener, 0)
        self.assert_same("text", "copy")
        return sender, listener

    def test_a_million_awkward_lines_arrive_as_they_are(self):
        self.write("text", awkward_lines())
        sender, listener = self.copy()
        self.assert_small(sender)
        self.assert_small(listener)
        print(f"\n  send {sender.rss_kib} KiB, listen {listener.rss_kib} KiB; {sender.err.decode().strip()}")
        count = LINES + (LINES + 99_998) // 100_000
        self.assertIn(f"{count} messages sent, {count} confirmed", sender.err.decode())

    def test_small_inputs_arrive_as_they_are(self):
        for text in (b"", b"\n", b"\r\n", b"a", b"\n\n", b"a\nb", b"\0", b"\xff"):
            with self.subTest(text=text):
                self.write("text", [text])
                self.copy()

    def test_the_largest_line_fits_and_one_byte_more_is_refused(self):
        self.write("text", [b"before\n", b"z" * ((16 << 20) - 1) + b"\n", b"after\n"])
        self.copy()
        self.write("text", [b"before\n", b"z" * (16 << 20) + b"\n", b"after\n"])
        listener, endpoint = self.listen_into("copy")
        sender = self.send_file(endpoint, "text")
        self.assert_ends(sender, 1, "line 2 is longer", "--chunk", "1 message sent, 1 confirmed")
        self.assert_ends(listener, 0)
        self.assertEqual(os.path.getsize(self.path("copy")), len(b"before\n"))

    def test_a_file_named_on_the_command_line_is_sent(self):
        self.write("text", [b"one\n", b"two\n"])
        listener, endpoint = self.listen_into("copy")
        self.assert_ends(self.start("send", endpoint, self.path("text")), 0)
        self.assert_ends(listener, 0)
        self.assert_same("text", "copy")


if __name__ == "__main__":
    main()
