"""Exports that publish several networks at once, or one from several checkpoints, one file each."""

PIPELINES = {
    "diffharmony": ("vae_encoder", "unet", "vae_decoder", "latent_preview"),
    "diffreharmony": ("text_encoder", "referring_unet"),
    "crisht": ("crisht",),
}
"""All of them, by file and command, with the networks of `export.networks` that are theirs."""
