"""The networks of the family, in the order in which they are measured: those of one export beside each other."""

from functools import partial

from benchmarks.family import eager
from benchmarks.family.networks import (
    publish_alone,
    publish_attngan,
    publish_ldm,
    publish_ldm_inpainting,
    publish_ldm_sr,
    publish_phdiffusion,
    served,
)
from benchmarks.family.subject import ONE_PASS, STEP, Subject
from export.networks import blended_guidance
from export.networks.attngan_generator import BIRD, COCO
from export.networks.attngan_text_encoder import AttnGanTextConfig
from export.networks.blended_guidance import BlendedConfig
from export.networks.diffir import PLACES_BIG, DiffIRConfig

OURS = "published layout"
TEXT2IMG = partial(publish_ldm, only=("ldm_text2img_text_encoder", "ldm_text2img_unet"))


def alone(name: str, network: str, sizes: object, goal: float | None = None) -> Subject:
    """A network that is the only one of its pipeline."""
    publish = partial(publish_alone, name=network, sizes=sizes)
    return Subject(name, network, publish, partial(served, network, sizes), OURS, goal)


SUBJECTS = (
    alone("diffir_s2_inpainting", "diffir", DiffIRConfig(), ONE_PASS),
    alone("diffir_s2_inpainting_places_big", "diffir", PLACES_BIG, ONE_PASS),
    Subject(
        "attngan_coco",
        "attngan_generator",
        publish_attngan,
        partial(served, "attngan_generator", COCO),
        OURS,
        ONE_PASS,
    ),
    Subject(
        "attngan_text_encoder_coco",
        "attngan_text_encoder",
        publish_attngan,
        partial(served, "attngan_text_encoder", AttnGanTextConfig()),
        OURS,
    ),
    Subject(
        "attngan_bird",
        "attngan_generator",
        partial(publish_attngan, config=BIRD),
        partial(served, "attngan_generator", BIRD),
        OURS,
        ONE_PASS,
    ),
    Subject(
        "ldm_bsr_sr",
        "ldm_sr_unet",
        publish_ldm_sr,
        eager.ldm_sr_unet,
        "diffusers' UNet2DModel",
        STEP,
        side=1024,  # of what a window is enlarged to, at the stride that is declared for engines
    ),
    Subject(
        "ldm_inpainting_big",
        "ldm_inpainting_unet",
        publish_ldm_inpainting,
        eager.ldm_inpainting_unet,
        OURS,
        STEP,
    ),
    Subject(
        "ldm_inpainting_big_decoder",
        "ldm_inpainting_decoder",
        publish_ldm_inpainting,
        eager.vq_decoder,
        "diffusers' VQModel",
    ),
    Subject("phdiffusion", "phdiffusion_unet", publish_phdiffusion, eager.phdiffusion_unet, OURS, STEP),
    Subject(
        "kl_f8_decoder",
        "phdiffusion_decoder",
        publish_phdiffusion,
        eager.kl_decoder,
        "diffusers' AutoencoderKL",
    ),
    Subject(
        "ldm_text2img_large_text_encoder",
        "ldm_text2img_text_encoder",
        TEXT2IMG,
        eager.text2img_text_encoder,
        "diffusers' LDMBertModel",
    ),
    Subject(
        "ldm_text2img_large",
        "ldm_text2img_unet",
        TEXT2IMG,
        eager.text2img_unet,
        "diffusers' UNet2DConditionModel",
        STEP,
        256,
    ),
    alone("blended_diffusion", blended_guidance.NETWORK.name, BlendedConfig()),
)
