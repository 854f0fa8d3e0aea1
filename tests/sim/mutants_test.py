# mutants: wrong versions of the cores, to show that the simulator notices. Each mutant replaces one
# exact snippet of one bus/*.cpp; only that file is compiled again, with the flags of the build, and
# linked before the libraries. The simulator must then find a broken law.
# Usage: mutants_test.py compile_commands.json main.o libraries...; `-k name` runs only some.
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

# name, the law that it breaks, file in bus/, what is there, what the mutant has instead, how the simulator is called
SEEDS = ("--seeds", "1:150")
KEEPING = ("--seeds", "1:500")
MUTANTS = [
    ("lost credit", "progress", "session.cpp",
     "    credit_due_ = true;\n}\n\nbool session::needs_release",
     "    credit_due_ = false;\n}\n\nbool session::needs_release", SEEDS),
    ("window not respected", "protocol", "session_wire.cpp",
     "const auto credit_left = bytes_limit_ > bytes_sent_ ? bytes_limit_ - bytes_sent_ : 0;",
     "const auto credit_left = std::uint64_t{1} << 40;", SEEDS),
    ("frames beyond the window", "protocol", "session_wire.cpp",
     "frames_limit_ > frames_sent_ ? frames_limit_ - frames_sent_ : 0;",
     "frames_limit_ >= frames_sent_ ? frames_limit_ - frames_sent_ + 1 : 0;", SEEDS),
    ("missed keepalive", "deadline", "session.cpp",
     "first = std::min(first, last_sent_ + ping_after());",
     "(void)0;", SEEDS),
    ("missed silence", "deadline", "session.cpp",
     "first = std::min(first, last_received_ + bounds_->silence_time_max());",
     "first = std::min(first, last_received_ + 2 * bounds_->silence_time_max());", SEEDS),
    ("goodbye before data", "progress", "session_wire.cpp",
     "queue.data_frames() == 0\n                       && ((asks_nothing()",
     "((asks_nothing()", SEEDS),
    ("confirmed too early", "account", "session_wire.cpp",
     "say(encode(goodbye{code, frames_released_, std::move(detail)}));",
     "say(encode(goodbye{code, frames_received_, std::move(detail)}));", SEEDS),
    ("account off by one", "account", "session_wire.cpp",
     "unsent_ += queue.data_frames();",
     "unsent_ += queue.data_frames() > 0 ? queue.data_frames() - 1 : 0;", SEEDS),
    ("outbox without a bound", "bound", "outbox.cpp",
     "data_.bytes + frame_header_bytes + body_bytes <= bytes_max_ &&",
     "data_.bytes <= bytes_max_ &&", SEEDS),
    ("outbox loses a frame when split", "content", "outbox.cpp",
     "    --run.frames;\n",
     "    run.frames = run.frames > 2 ? run.frames - 2 : run.frames - 1;\n", SEEDS),
    ("late wheel", "ending", "wheel.cpp",
     "const auto target = distance(start_, now) / tick_length;",
     "const auto passed = distance(start_, now) / tick_length;\n"
     "  const auto target = passed > 8 ? passed - 8 : 0;", SEEDS),
    ("event told twice", "events", "node.cpp",
     "  outputs_.push_back(link_up{id, at.peer});\n",
     "  outputs_.push_back(link_up{id, at.peer});\n"
     "  subscriptions_.push(connected{at.peer, {}, at.role == session::role::dialer});\n",
     SEEDS),
    ("more requests than are taken", "bound", "request_table.cpp",
     "with.asked.size() >= there.count_max || ", "", SEEDS),
    ("request forgotten with its connection", "requests", "node_requests.cpp",
     "    outputs_.push_back(answer_request{id, why});\n", "    (void)why;\n", SEEDS),
    ("reply told twice", "requests", "node_requests.cpp",
     "  if (requests_.close(end.id))\n", "  (void)requests_.close(end.id);\n", SEEDS),
    ("leaked connection", "leak", "node.cpp",
     "  outputs_.push_back(connection_over{id});\n",
     "  if (at.linked)\n    outputs_.push_back(connection_over{id});\n", SEEDS),
    ("dial answered by nobody", "dials", "node.cpp",
     "      waiting_dials_[at.peer].push_back(id);\n",
     "      (void)0;\n", SEEDS),
    ("too many connections", "bound", "node.cpp",
     "peers_.open_count() + promised_.size() >= options_.bounds->connections_max",
     "peers_.open_count() >= options_.bounds->connections_max", ("--seeds", "1:300")),
    ("unclaimed not counted", "account", "node.cpp",
     "  at.frames_unclaimed += unclaimed;\n", "", SEEDS),
    ("totals forget what is over", "account", "ledger.cpp",
     "  ended_total_ += end.total;\n", "", SEEDS),
    ("an end leaves statistics waiting", "ending", "ledger.cpp",
     "    if (was_missing && --asked.missing == 0)\n      finish(which);\n",
     "    asked.missing -= was_missing ? 1 : 0;\n", ("--seeds", "1:1000")),
    ("a batch too many in hand", "bound", "subscriptions.cpp",
     "  if (of.handed_out - of.slot->frames() < batches_in_flight_max_)\n",
     "  if (of.handed_out - of.slot->frames() <= batches_in_flight_max_)\n", SEEDS),
    ("what waits is forgotten", "progress", "subscriptions.cpp",
     "  if (const auto found = all_.find(id); found != all_.end())\n    pump(found);",
     "  (void)id;", SEEDS),
    ("gap too short", "account", "subscriber_queue.cpp",
     "  mark.messages += messages;\n",
     "  mark.messages = messages;\n", SEEDS),
    ("cut off without a count", "account", "subscriptions.cpp",
     "  const auto dropped = gone.taken - gone.delivered;\n",
     "  const auto dropped = gone.waiting.messages();\n", SEEDS),
    ("held messages lost with their connection", "account", "node_keeping.cpp",
     "    down.first = std::move(end.unsent);\n", "    (void)end;\n", SEEDS),
    ("nothing held over a gap", "account", "keeper.cpp",
     "    actions_.push_back(hold{peer, of.how.hold_bytes_max, of.how.hold_messages_max});\n",
     "    (void)0;\n", SEEDS),
    ("held messages behind later ones", "content", "outbox.cpp",
     "  while (auto piece = data_.queue.take_front())\n    add(std::move(*piece));\n"
     "  data_ = std::move(all);\n",
     "  while (auto piece = all.queue.take_front())\n    data_.queue.push_back(std::move(*piece));\n"
     "  data_.bytes += all.bytes;\n  data_.frames += all.frames;\n", KEEPING),
    ("held for who is kept no more", "account", "keeper.cpp",
     "  if (of.how.hold_bytes_max > 0 && !holds(peer))\n    actions_.push_back(release{peer});\n",
     "", KEEPING),
    ("a kept peer told again and again", "events", "keeper.cpp",
     "  if (std::exchange(of.said, keep_status::reconnecting) != keep_status::reconnecting)\n",
     "  of.said = keep_status::reconnecting;\n", SEEDS),
    ("a change of a kept peer untold", "progress", "keeper.cpp",
     "  if (of.said != keep_status::connected || before)\n", "  if (before)\n", SEEDS),
    ("waits that do not grow", "deadline", "keeper.cpp",
     "    of.wait = of.wait < bounds.reconnect_time_max / 2 ? 2 * of.wait : bounds.reconnect_time_max;",
     "    (void)0;", SEEDS),
    ("a lost peer forgotten", "deadline", "keeper.cpp",
     "  if (!is_final(peer.error().code, peer.error().by)) {\n    lose(of, peer.error(), false);\n",
     "  if (!is_final(peer.error().code, peer.error().by)) {\n", SEEDS),
    ("a kept peer closed when idle", "deadline", "node_keeping.cpp",
     "            outputs_.push_back(keep_connection{*open, stay.yes});\n", "            (void)open;\n",
     KEEPING),
    ("unsent messages not handed back", "progress", "node_own.cpp",
     "  if (messages > 0)\n    subscriptions_.push(std::move(back));\n",
     "  if (messages > 1)\n    subscriptions_.push(std::move(back));\n", SEEDS),
    ("an own message lost", "content", "loopback.cpp",
     "    if (piece->is_data)\n      append(*found, *piece);\n",
     "    if (piece->is_data && (pieces.empty() || found->frames() == 0))\n"
     "      append(*found, *piece);\n", SEEDS),
    ("own messages without a window", "progress", "loopback.cpp",
     "    charge_->want();\n", "", SEEDS),
    ("own unclaimed not counted", "account", "node_own.cpp",
     "  own_unclaimed_ += unclaimed;\n", "", SEEDS),
    ("own unclaimed not in the statistics", "account", "node_own.cpp",
     "  ledger_.unclaimed(unclaimed);\n", "", SEEDS),
    ("held counted as dropped", "account", "node.cpp",
     "    end.account.unsent = 0;\n", "    (void)0;\n", SEEDS),
    ("drops by another reason", "account", "ledger.cpp",
     "    count_drops(drop::unsent, why, end.account.unsent);\n",
     "    count_drops(drop::unsent, {}, end.account.unsent);\n", SEEDS),
    ("another tag let through", "order", "shares.cpp",
     "      who[index] = filters[index]->takes(tag);\n",
     "      who[index] = filters[index]->takes(static_cast<std::uint16_t>(tag & 0x7fff));\n", SEEDS),
    ("another peer let through", "order", "subscriptions.cpp",
     "wants.messages && wants.filter.takes(from)) {", "wants.messages) {", SEEDS),
    ("another peer's events let through", "events", "subscriptions.cpp",
     "    if (peer != nullptr && !to.wants.filter.takes(*peer))\n      continue;\n", "", SEEDS),
    ("drops not counted", "account", "subscriber_queue.cpp",
     "  dropped_ += messages;\n", "", SEEDS),
    ("bytes of drops not counted", "account", "subscriber_queue.cpp",
     "  dropped_bytes_ += bytes;\n", "", SEEDS),
    ("delivered not counted", "account", "subscriptions.cpp",
     "  to.delivered += messages->frames().frames();\n", "  ++to.delivered;\n", SEEDS),
    ("a queue without a bound", "bound", "subscriber_queue.cpp",
     "  while (messages_ > 0 && (skipped.messages > 0 || !fits(kept.bytes(), kept.frames())))\n",
     "  while (messages_ > 0 && skipped.messages > 0)\n", SEEDS),
    ("a program's end of a connection lost", "deadline", "node_settings.cpp",
     "  outputs_.push_back(\n    close_connection{*open, {errc::closed, blame::local, std::move(words)}, drain});\n",
     "", SEEDS),
    ("two survivors, or none", "survivor", "peer_table.cpp",
     "    return rival && decided_there;",
     "    return rival && decided_there && false;", ("--orders", "two_dials")),
    ("committed to two", "survivor", "peer_table.cpp",
     "  if (committed_beside(of, which.who.connection) != nullptr)\n    return true;\n",
     "", ("--orders", "two_dials")),
    ("open beside a commitment", "survivor", "peer_table.cpp",
     "  if (committed != nullptr && committed->who.incarnation != which->who.incarnation) {",
     "  if (committed == which) {",
     ("--orders", "forger_among_dials")),
    ("refused behind connected", "survivor", "session_frames.cpp",
     "goodbye->reason == errc::already_connected || goodbye->reason == errc::id_in_use;",
     "false;", ("--orders", "forger_among_dials")),
    ("forged claims hold dials back", "survivor", "peer_table.cpp",
     "other.who.dialed != which.who.dialed && other.who.incarnation == which.who.incarnation;",
     "other.who.dialed != which.who.dialed;", ("--orders", "forger_stalls")),
    ("an honest peer is put out", "survivor", "peer_table.cpp",
     "  if (of.others.empty() || of.probing || of.leaving)\n    return;\n",
     "  if (of.others.empty() || of.probing || of.leaving)\n    return;\n"
     "  if (of.others.front().who.incarnation != of.incarnation) {\n"
     "    of.leaving = true;\n"
     "    actions_.push_back(displace{of.open, errc::peer_restarted});\n    return;\n  }\n",
     ("--orders", "forger_beside_open")),
    ("a dead connection stays", "survivor", "peer_table.cpp",
     "    of.leaving = true;\n    actions_.push_back(displace{",
     "    of.leaving = true;\n    if (same)\n      actions_.push_back(displace{",
     ("--orders", "restart")),
]


