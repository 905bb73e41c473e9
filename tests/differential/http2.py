"""Requests of HTTP/2 as a file has them, sound or not, each on a connection of its own with a sound
one behind it. Prints a line a case: the final answers.

usage: http2.py CASES PORT"""

import json
import sys

from wire import (DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, Conn, frame, head)


def answer(conn, stream):
    """The answer on a stream, or none (status 0) where stream or connection end without one."""
    def over(f):
        return f.type == GOAWAY or f.stream_id == stream and (
            f.type == RST_STREAM or f.type in (HEADERS, DATA) and "END_STREAM" in f.flags)
    over_by = conn.until(over, 10)
    if over_by is None and not conn.ended:
        raise SystemExit(f"stream {stream} did not end: {conn.frames}")
    for found in conn.frames:
        if found.type == HEADERS and found.stream_id == stream:
            status = int(found.fields[":status"])
            if status >= 200:
                own = "error=" in found.fields.get("proxy-status", "")
                return {"status": status, "own": own}
    return {"status": 0, "own": True}


def ask(port, case):
    fields = [(bytes.fromhex(name), bytes.fromhex(value)) for name, value in case["fields"]]
    conn = Conn(port)
    if case["body"] is None:
        conn.send(head(1, fields))
    else:
        conn.send(head(1, fields, END_HEADERS)
                  + frame(DATA, 1, bytes.fromhex(case["body"]), END_STREAM))
    first = answer(conn, 1)
    number = case["number"]
    conn.send(head(3, [(":method", "GET"), (":scheme", "https"), (":authority", "shop.example"),
                       (":path", f"/{number}/behind"), ("x-case", number)]))
    second = answer(conn, 3)
    conn.close()
    return [first, second]


def main():
    path, port = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        cases = json.load(file)
    for case in cases:
        print(json.dumps(ask(int(port), case)))


main()
