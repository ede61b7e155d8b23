"""Nets for other programs: a weights file as one ONNX file, which needs nothing of ours."""
