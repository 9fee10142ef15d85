"""OpenAI's images, edited and generated, as a translation onto Concord's own requests."""
