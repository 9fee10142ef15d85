"""Bytes to requests and answers to bytes: HTTP, forms, uploads, events."""
