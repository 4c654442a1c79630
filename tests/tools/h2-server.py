#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An HTTPS server that speaks HTTP/2 and nothing else. usage: h2-server.py ADDRESS PORT CERTIFICATE KEY

stdout gets a JSON line for each head of a request, as it comes: its fields, in their order.

	/sum		length and SHA-256 of the request's body
	/bytes/N	N bytes of "x"
	/echo		the body, and grpc-status among the trailers
	/events		three events, each after the one before was asked for by /next
	/next		lets the next event go
	/reset		a reset with code 11
	/goaway		an answer, and no more requests on this connection
"""

import hashlib
import json
import socket
import ssl
import sys
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions


class Connection:
    def __init__(self, sock):
        self.sock = sock
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.paths, self.bodies = {}, {}
        self.waiting = {}  # stream: [bytes to be sent, trailers, whether it ends then]
        self.events = []  # (stream, number) of those who wait for /next

    def run(self):
        self.h2.initiate_connection()
        self.sock.sendall(self.h2.data_to_send())
        while True:
            data = self.sock.recv(65536)
            if not data:
                return
            for e in self.h2.receive_data(data):
                self.on(e)
            self.flush()

    def on(self, e):
        if isinstance(e, h2.events.RequestReceived):
            fields = dict(e.headers)
            print(json.dumps({"fields": e.headers}), flush=True)
            self.paths[e.stream_id], self.bodies[e.stream_id] = fields[":path"], b""
            if fields[":path"] == "/events":
                self.head(e.stream_id, ("content-type", "text/event-stream"))
                self.event(e.stream_id, 1)
        elif isinstance(e, h2.events.DataReceived):
            self.bodies[e.stream_id] += e.data
            self.h2.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
        elif isinstance(e, h2.events.TrailersReceived):
            print(json.dumps({"trailers": e.headers}), flush=True)
        elif isinstance(e, h2.events.StreamEnded):
            self.answer(e.stream_id, self.paths[e.stream_id], self.bodies.pop(e.stream_id))

    def head(self, stream, *fields):
        self.h2.send_headers(stream, [(":status", "200"), *fields])

    def say(self, stream, data, trailers=None, end=True):
        self.head(stream)
        self.waiting[stream] = [data, trailers, end]

    def event(self, stream, number):
        self.waiting[stream] = [f"data: {number}\n\n".encode(), None, number == 3]
        self.events.append((stream, number))

    def answer(self, stream, path, body):
        if path == "/sum":
            self.say(stream, f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode())
        elif path.startswith("/bytes/"):
            self.say(stream, b"x" * int(path[7:]))
        elif path == "/echo":
            self.say(stream, body, [("grpc-status", "0"), ("grpc-message", "fine")])
        elif path == "/next":
            last, number = self.events.pop()
            self.event(last, number + 1)
            self.say(stream, b"")
        elif path == "/reset":
            self.h2.reset_stream(stream, error_code=11)
        elif path == "/goaway":
            self.say(stream, b"bye")
            self.flush()
            self.h2.close_connection()
        elif path != "/events":
            self.say(stream, b"hello")

    def flush(self):
        for stream, (data, trailers, end) in list(self.waiting.items()):
            try:
                n = min(len(data), self.h2.local_flow_control_window(stream))
                while n:
                    piece = min(n, self.h2.max_outbound_frame_size)
                    self.h2.send_data(stream, data[:piece])
                    data, n = data[piece:], n - piece
                if data:
                    self.waiting[stream][0] = data
                    continue
                if trailers:
                    self.h2.send_headers(stream, trailers, end_stream=True)
                elif end:
                    self.h2.end_stream(stream)
            except h2.exceptions.ProtocolError:
                pass
            del self.waiting[stream]
        self.sock.sendall(self.h2.data_to_send())


def serve(sock, context):
    try:
        with context.wrap_socket(sock, server_side=True) as s:
            print(json.dumps({"alpn": s.selected_alpn_protocol()}), flush=True)
            Connection(s).run()
    except (OSError, h2.exceptions.ProtocolError) as e:
        print(json.dumps({"error": str(e)}), flush=True)


def main():
    address, port, certificate, key = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(certificate, key)
    listener = socket.create_server((address, int(port)))
    print(json.dumps({"ready": True}), flush=True)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0], context), daemon=True).start()


if __name__ == "__main__":
    main()
