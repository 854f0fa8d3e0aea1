# _tool: runs `postbus` for the other tests here. Waits for lines and exits with deadlines, by
# select; never by the clock alone. Everything it starts is ended and reaped.
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TOOL = sys.argv[1]
PATIENCE = 60  # seconds; for what takes one, on a machine that is busy
RSS_KIB_MAX = 64 << 10

with open(TOOL, "rb") as binary:
    _code = binary.read()
SANITIZED = b"__asan_init" in _code or b"__tsan_init" in _code
del _code


class Program:
    """One run of the tool. `out` and `err` are what it wrote, as far as it was read."""

    def __init__(self, *arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE):
        self.process = subprocess.Popen([TOOL, *arguments], stdin=stdin, stdout=stdout,
                                        stderr=subprocess.PIPE)
        self.arguments = arguments
        self.pid = self.process.pid
        self.exit_descriptor = os.pidfd_open(self.pid)
        self.stdin = self.process.stdin
        self.out = bytearray()
        self.err = bytearray()
        self.code = None
        self.rss_kib = None
        self._open = {stream.fileno(): (stream, text) for stream, text in
                      ((self.process.stdout, self.out), (self.process.stderr, self.err)) if stream}

    def _read(self, deadline, until_exit):
        """Reads what is there next. False once there is nothing left to wait for."""
        wanted = list(self._open) + ([self.exit_descriptor] if until_exit else [])
        if not wanted:
            return False
        ready = select.select(wanted, [], [], max(0, deadline - time.monotonic()))[0]
        if not ready:
            raise AssertionError(f"{self}: nothing more within the time\n{self.shown()}")
        for descriptor in ready:
            if descriptor in self._open:
                stream, text = self._open[descriptor]
                found = os.read(descriptor, 1 << 20)
                text += found
                if not found:
                    del self._open[descriptor]
                    stream.close()
        return ready != [self.exit_descriptor]

    def line(self, part, seconds=PATIENCE, stream="err"):
        """The first line with `part` in it."""
        deadline = time.monotonic() + seconds
        while True:
            for line in bytes(getattr(self, stream)).split(b"\n")[:-1]:
                if part.encode() in line:
                    return line.decode(errors="replace")
            if not self._read(deadline, False):
                raise AssertionError(f"{self}: no line with {part!r}\n{self.shown()}")

    def end(self, seconds=PATIENCE):
        """The exit code, negative for a signal; what is written until then is read."""
        deadline = time.monotonic() + seconds
        while self._read(deadline, True):
            pass
        while self._open and self._read(deadline, False):
            pass
        self._reap()
        return self.code

    def _reap(self):
        if self.code is None:
            _, status, usage = os.wait4(self.pid, 0)
            self.code = self.process.returncode = os.waitstatus_to_exitcode(status)
            self.rss_kib = usage.ru_maxrss

    def signal(self, number):
        os.kill(self.pid, number)

    def close_stdout(self):
        """As `head` does when it has seen enough."""
        descriptor = self.process.stdout.fileno()
        self._open.pop(descriptor)
        self.process.stdout.close()

    def discard(self):
        if self.code is None:
            self.signal(signal.SIGKILL)
            self._reap()
        os.close(self.exit_descriptor)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass

    def shown(self):
        return (f"--- stdout, the end\n{bytes(self.out[-2000:]).decode(errors='replace')}\n"
                f"--- stderr, the end\n{bytes(self.err[-2000:]).decode(errors='replace')}")

    def __str__(self):
        return "postbus " + " ".join(self.arguments)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="postbus-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, *arguments, **how):
        program = Program(*arguments, **how)
        self.addCleanup(program.discard)
        return program

    def run_tool(self, *arguments, **how):
        program = self.start(*arguments, **how)
        program.end()
        return program

    def listen(self, *arguments, **how):
        """A listener, and the endpoint where it listens."""
        program = self.start("listen", "tcp://127.0.0.1:0", *arguments, **how)
        line = program.line("listening", stream="err" if "--raw" in arguments else "out")
        return program, line.split()[1]

    def listen_into(self, name, *arguments):
        """A listener that writes bodies to a file, and its endpoint."""
        with open(self.path(name), "wb") as file:
            return self.listen("--raw", "--once", *arguments, stdout=file)

    def write(self, name, pieces):
        with open(self.path(name), "wb") as file:
            file.writelines(pieces)

    def send_file(self, endpoint, name, *arguments):
        with open(self.path(name), "rb") as file:
            return self.start("send", endpoint, *arguments, stdin=file)

    def assert_ends(self, program, code, *parts, seconds=PATIENCE):
        """It ends with `code`, having written `parts` to stderr."""
        self.assertEqual(program.end(seconds), code, f"{program}\n{program.shown()}")
        for part in parts:
            self.assertIn(part, program.err.decode(errors="replace"), f"{program}\n{program.shown()}")

    def assert_small(self, program):
        """Its peak memory was within bounds. What the kernel tells is at least the peak of this
        very process, from which it was forked: so tests hold no large data. Sanitizers have memory
        of their own."""
        if not SANITIZED:
            self.assertLess(program.rss_kib, RSS_KIB_MAX, program)

    def assert_same(self, left, right):
        with open(self.path(left), "rb") as one, open(self.path(right), "rb") as other:
            at = 0
            while True:
                ours, theirs = one.read(1 << 20), other.read(1 << 20)
                if ours != theirs:
                    self.fail(f"{left} and {right} differ in the MiB at {at}")
                if not ours:
                    return
                at += len(ours)

    def assert_begins(self, whole, part):
        """`part` is how `whole` begins. Answers the size of `part`."""
        size = os.path.getsize(self.path(part))
        with open(self.path(whole), "rb") as one, open(self.path(part), "rb") as other:
            for _ in range(0, size, 1 << 20):
                theirs = other.read(1 << 20)
                self.assertEqual(one.read(len(theirs)), theirs, f"{part} is not how {whole} begins")
        return size


class Feeder:
    """Gives a file to a program's stdin as fast as it takes it, and no faster."""

    def __init__(self, program, path):
        self.stdin = program.stdin
        self.file = open(path, "rb")
        self.size = os.path.getsize(path)
        self.given = 0
        os.set_blocking(self.stdin.fileno(), False)

    def feed(self, until_bytes=None, seconds=PATIENCE):
        """Until so many bytes were taken, or time is up. Says whether they were."""
        goal = self.size if until_bytes is None else until_bytes
        deadline = time.monotonic() + seconds
        while self.given < goal:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([], [self.stdin], [], left)[1]:
                return False
            try:
                self.given += os.write(self.stdin.fileno(), os.pread(self.file.fileno(), 65536, self.given))
            except BrokenPipeError:
                return False
        return True

    def end(self):
        self.stdin.close()
        self.file.close()


def confirmed(program):
    """How many messages a sender says are confirmed."""
    words = program.line(" confirmed (").split()
    return int(words[words.index("confirmed") - 1])


def numbered_lines(count, width=64):
    """`count` lines of `width` bytes, each with its number, a few at a time."""
    for first in range(1, count + 1, 1000):
        yield b"".join(b"%*d\n" % (width - 1, number)
                       for number in range(first, min(first + 1000, count + 1)))


def main():
    unittest.main(argv=[sys.argv[0]] + sys.argv[2:], verbosity=2)
