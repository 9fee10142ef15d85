"""Networks that draw, of diffusion models and GANs: what they cost at their published sizes, and their loops."""
