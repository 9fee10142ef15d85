"""HTTP/1.1 as uvicorn speaks it, with bounds: on the head of a request, how long it may take and how large it may be,
and on an answer, how long its client may read nothing of it.
"""

import asyncio
import socket
import struct
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 2**10
_RESET = struct.pack("ii", 1, 0)  # struct linger: on, for no second
_TOO_SLOW = (HTTPStatus.REQUEST_TIMEOUT, "request_timeout")
_TOO_LARGE = (HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "request_too_large")


class BoundedProtocol(HttpToolsProtocol):
    """One connection. What comes after the head, the body, is bounded by those who read it.

    Attributes:
        patience: seconds a client may take from its first byte, or from connecting, to the end of the head; and seconds
            in which it reads nothing of an answer that waits for it.
    """

    patience = 30.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_bytes = 0
        self._in_head = True
        self._timer: asyncio.TimerHandle | None = self._armed()
        self._unread: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
            self._timer = self._timer or self._armed()
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(*_TOO_LARGE)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._disarm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()

    def pause_writing(self) -> None:
        """What is written waits: the client does not read as fast as it is answered."""
        super().pause_writing()
        self._watch_reading(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """The client has read, or is gone."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def _watch_reading(self, unread: int) -> None:
        self._unread = self.loop.call_later(self.patience, self._expect_less, unread)

    def _expect_less(self, unread: int) -> None:
        left = self.transport.get_write_buffer_size()
        if left >= unread:
            # Reset, so that the kernel does not keep what lies unread for as long as the client likes.
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()
        else:
            self._watch_reading(left)

    def _armed(self) -> asyncio.TimerHandle:
        return self.loop.call_later(self.patience, self._refuse, *_TOO_SLOW)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: HTTPStatus, code: str) -> None:
        if self.transport.is_closing():
            return
        # In the middle of another answer there is no place for this one.
        if self.cycle is None or self.cycle.response_complete:
            body = (
                f'{{"type":"urn:concord:problem:{code}","title":"{status.phrase}","status":{status.value},'
                f'"detail":"the head of the request was not read to its end"}}'
            )
            self.transport.write(
                f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/problem+json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode()
            )
        self.transport.close()


def bounded(seconds: float) -> type[asyncio.Protocol]:
    """The protocol with this patience."""

    class Patient(BoundedProtocol):
        patience = seconds

    return Patient
