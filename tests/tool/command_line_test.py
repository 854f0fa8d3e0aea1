# command_line: what is wrong with a command, or with what it meets, is told with the step that
# failed and what to do, and the exit code says which kind it is.
import json
import os
import socket
import subprocess
import unittest.mock

from _tool import Case, main

NO_ENDPOINT = ("", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:port", "tcp://127.0.0.1:70000",
               "udp://127.0.0.1:1", "tcp://::1:4000", "tcp://[::1:4000", "tcp://127.1:4000",
               "tcp://short@127.0.0.1:4000", "+tcp://127.0.0.1:4000", "tcp://127.0.0.1:1:2")


class CommandLine(Case):
    def refused(self, *arguments):
        program = self.run_tool(*arguments)
        self.assertEqual(program.code, 2, program.shown())
        self.assertTrue(program.err, program)
        return program.err.decode()

    def test_help_names_every_command_and_option(self):
        for command, parts in (((), ("demo", "listen", "send", "ping", "stats", "top", "Exit codes", "130", "postbus listen",
                                     "postbus send", "Watch what a running node does")),
                               (("demo",), ("--small", "--large")),
                               (("listen",), ("--json", "--raw", "--once", "--id", "--window", "--keepalive",
                                             "--http")),
                               (("send",), ("--chunk", "--drain", "--progress", "--timeout", "stdin")),
                               (("ping",), ("--count", "--interval", "--size", "--drain", "[2s]")),
                               (("stats",), ("--json", "--prometheus", "--timeout")), (("top",), ("--timeout",))):
            program = self.run_tool(*command, "--help")
            self.assertEqual(program.code, 0, program.shown())
            for part in parts:
                self.assertIn(part, program.out.decode())
        self.assertRegex(self.run_tool("--version").out.decode(), r"^postbus \d+\.\d+")

    def test_wrong_arguments_are_wrong_usage(self):
        for arguments in ((), ("dance",), ("listen",), ("send",), ("listen", "--no-such-option", "127.0.0.1:0"),
                          ("send", "127.0.0.1:1", "--chunk", "many"), ("send", "127.0.0.1:1", "--chunk", "0"),
                          ("send", "127.0.0.1:1", "--chunk", "17M"), ("send", "127.0.0.1:1", "--drain", "soon"),
                          ("ping", "127.0.0.1:1", "--count", "-1"), ("listen", "127.0.0.1:0", "--keepalive", "1ms"),
                          ("listen", "127.0.0.1:0", "--keepalive", "5x"), ("listen", "127.0.0.1:0", "--id", "abc"),
                          ("listen", "127.0.0.1:0", "--window", "0"), ("demo", "--small", "x")):
            with self.subTest(arguments=arguments):
                self.assertRegex(self.refused(*arguments), "^postbus: ")
        self.assertIn("postbus: there is no command 'dance'; there are demo, listen, send, ping, stats, top\n",
                      self.refused("dance"))
        self.assertIn("see `postbus send --help`", self.refused("send"))
        self.assertIn("see `postbus --help`", self.refused())

    def test_what_is_no_endpoint_is_wrong_usage(self):
        for command in ("listen", "send", "ping"):
            for text in NO_ENDPOINT:
                with self.subTest(command=command, text=text):
                    self.assertIn("endpoint", self.refused(command, text))
        self.assertIn("port 0", self.refused("send", "tcp://127.0.0.1:0"))

    def test_where_nobody_listens_the_connection_is_refused(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            nobody = taken.getsockname()[1]
        for command in ("send", "ping"):
            program = self.start(command, f"127.0.0.1:{nobody}")
            self.assert_ends(program, 1, "connecting to", "refused", "is `postbus listen` running there?")

    def test_a_port_in_use_cannot_be_listened_on(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            program = self.start("listen", f"127.0.0.1:{taken.getsockname()[1]}")
            self.assert_ends(program, 1, "listening on", "in use", "another port")

    def test_who_does_not_answer_is_given_up(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            program = self.start("send", f"127.0.0.1:{silent.getsockname()[1]}", "--timeout", "500ms")
            self.assert_ends(program, 1, "connecting to")

    def test_an_unknown_host_cannot_be_resolved(self):
        with unittest.mock.patch.dict(os.environ, RES_OPTIONS="timeout:1 attempts:1"):
            program = self.start("send", "tcp://no-such-host.invalid:4000")
        self.assert_ends(program, 1, "no-such-host.invalid", "spelling")

    def test_a_file_that_is_not_there_is_told(self):
        program = self.start("send", "tcp://127.0.0.1:1", self.path("nothing"))
        self.assert_ends(program, 1, "opening", "No such file")

    def test_a_bare_address_of_another_machine_brings_a_warning(self):
        bare = self.start("listen", "0.0.0.0:0")
        self.assertIn("tcp://0.0.0.0:0", bare.line("warning"))
        for text in ("tcp://0.0.0.0:0", "127.0.0.1:0", "localhost:0"):
            program = self.start("listen", text)
            program.line("listening", stream="out")
            self.assertNotIn(b"warning", program.err)

    def test_only_the_expected_node_is_talked_to(self):
        mine, other = "1" * 32, "2" * 32
        listener, endpoint = self.listen("--raw", "--once", "--id", mine)
        wrong = self.start("send", endpoint.replace("tcp://", f"tcp://{other}@"))
        self.assert_ends(wrong, 1, "wrong_node")
        right = self.start("send", endpoint.replace("tcp://", f"tcp://{mine}@"))
        self.assert_ends(right, 0)
        self.assert_ends(listener, 0)

    def test_events_and_messages_are_lines(self):
        listener, endpoint = self.listen("--once")
        sender = self.start("send", endpoint, stdin=subprocess.PIPE)
        sender.stdin.write(b"hello\n\x1b[31mred\xff\n")
        sender.stdin.close()
        self.assert_ends(sender, 0)
        self.assertEqual(listener.end(), 0, listener.shown())
        text = listener.out.decode()
        for part in ("connected ", '"hello\\n"', '"\\x1b[31mred\\xff\\n"', "disconnected ", "2 messages received",
                     "closing", "closed"):
            self.assertIn(part, text)

    def test_with_json_every_line_is_an_object(self):
        listener, endpoint = self.listen_json()
        sender = self.start("send", endpoint, stdin=subprocess.PIPE)
        sender.stdin.write(b"hello\n\xff\n")
        sender.stdin.close()
        self.assert_ends(sender, 0)
        self.assertEqual(listener.end(), 0, listener.shown())
        events = [json.loads(line) for line in listener.out.splitlines()]
        self.assertEqual([each["event"] for each in events],
                         ["listening", "connected", "message", "message", "disconnected", "closing", "closed"])
        self.assertEqual(events[2]["text"], "hello\n")
        self.assertEqual(events[3]["hex"], "ff0a")
        self.assertEqual(events[4]["reason"]["code"], "closed")
        self.assertEqual(events[4]["received"], 2)

    def listen_json(self):
        listener = self.start("listen", "127.0.0.1:0", "--once", "--json")
        return listener, json.loads(listener.line("listening", stream="out"))["endpoint"]


if __name__ == "__main__":
    main()
