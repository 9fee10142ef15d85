"""Logs, metrics, traces, readiness, and the supervision of Triton."""
