#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A client of HTTP/2 that looks at what it gets. usage: h2-client.py HOST; stdout gets one JSON object of all it has seen.

The server is h2-server.py. The environment variables KEY and BASIC go along in fields, BODY in a body.
"""

import hashlib
import json
import os
import socket
import ssl
import sys

import h2.config
import h2.connection
import h2.events


class Client:
    def __init__(self, host):
        context = ssl.create_default_context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        self.host = host
        self.sock = context.wrap_socket(socket.create_connection((host, 443), 100), server_hostname=host)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.streams = {}
        self.gone = False

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def pump(self):
        """Takes what comes next."""
        self.flush()
        data = self.sock.recv(65536)
        self.gone = self.gone or not data
        assert data, "the connection has ended"
        for e in self.h2.receive_data(data):
            s = self.streams.get(getattr(e, "stream_id", None))
            if isinstance(e, h2.events.ConnectionTerminated):
                self.gone = True
            elif s is None:
                continue
            elif isinstance(e, h2.events.ResponseReceived):
                s["status"] = dict(e.headers)[":status"]
            elif isinstance(e, h2.events.DataReceived):
                s["data"] += e.data
                self.h2.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
            elif isinstance(e, h2.events.TrailersReceived):
                s["trailers"] = dict(e.headers)
            elif isinstance(e, h2.events.StreamReset):
                s["reset"] = int(e.error_code)
                s["ended"] = True
            elif isinstance(e, h2.events.StreamEnded):
                s["ended"] = True
        self.flush()

    def ask(self, path, method="GET", body=None, authority=None, fields=(), trailers=None):
        stream = self.h2.get_next_available_stream_id()
        s = self.streams[stream] = {"data": b"", "ended": False}
        self.h2.send_headers(stream, [(":method", method), (":scheme", "https"), (":authority", authority or self.host), (":path", path),
                                      *fields], end_stream=body is None)
        while body:
            n = min(len(body), self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if n == 0:
                self.pump()
                continue
            self.h2.send_data(stream, body[:n])
            body = body[n:]
        if body is not None and trailers:
            self.h2.send_headers(stream, trailers, end_stream=True)
        elif body is not None:
            self.h2.end_stream(stream)
        self.flush()
        return s

    def until(self, wanted):
        while not wanted():
            self.pump()

    def get(self, *args, **kwargs):
        s = self.ask(*args, **kwargs)
        self.until(lambda: s["ended"])
        return {**s, "data": s["data"].decode()}


def main():
    host = sys.argv[1]
    c = Client(host)
    seen = {"alpn": c.sock.selected_alpn_protocol(), "get": c.get("/?private")}
    seen["other"] = c.get("/", authority="other.example")
    seen["key"] = c.get("/key", fields=[("x-key", os.environ["KEY"]), ("authorization", os.environ["BASIC"])])
    seen["stolen"] = c.get("/" + os.environ["KEY"])
    seen["filled"] = c.get("/sum", "POST", f"before {os.environ['BODY']} after".encode())["data"]
    body = os.urandom(1 << 20)
    seen["sum"] = c.get("/sum", "POST", body)["data"] == f"{len(body)} {hashlib.sha256(body).hexdigest()}"
    many = [c.ask(f"/bytes/{1000 * i}") for i in range(50)]
    c.until(lambda: all(s["ended"] for s in many))
    seen["many"] = [len(s["data"]) for s in many]
    seen["grpc"] = c.get("/echo", "POST", b"\0\0\0\0\5hello", fields=[("te", "trailers")], trailers=[("x-sum", "1")])
    stream = c.ask("/events")
    seen["events"] = []
    for number in (1, 2, 3):
        c.until(lambda n=number: stream["data"].count(b"\n\n") == n)
        if number < 3:
            # Only now the server may go on.
            seen["events"].append(stream["ended"])
            c.get("/next")
    c.until(lambda: stream["ended"])
    seen["events"].append(stream["data"].decode())
    seen["reset"] = c.get("/reset")["reset"]
    seen["goaway"] = c.get("/goaway")["data"]
    try:
        c.until(lambda: c.gone)
    except AssertionError:
        pass
    seen["gone"] = c.gone
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
