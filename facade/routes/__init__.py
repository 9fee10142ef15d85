"""The routes of the facade, a router in each module."""

from typing import Any

from facade.wire.caller import JOB_ID
from facade.wire.replies import JOB, MODEL
from facade.work.jobs import JOB_ID_PATTERN

PROBLEMS = (
    "invalid_image",
    "unsupported_image",
    "image_too_large",
    "invalid_mask",
    "invalid_text",
    "invalid_setting",
    "missing_field",
    "unexpected_field",
    "duplicate_field",
    "malformed_body",
    "unauthorized",
    "unknown_model",
    "request_timeout",
    "job_in_use",
    "request_too_large",
    "unsupported_media_type",
    "rate_limited",
    "cancelled",
    "internal",
    "not_finite",
    "busy",
    "too_busy",
    "unavailable",
    "deadline_exceeded",
)
"""What any request that carries a photograph may be answered instead."""

JOB_PARAMETER: dict[str, Any] = {
    "parameters": [
        {
            "name": JOB_ID,
            "in": "header",
            "required": False,
            "description": "an id of your own for the job, under which it can be cancelled; by default the request's",
            "schema": {"type": "string", "pattern": JOB_ID_PATTERN},
            "example": "photo-7",
        }
    ]
}
"""How a request names its job."""

JOB_HEADERS: dict[str, Any] = {
    MODEL: {"description": "what made it", "schema": {"type": "string"}},
    JOB: {"description": "the id under which it could be cancelled", "schema": {"type": "string"}},
    "Server-Timing": {"description": "milliseconds by stage", "schema": {"type": "string"}},
}
"""Of an answer that a model made."""
