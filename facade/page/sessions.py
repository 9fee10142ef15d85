"""What Gradio keeps of the page's tabs, each of which is a session whose name the browser chooses."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr
from gradio.routes import file_upload_statuses
from gradio.state_holder import SessionState

from facade.page.folder import KEPT_SECONDS
from facade.problems import Problem

MOST = 512
"""Sessions that are kept. Beyond it one that no browser shows makes room, the one that was used longest ago."""

MOST_UNREAD = 32
"""Events of a session whose answers nobody has fetched."""

# Gradio keeps what was last sent to every component of a session, for links to it that this page does not have.
SessionState._update_value_in_config = lambda *_: None  # type: ignore[method-assign]


class Sessions:
    """The sessions of one page: kept while a browser shows them, and for as long as a photograph after their last use.

    A browser that shows the page keeps a request open for its session.
    """

    def __init__(self, blocks: gr.Blocks) -> None:
        self._blocks = blocks
        self._shown: Counter[str] = Counter()
        self._used: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._used)

    @contextmanager
    def shown(self, session: str) -> Iterator[None]:
        """A browser shows the session for as long as the block runs."""
        self._shown[session] += 1
        try:
            yield
        finally:
            self._shown[session] -= 1
            self._shown += Counter()  # without those that are zero
            if session in self._used:
                self._use(session)

    def admit(self, session: str) -> None:
        """Something happens in a session, which may be new.

        Raises:
            Problem: too much happened in it that nobody looked at, or too many are shown.
        """
        if len(self._blocks._queue.pending_event_ids_session.get(session, ())) >= MOST_UNREAD:
            raise Problem("too_busy", "too much is going on in this tab", allowed=f"{MOST_UNREAD} events at a time")
        if session not in self._used and len(self._used) >= MOST:
            gone = next((each for each in self._used if each not in self._shown), None)
            if gone is None:
                raise Problem("too_busy", "too many browsers show the page", allowed=f"{MOST} tabs in all browsers")
            self._forget(gone)
        self._use(session)

    def sweep(self, kept_seconds: float = KEPT_SECONDS) -> None:
        """Forgets sessions that are neither shown nor were used for a while, and notes on files, kept for their end."""
        now = time.monotonic()
        for session, used in list(self._used.items()):
            if session not in self._shown and now - used >= kept_seconds:
                self._forget(session)
        for names in self._blocks.temp_file_sets:
            names.clear()
        file_upload_statuses._statuses.clear()
        file_upload_statuses._signals.clear()

    def _use(self, session: str) -> None:
        # At the end: the order is that of use.
        self._used.pop(session, None)
        self._used[session] = time.monotonic()

    def _forget(self, session: str) -> None:
        del self._used[session]
        holder, queue = self._blocks.state_holder, self._blocks._queue
        for kept in (
            holder.session_data,
            holder.time_last_used,
            queue.pending_messages_per_session,
            queue.pending_event_ids_session,
        ):
            kept.pop(session, None)
