# demo: what `postbus demo` shows, and that `postbus ping` measures round trips.
import re
import signal

from _tool import Case, main


class Demo(Case):
    def test_the_demo_shows_events_values_and_a_whole_burst(self):
        program = self.run_tool("demo")
        self.assertEqual(program.code, 0, program.shown())
        text = program.out.decode()
        for part in ("listens on tcp://127.0.0.1:", "bob    connected", "alice  connected", "De Bilt, 11.5 degrees",
                     "12 apples and 7 pears", "Hello from Bob", "2,000,000 x 64 B", "256 x 1.0 MiB",
                     "bob    disconnected", "alice  disconnected", "bob    closed", "alice  closed",
                     "Everything that was sent arrived, once and in order."):
            self.assertIn(part, text)
        self.assertEqual(program.err, b"")
        print("\n" + text)

    def test_a_small_demo_is_whole_too(self):
        self.assertEqual(self.run_tool("demo", "--small", "1", "--large", "0").code, 0)

    def test_ping_measures_round_trips(self):
        listener, endpoint = self.listen()
        program = self.run_tool("ping", endpoint, "--count", "20", "--interval", "1")
        self.assertEqual(program.code, 0, program.shown())
        text = program.out.decode()
        self.assertEqual(len(re.findall(r"number \d+, ", text)), 20)
        self.assertIn("20 echo requests sent, 20 answered", text)
        self.assertRegex(text, r"round trip: min .*, p50 .*, p99 .*, max .*")
        print("\n" + text.splitlines()[-1])
        listener.line("20 messages received", stream="out")
        self.assertNotIn(b"message ", listener.out)  # echo requests are no messages to show

    def test_ping_is_interrupted_and_sums_up(self):
        _, endpoint = self.listen()
        program = self.start("ping", endpoint, "--count", "0", "--interval", "10")
        program.line("number 3,", stream="out")
        program.signal(signal.SIGINT)
        self.assert_ends(program, 0)
        self.assertIn(b"round trip:", program.out)

    def test_ping_says_when_no_answer_comes(self):
        listener, endpoint = self.listen()
        program = self.start("ping", endpoint, "--count", "0", "--timeout", "3s", "--interval", "10")
        program.line("number 3,", stream="out")
        listener.signal(signal.SIGSTOP)
        program.line("no answer within", stream="out")
        listener.signal(signal.SIGCONT)
        program.signal(signal.SIGINT)
        self.assert_ends(program, 1)


if __name__ == "__main__":
    main()
