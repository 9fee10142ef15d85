"""The loop of Blended Diffusion."""
CHANNELS, SIDE, STEPS = 3, 256, 100
