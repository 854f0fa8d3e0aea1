# ends: signals, a reader that goes away, and processes that die. What is confirmed has been written,
# and whoever is left says what happened.
import select
import signal
import socket
import subprocess

from _tool import PATIENCE, Case, Feeder, confirmed, main, numbered_lines

WIDTH = 64
LINES = 400_000


class Ends(Case):
    def begin(self, *listen_arguments, stdout_pipe=False):
        """A transfer with half of its lines on the way."""
        self.write("text", numbered_lines(LINES, WIDTH))
        if stdout_pipe:
            self.listener, self.endpoint = self.listen("--raw", *listen_arguments)
        else:
            with open(self.path("copy"), "wb") as file:
                self.listener, self.endpoint = self.listen("--raw", *listen_arguments, stdout=file)
        self.sender = self.start("send", self.endpoint, stdin=subprocess.PIPE)
        self.feeder = Feeder(self.sender, self.path("text"))
        self.addCleanup(self.feeder.end)
        # Of what nobody reads there has to be room for all on the way, at either end.
        self.assertTrue(self.feeder.feed(4 << 20 if stdout_pipe else self.feeder.size // 2))

    def assert_confirmed_is_written(self):
        arrived = self.assert_begins("text", "copy") // WIDTH
        self.assertLessEqual(confirmed(self.sender), arrived)
        return arrived

    def test_a_sender_that_is_interrupted_drains(self):
        self.begin("--once")
        self.sender.signal(signal.SIGINT)
        self.assert_ends(self.sender, 1, "stopping in order", "interrupted", "begins at line")
        self.assert_ends(self.listener, 0)
        self.assertEqual(confirmed(self.sender), self.assert_confirmed_is_written())

    def test_a_sender_that_waits_for_input_is_interrupted(self):
        listener, endpoint = self.listen("--raw", "--once")
        sender = self.start("send", endpoint, stdin=subprocess.PIPE)
        sender.stdin.write(b"one\nunfinished")
        sender.stdin.flush()
        listener.line("one", stream="out")
        sender.signal(signal.SIGTERM)
        self.assert_ends(sender, 1, "interrupted", "1 message sent, 1 confirmed")
        self.assert_ends(listener, 0)
        self.assertEqual(listener.out, b"one\n")

    def test_a_listener_that_is_interrupted_drains(self):
        self.begin()
        self.listener.signal(signal.SIGINT)
        self.assert_ends(self.listener, 0, "stopping in order", "closed (local)")
        self.feeder.feed(seconds=1)
        self.assert_ends(self.sender, 1, "the connection is over: closed (remote)")
        self.assertEqual(confirmed(self.sender), self.assert_confirmed_is_written())

    def test_a_listener_without_peers_is_interrupted(self):
        listener, _ = self.listen()
        listener.signal(signal.SIGTERM)
        self.assertEqual(listener.end(), 0, listener.shown())
        listener, _ = self.listen_into("copy")
        listener.signal(signal.SIGTERM)
        self.assert_ends(listener, 1, "before any peer")

    def test_the_second_signal_ends_at_once(self):
        self.begin()
        self.listener.signal(signal.SIGSTOP)
        self.feeder.feed(seconds=1)
        self.sender.signal(signal.SIGINT)
        self.sender.line("stopping in order")
        self.sender.signal(signal.SIGINT)
        self.assert_ends(self.sender, 130, "stopped at once")
        self.listener.signal(signal.SIGCONT)
        self.listener.line("disconnected")
        self.listener.signal(signal.SIGINT)
        self.assert_ends(self.listener, 1, "was lost after")
        self.assert_begins("text", "copy")

    def test_a_signal_while_connecting_ends_at_once(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            sender = self.start("send", f"127.0.0.1:{silent.getsockname()[1]}")
            self.assertTrue(select.select([silent], [], [], 60)[0])
            sender.signal(signal.SIGINT)
            self.assert_ends(sender, 130, "stopped")

    def test_a_reader_that_has_seen_enough_ends_the_listener(self):
        self.begin("--once", stdout_pipe=True)
        first = self.listener.line("1", stream="out")
        self.assertEqual(first.strip(), "1")
        self.listener.close_stdout()
        self.assert_ends(self.listener, 1, "writing to stdout: whoever read it has closed it")
        self.feeder.feed(seconds=1)
        self.assert_ends(self.sender, 1, "unconfirmed")
        self.assertLess(confirmed(self.sender), LINES // 2)

    def test_a_listener_whose_reader_stands_still_ends_after_its_drain_time(self):
        self.begin("--drain", "500ms", stdout_pipe=True)
        self.listener.signal(signal.SIGINT)
        self.feeder.feed(seconds=1)
        self.sender.signal(signal.SIGINT)
        self.assert_ends(self.sender, 1, "unconfirmed")
        self.assertEqual(self.listener.end(), 0, self.listener.err)  # all it took was written, if late
        lines = bytes(self.listener.out).splitlines()
        self.assertEqual([int(line) for line in lines], list(range(1, len(lines) + 1)))
        self.assertLessEqual(confirmed(self.sender), len(lines))

    def test_a_full_disk_ends_the_listener(self):
        with open("/dev/full", "wb") as full:
            listener, endpoint = self.listen("--raw", "--once", stdout=full)
        self.write("text", [b"one\n"])
        sender = self.send_file(endpoint, "text")
        self.assert_ends(listener, 1, "writing to stdout: No space left on device")
        self.assert_ends(sender, 1, "1 message sent, 0 confirmed")

    def test_a_listener_that_is_killed_is_missed_by_the_sender(self):
        self.begin()
        self.listener.signal(signal.SIGKILL)
        self.feeder.feed(seconds=1)
        self.assert_ends(self.sender, 1, "without a goodbye", "unconfirmed")
        self.assertRegex(self.sender.err.decode(), "connection_cut|connection_reset")
        self.assert_confirmed_is_written()

    def test_a_sender_that_is_killed_is_missed_by_the_listener(self):
        self.begin("--once")
        self.sender.signal(signal.SIGKILL)
        self.assert_ends(self.listener, 1, "was lost after")
        self.assertRegex(self.listener.err.decode(), "connection_cut|connection_reset")
        self.assert_begins("text", "copy")

    def test_with_once_a_second_peer_is_turned_away(self):
        listener, endpoint = self.listen_into("copy")
        first = self.start("send", endpoint, stdin=subprocess.PIPE)
        listener.line("connected")
        second = self.start("send", endpoint)
        self.assert_ends(second, 1, "rejected", "serves one peer")
        first.stdin.close()
        self.assert_ends(first, 0)
        self.assert_ends(listener, 0)

    def test_with_once_one_of_two_that_come_together_is_turned_away(self):
        listener, endpoint = self.listen_into("copy")
        both = [self.start("send", endpoint, stdin=subprocess.PIPE) for _ in range(2)]
        ended = select.select([each.exit_descriptor for each in both], [], [], PATIENCE)[0]
        self.assertEqual(len(ended), 1)
        turned_away, served = sorted(both, key=lambda each: each.exit_descriptor not in ended)
        self.assert_ends(turned_away, 1, "rejected", "serves one peer")
        served.stdin.close()
        self.assert_ends(served, 0)
        self.assert_ends(listener, 0)


if __name__ == "__main__":
    main()
