"""An exported student with onnxruntime, numpy and pillow alone.

    fakd export --checkpoint runs/fakd --format onnx --output student.onnx
    python onnx_student.py student.onnx slice.png

Research software: not for diagnosis.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
stored = session.get_modelmeta().custom_metadata_map
names, preprocessing = json.loads(stored["class_names"]), json.loads(stored["preprocessing"])
decision = json.loads(stored["decision"]) or {}  # what validation images decided, if it is known


def softmax(logits):
    """Probabilities of logits."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


for path in sys.argv[2:]:
    # The graph resizes too, to within one grey level of Pillow, which training used.
    side = (preprocessing["image_size"],) * 2
    image = Image.open(path).convert("RGB").resize(side, Image.Resampling.BILINEAR)
    (logits,) = session.run(["logits"], {"images": np.asarray(image)[None]})
    probabilities = softmax(logits[0].astype(float) / (decision.get("temperature") or 1))
    abstained = softmax(logits[0].astype(float)).max() < (decision.get("reject_threshold") or 0)
    answer = "not sure" if abstained else names[probabilities.argmax()]
    print(path, answer, *(f"{name}={p:.4f}" for name, p in zip(names, probabilities, strict=True)))
