# migrating: docs/MIGRATING.md has every public name of each system that it speaks of, once, and what it
# names of ours is in our headers. The lists are here, so that a row cannot be lost unnoticed.
# Usage: migrating_test.py ROOT
import pathlib
import re
import sys

MSGPACKNET = """
Node Node::new Node::without_init Node::with_random_id Node::create_default Node::node_id
Node::init_message Node::set_init_message Node::connection_timeout Node::set_connection_timeout
Node::stats_halflife_time Node::set_stats_halflife_time Node::listen Node::listen_defaults
Node::addresses Node::connect Node::connect_request Node::send Node::receive Node::receive_timeout
Node::is_connected Node::connection_count Node::lookup_connection Node::stats Node::close
CloseGuard ConnectionRequest ConnectionRequest::init_message ConnectionRequest::node_id
ConnectionRequest::accept ConnectionRequest::reject Event Event::Message Event::ConnectionRequest
Event::Connected Event::Disconnected Event::Closing Event::Closed Error Error::AlreadyClosed
Error::OpenError Error::ConnectionError Error::SendError Error::ReadError Error::NotConnected
Error::ConnectionAborted Error::CloseError NodeStats NodeStats::connections ConnectionStats
ConnectionStats::write_total ConnectionStats::write_rate ConnectionStats::write_idle
ConnectionStats::read_total ConnectionStats::read_rate ConnectionStats::read_idle
Message NodeId InitMessage
""".split()

SYSTEMS = {"msgpacknet": MSGPACKNET}
ROW = re.compile(r"^\| `(?P<theirs>[^`]+)` \| (?:`(?P<ours>[^`]+)`|left out) \|(?P<words>.*)\|$")


def headers(root):
    text = ""
    for folder in ("codecs", "bus", "actors"):
        for path in sorted((root / folder).glob("*.hpp")):
            text += path.read_text(encoding="utf-8")
    return text


def findings(text, known):
    """What is wrong with the page `text`, when our headers are `known`."""
    out = []
    for system, names in SYSTEMS.items():
        start = re.search(rf"^## {system}\b", text, re.M)
        if not start:
            out.append(f"no section about {system}")
            continue
        section = text[start.end():].split("\n## ")[0]
        rows = [match for match in map(ROW.match, section.splitlines()) if match]
        theirs = [row["theirs"] for row in rows]
        out += [f"{system}: {name} is missing" for name in names if name not in theirs]
        out += [f"{system}: {name} is there twice" for name in set(theirs) if theirs.count(name) > 1]
        out += [f"{system}: {name} is not in the test's list" for name in theirs if name not in names]
        for row in rows:
            if row["ours"] is None and not row["words"].strip():
                out.append(f"{system}: {row['theirs']} is left out without a reason")
            for name in (row["ours"] or "").split("::"):
                if name and not re.search(rf"\b{re.escape(name)}\b", known):
                    out.append(f"{system}: {row['ours']} is not in our headers")
    return out


def main(root):
    known = headers(root)
    page = (root / "docs" / "MIGRATING.md").read_text(encoding="utf-8")
    found = findings(page, known)
    # The check itself must be able to fail.
    lost = page.replace("| `CloseGuard` |", "| `Guard` |")
    assert len(findings(lost, known)) == len(found) + 2, "a lost row is not found"
    gone = page.replace("`node::lookup`", "`node::look_up_nobody`")
    assert len(findings(gone, known)) == len(found) + 1, "a name that we have not is not found"
    for each in found:
        print("docs/MIGRATING.md:", each)
    print(f"{sum(map(len, SYSTEMS.values()))} names, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
