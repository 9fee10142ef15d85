"""KServe v2, the Open Inference Protocol, over HTTP: its routes and shapes, for clients that speak it."""
