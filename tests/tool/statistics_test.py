# statistics: what `listen --http` serves, read by parsers that forgive nothing; `stats` and `top`, which
# show it; and what is said when there is nothing to serve or to show.
import fcntl
import http.client
import http.server
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

from _tool import PATIENCE, Case, main, numbered_lines

LINES = 2000
CONNECTION_KEYS = {
    "peer", "address", "dialed", "open_time_seconds", "bytes_sent", "bytes_received", "messages_sent",
    "messages_received", "bytes_sent_per_second", "bytes_received_per_second",
    "messages_sent_per_second", "messages_received_per_second", "sent_idle_time_seconds",
    "received_idle_time_seconds", "round_trip_time_seconds", "messages_confirmed",
    "messages_waiting", "requests_open"}


def parse_prometheus(text):
    """{(name, labels): value}, of a text in the exposition format 0.0.4 without any liberties."""
    types, series, current = {}, {}, None
    if not text.endswith("\n"):
        raise AssertionError("the last line does not end")
    for line in text[:-1].split("\n"):
        head = re.fullmatch(r"# (HELP|TYPE) (postbus_[a-z][a-z_]*) (\S.*)", line)
        if head:
            kind, name, rest = head.groups()
            if kind == "HELP":
                if name in types:
                    raise AssertionError(f"{name} comes twice")
                current, types[name] = name, None
            elif name != current or types[name] or rest not in ("counter", "gauge"):
                raise AssertionError(f"a type out of turn: {line}")
            else:
                types[name] = rest
            continue
        parts = re.fullmatch(r'(\w+)\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\} (\S+)', line)
        if not parts or parts[1] != current or not types[current] or parts[2].endswith(","):
            raise AssertionError(f"no series of {current}: {line}")
        labels = re.findall(r'([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"', parts[2])
        if len(dict(labels)) != len(labels):
            raise AssertionError(f"a label twice: {line}")
        key = (parts[1], frozenset(labels))
        if key in series:
            raise AssertionError(f"a series twice: {line}")
        series[key] = float(parts[3])
    for name, kind in types.items():
        if name.endswith("_total") != (kind == "counter"):
            raise AssertionError(f"{name} is a {kind}")
    return series


class Answering(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"id": 7}')

    def log_message(self, *_):
        pass


