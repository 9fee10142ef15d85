"""The systems that are compared, as the report names them."""

GRPC, FACADE, BF16 = "Concord, gRPC", "Concord, facade", "Concord, facade, BF16"
OURS = (FACADE, BF16)  # over HTTP, like the others
LITSERVE, FASTAPI = "LitServe", "FastAPI"
ONNX_RUNTIME, OPENVINO = "ONNX Runtime, in process", "OpenVINO, in process"
RATE = "requests_per_second"
