"""What is compared, as the report names it."""

GRPC, FACADE, BF16 = "Concord, gRPC", "Concord, facade", "Concord, facade, BF16"
OURS = (FACADE, BF16)  # that speak HTTP, as the others do
LITSERVE, FASTAPI = "LitServe", "FastAPI"
ONNX_RUNTIME, OPENVINO = "ONNX Runtime, in process", "OpenVINO, in process"
RATE = "requests_per_second"