class Statistics(Case):
    def serve(self, *arguments, **how):
        """A listener that serves; its endpoint, and host:port of what it serves."""
        listener, endpoint = self.listen("--http", "0", *arguments, **how)
        line = listener.line("serving", stream="err" if "--raw" in arguments else "out")
        self.assertRegex(line.split()[1], r"^http://127\.0\.0\.1:\d+$")
        return listener, endpoint, line.split()[1].removeprefix("http://")

    def get(self, at, path, method="GET"):
        connection = http.client.HTTPConnection(at, timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read().decode()

    def peers(self, at):
        status, kind, text = self.get(at, "/peers")
        self.assertEqual((status, kind), (200, "application/json"))
        return json.loads(text)

    def peers_when(self, at, good):
        """What /peers tells once it is as wanted."""
        deadline = time.monotonic() + PATIENCE
        while True:
            told = self.peers(at)
            if good(told):
                return told
            self.assertLess(time.monotonic(), deadline, told)

    def test_what_is_served_is_what_happened(self):
        with open(self.path("copy"), "wb") as file:
            listener, endpoint, at = self.serve("--raw", stdout=file)
        self.write("text", numbered_lines(LINES))
        sender = self.start("send", endpoint, stdin=subprocess.PIPE)
        with open(self.path("text"), "rb") as file:
            sender.stdin.write(file.read())
        sender.stdin.flush()
        told = self.peers_when(at, lambda of: of["messages_received"] == LINES)
        self.assertEqual(len(told["connections"]), 1)
        one = told["connections"][0]
        self.assertEqual(set(one), CONNECTION_KEYS)
        self.assertFalse(one["dialed"])
        self.assertGreaterEqual(one["bytes_received"], LINES * (64 + 8))
        self.assertLess(one["bytes_received"], LINES * (64 + 8) + 1000)
        self.assertGreater(one["round_trip_time_seconds"], 0)
        self.assertLess(one["round_trip_time_seconds"], PATIENCE)
        # A young connection's rate is its amount by its age, which is a hundredth of a second at least.
        age = max(one["open_time_seconds"], 0.01)
        self.assertAlmostEqual(one["messages_received_per_second"] * age, LINES, delta=LINES / 4)

        sender.stdin.close()
        self.assert_ends(sender, 0)
        over = self.peers_when(at, lambda of: of["closed"])
        self.assertEqual(over["connections"], [])
        self.assertEqual(over["messages_received"], LINES)
        self.assertEqual(over["disconnects"], [{"reason": "closed", "blame": "remote", "count": 1}])
        self.assertEqual(over["closed"][0]["peer"], one["peer"])
        self.assertEqual(over["closed"][0]["messages_received"], LINES)
        listener.signal(signal.SIGINT)
        listener.end()

    def test_metrics_are_what_prometheus_reads(self):
        _, endpoint, at = self.serve("--raw")
        wrong = self.start("send", endpoint.replace("tcp://", f"tcp://{'2' * 32}@"))
        self.assert_ends(wrong, 1, "wrong_node")
        sender = self.start("send", endpoint, stdin=subprocess.PIPE)
        sender.stdin.write(b"one\ntwo\n")
        sender.stdin.flush()
        told = self.peers_when(at, lambda of: of["messages_received"] == 2 and of["refusals"])
        status, kind, text = self.get(at, "/metrics")
        self.assertEqual(status, 200)
        self.assertEqual(kind, "text/plain; version=0.0.4; charset=utf-8")
        series = parse_prometheus(text)
        node = ("node", told["id"])
        self.assertEqual(series["postbus_messages_received_total", frozenset([node])], 2)
        self.assertEqual(series["postbus_connections", frozenset([node])], 1)
        refused = frozenset([node, ("reason", "wrong_node"), ("blame", "remote")])
        self.assertEqual(series["postbus_refusals_total", refused], 1)
        peer = frozenset([node, ("peer", told["connections"][0]["peer"])])
        self.assertEqual(series["postbus_connection_messages_received_total", peer], 2)
        self.assertEqual(len([1 for name, _ in series if name.startswith("postbus_connection_")]), 15)

    def test_the_parser_of_this_test_forgives_nothing(self):
        good = '# HELP postbus_a_total A\n# TYPE postbus_a_total counter\npostbus_a_total{x="1"} 2\n'
        self.assertEqual(len(parse_prometheus(good)), 1)
        for bad in (good[:-1], good + good, good.replace("counter", "gauge"), good.replace(" 2", ""),
                    good + 'postbus_a_total{x="1"} 3\n', good + 'postbus_b{x="1"} 3\n',
                    good.replace('"1"', '"1",'), good.replace('"1"', '"""'), good + "\n"):
            with self.assertRaises(AssertionError, msg=bad):
                parse_prometheus(bad)

    def test_nothing_else_is_served(self):
        _, _, at = self.serve()
        for path in ("/", "/metric", "/peers/1", "/../etc/passwd"):
            status, _, text = self.get(at, path)
            self.assertIn(status, (400, 404))
            self.assertIn("/metrics and /peers", text)
        self.assertEqual(self.get(at, "/peers", "POST")[0], 404)

    def test_json_lines_say_where_it_serves(self):
        listener = self.start("listen", "127.0.0.1:0", "--json", "--http", "127.0.0.1:0")
        told = json.loads(listener.line("serving", stream="out"))
        self.assertEqual(told["event"], "serving")
        self.assertEqual(self.get(told["endpoint"].removeprefix("http://"), "/peers")[0], 200)

    def test_it_serves_ipv6_too(self):
        listener = self.start("listen", "127.0.0.1:0", "--http", "[::1]:0")
        at = listener.line("serving", stream="out").split()[1]
        self.assertRegex(at, r"^http://\[::1\]:\d+$")
        self.assertEqual(self.run_tool("stats", at).code, 0)

    def test_stats_prints_for_people_and_for_programs(self):
        _, endpoint, at = self.serve("--raw")
        sender = self.start("send", endpoint, stdin=subprocess.PIPE)
        sender.stdin.write(b"one\n")
        sender.stdin.flush()
        told = self.peers_when(at, lambda of: of["messages_received"] == 1)
        for url in (at, f"http://{at}", f"http://{at}/", at.split(":")[1]):
            page = self.run_tool("stats", url)
            self.assertEqual(page.code, 0, page.shown())
            for part in (told["id"], "1 open, 1 opened", "1 message,", told["connections"][0]["peer"][:8],
                         told["connections"][0]["address"]):
                self.assertIn(part, page.out.decode())
        as_json = self.run_tool("stats", at, "--json")
        self.assertEqual(json.loads(as_json.out)["id"], told["id"])
        self.assertTrue(parse_prometheus(self.run_tool("stats", at, "--prometheus").out.decode()))

    def test_top_prints_once_where_there_is_no_terminal(self):
        _, _, at = self.serve()
        once = self.run_tool("top", at)
        self.assertEqual(once.code, 0, once.shown())
        self.assertIn(b"0 open", once.out)
        self.assertNotIn(b"\x1b", once.out)

    def begin_top(self, at):
        """`top` in a terminal, and what reads the terminal until something is on it."""
        outer, inner = pty.openpty()
        self.addCleanup(os.close, outer)
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 60, 0, 0))
        top = self.start("top", at, stdout=inner)
        os.close(inner)
        seen = bytearray()

        def until(good):
            deadline = time.monotonic() + PATIENCE
            while not good(bytes(seen)):
                self.assertTrue(select.select([outer], [], [], deadline - time.monotonic())[0], bytes(seen))
                try:
                    seen.extend(os.read(outer, 65536))
                except OSError:  # its last writer is gone
                    self.assertTrue(good(bytes(seen)), bytes(seen))
            return bytes(seen)
        return top, until

    def test_top_refreshes_and_leaves_the_terminal_as_it_was(self):
        _, _, at = self.serve()
        top, until = self.begin_top(at)
        shown = until(lambda seen: seen.count(b"\x1b[H") >= 3)
        self.assertTrue(shown.startswith(b"\x1b[?1049h\x1b[?25l"))
        for line in shown.split(b"\r\n"):
            self.assertLessEqual(len(re.sub(rb"\x1b\[\??[0-9]*[a-zA-Z]", b"", line)), 60)
        top.signal(signal.SIGINT)
        self.assertEqual(top.end(), 0, top.shown())
        until(lambda seen: seen.endswith(b"\x1b[?25h\x1b[?1049l"))
        self.assertEqual(bytes(top.err), b"")

    def test_top_ends_with_what_it_looks_at(self):
        listener, _, at = self.serve()
        top, until = self.begin_top(at)
        until(lambda seen: b"0 open" in seen)
        listener.signal(signal.SIGTERM)
        self.assertEqual(listener.end(), 0, listener.shown())
        self.assert_ends(top, 1, "asking for statistics")
        until(lambda seen: seen.endswith(b"\x1b[?25h\x1b[?1049l"))

    def test_a_client_that_stays_does_not_hold_up_the_end(self):
        listener, _, at = self.serve()
        host, port = at.split(":")
        with socket.create_connection((host, int(port))) as silent, \
                socket.create_connection((host, int(port))) as slow:
            slow.sendall(b"GET /peers HT")
            self.assertEqual(self.get(at, "/peers")[0], 200)
            listener.signal(signal.SIGINT)
            self.assertEqual(listener.end(), 0, listener.shown())
            del silent

    def test_an_address_that_cannot_be_used_is_told(self):
        _, _, taken = self.serve()
        with socket.create_server(("127.0.0.1", 0)) as other:
            for at in (taken, f"127.0.0.1:{other.getsockname()[1]}"):
                program = self.start("listen", "127.0.0.1:0", "--http", at)
                self.assert_ends(program, 1, "serving statistics", f"http://{at}", "in use")
                self.assertEqual(bytes(program.out), b"")
        program = self.start("listen", "127.0.0.1:0", "--http", "no-such-host.invalid:1")
        self.assert_ends(program, 1, "serving statistics", "no-such-host.invalid")

    def test_wrong_arguments_are_wrong_usage(self):
        for arguments in (("listen", "127.0.0.1:0", "--http", "here"), ("listen", "127.0.0.1:0", "--http", "70000"),
                          ("listen", "127.0.0.1:0", "--http", "http://127.0.0.1:1"),
                          ("listen", "127.0.0.1:0", "--http"), ("stats",), ("top",), ("stats", "nothing"),
                          ("stats", "0"), ("stats", "https://127.0.0.1:1"), ("top", "tcp://127.0.0.1:1"),
                          ("stats", "1", "--json", "--prometheus"), ("stats", "1", "--timeout", "x"),
                          ("top", "1", "--json")):
            with self.subTest(arguments=arguments):
                program = self.run_tool(*arguments)
                self.assertEqual(program.code, 2, program.shown())
                self.assertTrue(program.err)

    def test_where_there_are_no_statistics_that_is_told(self):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            nobody = closed.getsockname()[1]
        for command in ("stats", "top"):
            program = self.start(command, str(nobody))
            self.assert_ends(program, 1, "asking for statistics", "connect_failed", "--http")
        with socket.create_server(("127.0.0.1", 0)) as silent:
            program = self.start("stats", str(silent.getsockname()[1]), "--timeout", "300ms")
            self.assert_ends(program, 1, "asking for statistics")
        with http.server.HTTPServer(("127.0.0.1", 0), Answering) as other:
            thread = threading.Thread(target=other.serve_forever)
            thread.start()
            program = self.start("stats", str(other.server_address[1]))
            try:
                self.assert_ends(program, 1, "not the statistics of a node")
            finally:
                other.shutdown()
                thread.join()


if __name__ == "__main__":
    main()
