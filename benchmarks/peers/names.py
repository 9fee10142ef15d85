"""What is compared, as the report names it."""

GRPC, FACADE = "Concord, gRPC", "Concord, facade"
LITSERVE, FASTAPI = "LitServe", "FastAPI"
ONNX_RUNTIME, OPENVINO = "ONNX Runtime, in process", "OpenVINO, in process"
RATE = "requests_per_second"
