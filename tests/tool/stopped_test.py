# stopped: the receiver's process stands still for a while. Ten seconds do no harm; longer than three
# keepalive times, and both ends say what happened, and the sender how much is confirmed.
# With POSTBUS_LONG_TESTS=1 also the two minutes of the default settings.
# ctest-timeout: 400
import os
import select
import signal
import subprocess
import time
import unittest

from _tool import Case, Feeder, confirmed, main, numbered_lines

WIDTH = 64


class Stopped(Case):
    def begin(self, lines, *arguments, send=()):
        """A transfer, stopped in the middle."""
        self.write("text", numbered_lines(lines, WIDTH))
        self.listener, endpoint = self.listen_into("copy", *arguments)
        self.sender = self.start("send", endpoint, *arguments, *send, stdin=subprocess.PIPE)
        self.feeder = Feeder(self.sender, self.path("text"))
        self.addCleanup(self.feeder.end)
        self.assertTrue(self.feeder.feed(self.feeder.size // 2))
        self.listener.signal(signal.SIGSTOP)

    def assert_told_what_was_lost(self, seconds):
        """Both ends end with an error, and what is confirmed has been written."""
        self.feeder.feed(seconds=1)  # more than the sender takes: it has to say so while it waits
        self.assertEqual(self.sender.end(seconds), 1, self.sender.shown())
        self.assertRegex(self.sender.err.decode(), "peer_lost|peer_too_slow")
        self.assertIn("unconfirmed", self.sender.err.decode())
        self.assertIn("what is to be sent again begins at line", self.sender.err.decode())
        self.listener.signal(signal.SIGCONT)
        self.assert_ends(self.listener, 1, "was lost after")
        arrived = self.assert_begins("text", "copy") // WIDTH
        self.assertGreater(confirmed(self.sender), 0)
        self.assertLessEqual(confirmed(self.sender), arrived)
        print(f"\n{self.sender.err.decode()}{self.listener.err.decode()}")

    def test_ten_seconds_do_no_harm(self):
        self.begin(1_000_000, send=("--progress",))
        took_all = self.feeder.feed(seconds=10)  # the whole time: the sender stops taking
        self.assertFalse(took_all, "the sender buffers without bound")
        self.listener.signal(signal.SIGCONT)
        self.assertTrue(self.feeder.feed())
        self.feeder.end()
        self.assert_ends(self.sender, 0, "waiting for the peer: ", "1000000 messages sent, 1000000 confirmed")
        self.assert_ends(self.listener, 0)
        self.assert_same("text", "copy")
        self.assert_small(self.sender)
        self.assert_small(self.listener)

    def test_longer_than_three_keepalive_times_is_told_at_both_ends(self):
        self.begin(1_000_000, "--keepalive", "1s")
        self.assert_told_what_was_lost(20)

    @unittest.skipUnless(os.environ.get("POSTBUS_LONG_TESTS"), "takes two minutes")
    def test_two_minutes_are_told_at_both_ends(self):
        self.begin(1_000_000)
        continued = time.monotonic() + 120
        self.feeder.feed(seconds=120)  # until the sender has given up
        self.assertFalse(select.select([self.listener.exit_descriptor], [], [],
                                       max(0, continued - time.monotonic()))[0])
        self.assert_told_what_was_lost(60)


if __name__ == "__main__":
    main()
