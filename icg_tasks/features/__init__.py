"""Item vectors by ONNX Runtime; user vectors and segments as DataFrame functions for Spark. Knows no model that learns."""
