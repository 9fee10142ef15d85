#!/usr/bin/env bash
# Trains the demo weights again and exports them into the model repository; about twelve hours on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv-test/bin/python
$python -m demo.photographs fetch
$python -m demo.train cris --stage 224:3000:16:1e-3 --stage 416:700:8:5e-4 --stage 224:900:12:1e-3 --stage 416:220:6:5e-4 \
  --stage 224:550:12:1e-3 --stage 416:150:6:5e-4 --stage 224:2000:12:1e-3 --stage 224:1400:12:7e-4 --stage 416:500:6:3e-4
$python -m demo.train ht --stage 64:1500:24:2e-3 --stage 64:1500:24:1.5e-3 --stage 128:650:8:1e-3 \
  --stage 128:480:8:8e-4 --stage 128:2000:8:1e-3 --stage 64:2500:32:1e-3 --stage 128:1400:8:6e-4 --stage 256:220:4:3e-4
ht=demo/weights/ht.safetensors
$python -m demo.train ht --start $ht --output out/photographs.safetensors --stage 64:700:24:1e-3 --stage 128:500:8:8e-4
$python -m demo.train ht --start out/photographs.safetensors --output out/large.safetensors --stage 256:140:4:4e-4
$python -m demo.average $ht $ht out/photographs.safetensors out/large.safetensors
$python -m demo.train vae --stage 128:3000:8:2e-4 --stage 128:1900:8:2.5e-4
$python -m demo.train tiny_vae --stage 64:500:16:2e-3 --stage 64:1800:16:2e-3
$python -m demo.train unet --stage 128:5500:32:1e-3 --stage 256:700:12:6e-4
$python -m demo.train crisht --stage 128:700:8:6e-4 --stage 256:200:4:3e-4
$python -m demo.train clip_ht --stage 128:300:8:5e-4 --stage 256:80:4:2e-4
$python -m demo.train referring --stage 128:300:32:8e-4 --stage 128:500:32:8e-4 --stage 128:1000:32:8e-4 --stage 256:800:12:6e-4
unet=demo/weights/diffharmony/unet
$python -m demo.train unet --start $unet --stage 128:2000:48:6e-4 --stage 256:2500:24:4e-4 --stage 256:1300:24:2.5e-4
ldm=demo/weights/ldm
$python -m demo.train ldm --stage 64:1500:48:1e-3 --stage 128:3000:24:1e-3 --stage 256:700:8:8e-4 --stage 256:2000:8:1e-3
$python -m demo.train ldm --start $ldm/model.safetensors --seed 3 --stage 256:1500:8:1e-3 --stage 256:500:8:1e-3 --stage 256:1100:8:8e-4
$python -m demo.train ldm --start $ldm/model.safetensors --seed 4 --stage 256:2000:8:1e-3 --stage 256:1200:8:8e-4
$python -m demo.train diffir --stage 32:5000:64:1.5e-3 --stage 64:4500:16:1e-3
$python -m export cris --checkpoint demo/weights/cris.safetensors
$python -m export ht --checkpoint demo/weights/ht.safetensors
$python -m export diffharmony --pipeline demo/weights/diffharmony --convolution winograd
$python -m export crisht --cris demo/weights/cris.safetensors --dht demo/weights/crisht.safetensors
$python -m export clip_ht --checkpoint demo/weights/clip_ht.safetensors
$python -m export diffreharmony --pipeline demo/weights/diffreharmony --vae demo/weights/diffharmony/vae --convolution winograd
$python -m export tiny_encoder --checkpoint demo/weights/diffharmony/tiny_vae
$python -m export tiny_decoder --checkpoint demo/weights/diffharmony/tiny_vae
$python -m export ldm --checkpoint $ldm/model.safetensors --vocabulary $ldm/vocabulary.txt
$python -m export diffir --checkpoint demo/weights/diffir.safetensors
$python -m export judge --pictures 64
ONEDNN_MAX_CPU_ISA=AVX512_CORE $python -m export judge --kind avx512
ONEDNN_MAX_CPU_ISA=AVX2 $python -m export judge --kind avx2
