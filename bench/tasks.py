# tasks: what is measured, between whom, and what must be reached. A task has parties that do the same;
# a party says which programs it runs and what it counts as its figure.
import json
import os
import resource
import select
import subprocess
import time
from dataclasses import dataclass, field

PATIENCE_SECONDS = 120


class Program:
    """One end of a party, a process. Its figures are lines of JSON on stdout."""

    def __init__(self, how, name, *words):
        self.what = [os.path.join(how.programs, "bench_" + name), *words]
        self.process = subprocess.Popen(self.what, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.unread = b""

    def line(self):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while b"\n" not in self.unread:
            if not select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                raise SystemExit(f"{' '.join(self.what)}: no figures within the time")
            found = os.read(self.process.stdout.fileno(), 1 << 16)
            if not found:
                raise SystemExit(f"{' '.join(self.what)}: ended without its figures")
            self.unread += found
        line, self.unread = self.unread.split(b"\n", 1)
        return json.loads(line)

    def go_on(self):
        """What it waits for, when it has said how far it is."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def own_kib(self):
        """Memory that is this process's alone and was written to."""
        with open(f"/proc/{self.process.pid}/smaps_rollup", encoding="utf-8") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))

    def end(self):
        """The program may end, if it waits for that; it must do so in time, and well."""
        self.process.stdin.close()
        code = self.process.wait(PATIENCE_SECONDS)
        self.process.stdout.close()
        if code != 0:
            raise SystemExit(f"{' '.join(self.what)}: exit code {code}")

    def discard(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Pair:
    """Two programs, the second told the port of the first. Ends both, whatever happens. `others`, names and
    words, are told the port, too, and are ready before the second begins."""

    def __init__(self, how, name, first, second, others=()):
        self.programs = [Program(how, name, *first)]
        try:
            port = int(self.programs[0].line()["port"])
            for other, *words in others:
                self.programs.append(Program(how, other, *words, f"port={port}"))
                self.programs[-1].line()
            self.programs.append(Program(how, name, *second, f"port={port}"))
        except BaseException:
            self.__exit__(True)
            raise

    def __enter__(self):
        return self.programs

    def __exit__(self, failed, *_):
        try:
            if not failed:
                for each in reversed(self.programs):
                    each.end()
        finally:
            for each in self.programs:
                each.discard()


@dataclass
class Party:
    """What all have: the program, and its words for the end that listens and for the other."""
    name: str
    program: str
    first: tuple = ()
    second: tuple = ()

    def installed(self, how):
        return os.path.exists(os.path.join(how.programs, "bench_" + self.program))

    def calibrate(self, how):
        return None


@dataclass
class OneWay(Party):
    """A stream of messages. The figure is messages per second at the receiver."""
    size: int = 64

    def calibrate(self, how):
        """So many messages that a run takes about as long for every party. Warms up, too."""
        few = max(64, min(100_000, (16 << 20) // self.size)) // (4 if how.quick else 1)
        seconds = 0.02 if how.quick else 0.5
        return max(few, int(self.run(how, few)["figure"] * seconds))

    def run(self, how, count):
        same = (f"size={self.size}", f"count={count}")
        with Pair(how, self.program, ("receive", *same, *self.first),
                  ("send", *same, *self.second)) as (receiver, sender):
            sent, got = sender.line(), receiver.line()
        return {"figure": got["messages"] / got["seconds"], "cpu_ns": 1e9 * (sent["cpu"] + got["cpu"]) / count,
                "sender_cpu_ns": 1e9 * sent["cpu"] / count, "receiver_cpu_ns": 1e9 * got["cpu"] / count}


@dataclass
class PingPong(Party):
    """Round trips, one after the other, both ends on one core. The figure is the median of one run."""

    def run(self, how, _):
        same = ("size=64", f"core={min(os.sched_getaffinity(0))}")
        count = 500 if how.quick else 20_000
        with Pair(how, self.program, ("echo", *same, *self.first),
                  ("ping", *same, f"count={count}", *self.second)) as (_, pinger):
            got = pinger.line()
        return {"figure": got["p50"], "p99": got["p99"], "cpu_ns": 1e9 * got["cpu"]}


@dataclass
class Disturbed(Party):
    """Round trips as in `ping`, while strangers do their worst to the node that answers; they have another
    core, if there is one. The figure is what one trip in a hundred exceeds."""
    strangers: bool = True

    def run(self, how, _):
        cores = sorted(os.sched_getaffinity(0))
        same = ("size=64", "how=loop", f"core={cores[0]}")
        count = 500 if how.quick else 60_000
        others = [("strangers", "attack", f"core={cores[-1]}")] if self.strangers else []
        with Pair(how, self.program, ("echo", *same), ("ping", *same, f"count={count}"), others) as ends:
            got = ends[-1].line()
            rate = 0
            if self.strangers:
                ends[1].go_on()
                rate = ends[1].line()["strangers"]
        return {"figure": got["p99"], "p50": got["p50"], "strangers": rate}


@dataclass
class Idle(Party):
    """Connections that said one thing and are still. The figure is the hub's memory for each: what it
    grew between a tenth of them and all, so that what a process needs anyway does not count. Then the
    hub's processor time while all of them are still, before any of them is due a keepalive."""
    nodes: int = 2000
    still_seconds: float = 5.0

    def run(self, how, _):
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        nodes = 50 if how.quick else min(self.nodes, descriptors - 100)
        with Pair(how, self.program, ("hub", *self.first), ("idle", f"nodes={nodes}", *self.second)) as ends:
            before, after = self.settled(ends), self.settled(ends, go_on=False)
            used = self.used_while_still(how, ends[0])
            ends[1].go_on()
        hub, dialer = ((b - a) / (nodes - nodes // 10) for a, b in zip(before, after))
        return {"figure": max(hub, 0.001), "connections": nodes, "dialer_kib": dialer, "still_ms": used}

    def used_while_still(self, how, hub):
        """Milliseconds of processor time for each second."""
        seconds = 0.1 if how.quick else self.still_seconds
        before = hub.cpu_seconds()
        time.sleep(seconds)
        return 1e3 * (hub.cpu_seconds() - before) / seconds

    @staticmethod
    def settled(ends, go_on=True):
        ends[1].line()
        time.sleep(0.3)
        found = [each.own_kib() for each in ends]
        if go_on:
            ends[1].go_on()
        return found


@dataclass
class Churn(Party):
    """Connect and one echo, 64 at a time; then the connection is closed, or stays until all are done. The
    figure is how many of those a second."""
    what: str = "churn"

    def run(self, how, _):
        count = 100 if how.quick else 5000
        with Pair(how, self.program, ("hub", *self.first),
                  (self.what, f"count={count}", "flying=64", *self.second)) as (hub, dialer):
            got = dialer.line()
            hub_cpu = hub.cpu_seconds()
        return {"figure": got["rate"], "cpu_ns": 1e9 * (got["cpu"] + hub_cpu / count),
                "hub_cpu_ns": 1e9 * hub_cpu / count}


@dataclass
class Many(OneWay):
    """A stream over many connections of one hub, a message to each in turn. Long enough for each
    connection to be past its first moments."""
    nodes: int = 1000

    def calibrate(self, how):
        few = 10_000 if how.quick else 500_000
        return max(few, min(3_000_000, int(self.run(how, few)["figure"])))

    def run(self, how, count):
        nodes = min(self.nodes, 50) if how.quick else self.nodes
        same = (f"size={self.size}", f"count={count}")
        with Pair(how, self.program, ("hub", *same, *self.first),
                  ("many", *same, f"nodes={nodes}", *self.second)) as (hub, sender):
            got = hub.line()
            hub.go_on()
            sent = sender.line()
        return {"figure": got["messages"] / got["seconds"], "cpu_ns": 1e9 * (sent["cpu"] + got["cpu"]) / count,
                "sender_cpu_ns": 1e9 * sent["cpu"] / count, "receiver_cpu_ns": 1e9 * got["cpu"] / count}


@dataclass
class Slow(OneWay):
    """150 MB to a program that takes 100 MB a second. The figure is by how many MiB the larger of the
    two processes grew at most."""
    size: int = 1 << 10

    def calibrate(self, how):
        return (15_000_000 if how.quick else 150_000_000) // self.size

    def run(self, how, count):
        same = (f"size={self.size}", f"count={count}")
        with Pair(how, self.program, ("receive", *same, "pace=100000000", *self.first),
                  ("send", *same, *self.second)) as (receiver, sender):
            sent, got = sender.line(), receiver.line()
        return {"figure": max(sent["peak_mib"], got["peak_mib"]), "cpu_ns": 1e9 * (sent["cpu"] + got["cpu"]) / count,
                "sender_mib": sent["peak_mib"], "receiver_mib": got["peak_mib"],
                "megabytes_per_second": got["messages"] * self.size / got["seconds"] / 1e6}


@dataclass
class Must:
    """The figure of `party`, divided by that of `of` when there is one, must be at least (>=) or at
    most (<=) the bound. `key`: another of its figures."""
    party: str
    relation: str
    bound: float
    of: str = ""
    key: str = "figure"


@dataclass
class Task:
    name: str
    title: str
    unit: str
    parties: list
    musts: list = field(default_factory=list)
    smaller_is_better: bool = False
    beside: tuple = ("ZeroMQ", "raw TCP")  # columns of ratios, to the best party whose name begins so
    also: dict = field(default_factory=dict)  # other figures that are shown: key to what it is called
    rounds_max: int = 99


def one_way(name, size, must):
    postbus, batches = "postbus_throughput", "Postbus, batches"
    parties = [
        OneWay("raw TCP, 64 KiB writes", "raw", size=size, second=("write=batched",)),
        OneWay("raw TCP, a write each", "raw", size=size, second=("write=each",)),
        OneWay("ZeroMQ", "zeromq", size=size),
        OneWay(batches, postbus, size=size),
    ]
    musts = [Must(batches, ">=", must, "ZeroMQ")]
    if size < 64 << 10:
        parties += [
            OneWay("Postbus, batches from an inbox", postbus, size=size, first=("how=inbox",)),
            OneWay("Postbus, single messages", postbus, size=size, first=("how=single",)),
        ]
        if size == 64:
            musts.append(Must("Postbus, single messages", ">=", 0.6, "ZeroMQ"))
    else:
        parties += [
            OneWay("ZeroMQ, body shared", "zeromq", size=size, second=("body=shared",)),
            OneWay("Postbus, body shared", postbus, size=size, second=("body=shared",)),
        ]
    return Task(name.replace(" ", ""), f"one way, {name}", "messages/s", parties, musts,
                beside=("ZeroMQ", "raw TCP, 64 KiB writes"))


ACTOR, LOOP, THREAD = ("how=actor",), ("how=loop",), ("how=thread",)
PAIR, DEALER = ("socket=pair",), ("socket=dealer",)


def connecting(what, title, musts):
    return Task(what, title, "connections/s", [
        Churn("raw TCP", "raw_connections", what=what),
        Churn("ZeroMQ", "zeromq_connections", what=what),
        Churn("Postbus, actors on the loop", "postbus_connections", LOOP, LOOP, what=what),
        Churn("Postbus, ordinary actors", "postbus_connections", ACTOR, ACTOR, what=what),
    ], musts)


TASKS = [
    one_way("64 B", 64, 2.0),
    one_way("1 KiB", 1 << 10, 1.3),
    one_way("64 KiB", 64 << 10, 1.0),
    one_way("1 MiB", 1 << 20, 1.0),
    Task("ping", "round trip, 64 B, both ends on one core", "µs", [
        PingPong("raw TCP, epoll", "raw"),
        PingPong("ZeroMQ, PAIR", "zeromq", PAIR, PAIR),
        PingPong("ZeroMQ, DEALER", "zeromq", DEALER, DEALER),
        PingPong("Postbus, ordinary actor", "postbus_pingpong", ACTOR, ACTOR),
        PingPong("Postbus, actor on the loop", "postbus_pingpong", LOOP, LOOP),
        PingPong("Postbus, thread with inbox", "postbus_pingpong", THREAD, THREAD),
    ], [
        Must("Postbus, ordinary actor", "<=", 1.25, "ZeroMQ"),
        Must("Postbus, actor on the loop", "<=", 1.8, "raw TCP"),
    ], smaller_is_better=True),
    Task("strangers", "99 of 100 round trips, 64 B, beside strangers", "µs", [
        Disturbed("Postbus, undisturbed", "postbus_pingpong", strangers=False),
        Disturbed("Postbus, beside strangers", "postbus_pingpong"),
    ], [Must("Postbus, beside strangers", "<=", 5, "Postbus, undisturbed")], smaller_is_better=True,
        beside=("Postbus, undisturbed",), also={"p50": "p50", "strangers": "strangers/s"}),
    Task("idle", "memory of an idle connection", "KiB at the hub", [
        Idle("ZeroMQ", "zeromq_connections"),
        Idle("Postbus", "postbus_connections", nodes=10_000),
    ], [Must("Postbus", "<=", 4.0), Must("Postbus", "<=", 10, key="still_ms")],
        smaller_is_better=True, beside=("ZeroMQ",), rounds_max=2,
        also={"connections": "connections", "dialer_kib": "KiB at the dialer", "still_ms": "CPU when still, ms/s"}),
    connecting("open", "connect, handshake, echo", [Must("Postbus, actors on the loop", ">=", 20_000)]),
    connecting("churn", "connect, handshake, echo, close", []),
    Task("many", "one way, 64 B, over 1,000 connections", "messages/s", [
        Many("ZeroMQ, one connection", "zeromq_connections", nodes=1),
        Many("ZeroMQ, 1,000 connections", "zeromq_connections"),
        Many("Postbus, one connection", "postbus_connections", nodes=1),
        Many("Postbus, 1,000 connections", "postbus_connections"),
    ], [Must("Postbus, 1,000 connections", ">=", 0.3, "Postbus, one connection")],
        beside=("Postbus, one connection", "ZeroMQ, 1,000 connections")),
    Task("slow", "150 MB of 1 KiB to a program that takes 100 MB/s", "MiB at most, above the start", [
        Slow("ZeroMQ", "zeromq"),
        Slow("Postbus", "postbus_throughput"),
    ], [Must("Postbus", "<=", 8 + 8, key="sender_mib"), Must("Postbus", "<=", 4 + 8, key="receiver_mib")],
        smaller_is_better=True, beside=("ZeroMQ",), rounds_max=2,
        also={"sender_mib": "sender", "receiver_mib": "receiver", "megabytes_per_second": "MB/s"}),
]
