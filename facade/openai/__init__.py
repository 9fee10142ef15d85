"""OpenAI's image edits, as a translation onto Concord's own requests."""
