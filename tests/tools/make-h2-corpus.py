#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seed inputs of fuzz-h2 to tests/corpus/h2/: conversations of python3-h2 with itself."""
import os

import h2.config
import h2.connection

PLACE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "corpus", "h2")
MAGIC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FROM_SERVER, WRITE = 0x80, 0x60
SECRETS, BODIES = 1, 2
GET = [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")]
POST = [(":method", "POST"), *GET[1:]]


class Talk:
    """Both ends; what they say becomes the pieces of an input."""

    def __init__(self, first=0):
        self.out = bytes([first])
        self.client = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False))
        self.server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, validate_outbound_headers=False,
                                                                          validate_inbound_headers=False))
        self.client.initiate_connection()
        self.server.initiate_connection()
        self.both()

    def both(self):
        while True:
            up, down = self.client.data_to_send(), self.server.data_to_send()
            if not up and not down:
                return
            self.server.receive_data(up)
            self.client.receive_data(down)
            self.say(0, up.removeprefix(MAGIC))
            self.say(FROM_SERVER, down)

    def say(self, who, data):
        for at in range(0, len(data), 255):
            piece = data[at:at + 255]
            self.out += bytes([who | WRITE, len(piece)]) + piece

    def save(self, name):
        self.both()
        with open(os.path.join(PLACE, name), "wb") as f:
            f.write(self.out)


def exchange(t, stream, head, body=b"", trailers=None, answer=b"hello", end=None):
    t.client.send_headers(stream, head, end_stream=not body and not trailers)
    if body:
        t.client.send_data(stream, body, end_stream=not trailers)
    if trailers:
        t.client.send_headers(stream, trailers, end_stream=True)
    t.both()
    t.server.send_headers(stream, [(":status", "200"), ("x", "y")])
    t.server.send_data(stream, answer, end_stream=not end)
    if end:
        t.server.send_headers(stream, end, end_stream=True)
    t.both()


def main():
    os.makedirs(PLACE, exist_ok=True)
    t = Talk()
    exchange(t, 1, GET)
    t.save("get")
    t = Talk()
    for stream in (1, 3, 5):
        t.client.send_headers(stream, GET, end_stream=True)
    t.both()
    for stream in (5, 1, 3):
        t.server.send_headers(stream, [(":status", "204")], end_stream=True)
    t.save("three")
    t = Talk()
    exchange(t, 1, POST, b"x" * 600, [("sum", "1")], b"y" * 600, [("grpc-status", "0")])
    t.save("trailers")
    t = Talk()
    exchange(t, 1, [*GET[:2], (":authority", "b"), GET[3]])
    t.save("other-host")
    t = Talk()
    t.client.send_headers(1, POST)
    t.both()
    t.server.send_headers(1, [(":status", "103"), ("link", "l")])
    t.both()
    t.client.reset_stream(1, 8)
    t.client.send_headers(3, GET, end_stream=True)
    t.both()
    t.server.reset_stream(3, 7)
    t.server.close_connection()
    t.save("resets")
    for name, first, place in (("secret-field", SECRETS, 0), ("secret-bodies", SECRETS | BODIES, 1)):
        t = Talk(first)
        exchange(t, 1, [*POST, ("key", "$MSB_K"), ("authorization", "Basic JE1TQl9L")], b"a $MSB_K b" if place else b"ab")
        exchange(t, 3, [*POST[:3], (":path", "/?q=$MSB_K")], b"%24MSB_K $MSB_")
        t.save(name)
    t = Talk()
    t.client.ping(b"12345678")
    t.client.update_settings({4: 10})
    t.server.update_settings({3: 2, 1: 0})
    exchange(t, 1, GET, answer=b"0123456789" * 1)
    t.save("settings")


if __name__ == "__main__":
    main()