def mutate(name, file, old, new, folder, entries):
    entry = next(e for e in entries if re.search(r"/bus/" + re.escape(file) + "$", e["file"]))
    with open(entry["file"]) as source:
        text = source.read()
    if text.count(old) != 1:
        raise ValueError(f"{file} has {text.count(old)} times what the mutant replaces:\n{old}")
    stem = os.path.join(folder, re.sub(r"\W", "_", name))
    with open(stem + ".cpp", "w") as wrong:
        wrong.write(text.replace(old, new))
    words = shlex.split(entry["command"])
    if os.path.basename(words[0]) in ("ccache", "sccache"):
        words.pop(0)
    words[words.index("-o") + 1] = stem + ".o"
    words[words.index("-c") + 1] = stem + ".cpp"
    # A mutant runs a second at most: what it is compiled in counts for more.
    words = [w for w in words if w not in ("-O2", "-O3", "-g", "-Werror")]
    subprocess.run(words + ["-O1", "-w"], cwd=entry["directory"], check=True)
    return stem, words[0]


def find(mutant, folder, entries, link):
    """None when the simulator finds it, else what is wrong."""
    name, law, file, old, new, call = mutant
    try:
        stem, compiler = mutate(name, file, old, new, folder, entries)
    except (ValueError, subprocess.CalledProcessError) as wrong:
        return str(wrong)
    program = stem + ".run"
    subprocess.run([compiler, "-o", program, stem + ".o", *link, "-lpthread"], check=True)
    try:
        done = subprocess.run([program, "--quiet", "--expect-violation", *call], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    except subprocess.TimeoutExpired:
        return "the simulator does not end"
    words = done.stdout.strip().splitlines()
    print(f"{name}: {words[0][:160] if words else '?'}", flush=True)
    if done.returncode == 0 and f"law of {law}:" not in words[0]:
        return f"not the law of {law}"
    return None if done.returncode == 0 else f"exit code {done.returncode}: {done.stdout[-300:]}"


def main():
    arguments = sys.argv[1:]
    wanted = ""
    if "-k" in arguments:
        at = arguments.index("-k")
        wanted = arguments[at + 1]
        del arguments[at:at + 2]
    with open(arguments[0]) as commands:
        entries = json.load(commands)
    link = [os.path.abspath(each) for each in arguments[1:]]
    failed = 0
    with tempfile.TemporaryDirectory() as folder, \
            concurrent.futures.ThreadPoolExecutor(2) as pool:
        chosen = [each for each in MUTANTS if wanted in each[0]]
        runs = [(each[0], pool.submit(find, each, folder, entries, link)) for each in chosen]
        for name, run in runs:
            wrong = run.result()
            if wrong is not None:
                print(f"NOT FOUND: {name}: {wrong}")
                failed += 1
    print(f"{len(chosen) - failed} of {len(chosen)} mutants found")
    return 1 if failed or not chosen else 0


sys.exit(main())
