"""YuNet in ONNX Runtime: where faces, eyes, noses and mouths are, as `cv2.FaceDetectorYN` finds them, in half its time.

The net (Wu et al. 2023, https://doi.org/10.1007/s11633-023-1423-y) has an answer for each cell of three grids, of 8, 16
and 32 pixels a cell: how sure it is of a face, its box and five points, measured from the cell in cells.
"""

import cv2
import numpy as np

from fer.onnx_runtime import import_onnxruntime

STRIDES = 8, 16, 32  # pixels of a cell's side
KINDS = "cls", "obj", "bbox", "kps"  # is it a face, is it anything, box, points
OUTPUTS = [f"{kind}_{stride}" for stride in STRIDES for kind in KINDS]

OVERLAP = 0.3  # IoU above which the lesser box is dropped
CANDIDATES = 5000  # boxes that are looked at before that


class YuNetModel:
    """YuNet's net, on one thread of the CPU.

    Args:
        model: content of the ONNX file.
        score: least score of a face.

    Raises:
        ValueError: if it is not YuNet, or ONNX Runtime cannot read it.
    """

    def __init__(self, model: bytes, score: float) -> None:
        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors, which are raised as well
        options.intra_op_num_threads = 1  # as everywhere, `fer.inference.run`; a second spins 15 ms a frame of a clip
        options.enable_mem_pattern = False  # 1000 sizes of photos take 250 MB without it, 400 with it, and no longer
        self.score = score
        try:
            self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            self.detect(np.zeros((64, 64, 3), np.uint8))  # another net fails only here
        except Exception as error:  # ONNX Runtime's have no class of their own
            raise ValueError(str(error)) from error

    def detect(self, image: np.ndarray) -> np.ndarray:
        """Return what is found in an image (H, W, 3) uint8, blue-green-red.

        Returns:
            (N, 15) float32 by falling score: x, y, width and height, x and y of five points, score; in pixels.
        """
        given = to_input(image)
        found = decode(self.session.run(OUTPUTS, {"input": given}), given.shape[3], self.score)
        return found[suppress(found[:, :4], found[:, 14], self.score)]


def to_input(image: np.ndarray) -> np.ndarray:
    """Return an image (H, W, 3) uint8 as the net takes it, (1, 3, H, W) float32, 0 to 255.

    Black to its right and below makes its sides multiples of the last stride.
    """
    height, width = image.shape[:2]
    padded = np.zeros((1, 3, height + -height % STRIDES[-1], width + -width % STRIDES[-1]), np.float32)
    padded[0, :, :height, :width] = image.transpose(2, 0, 1)
    return padded


def decode(outputs: list[np.ndarray], width: int, score: float) -> np.ndarray:
    """Return the faces that reach a score, many times each.

    Args:
        outputs: `OUTPUTS`, each (1, cells, values).
        width: of the padded picture in pixels.
        score: the least.

    Returns:
        (N, 15) float32, as `YuNetModel.detect`.
    """
    found = [np.empty((0, 15), np.float32)]
    for stride, first in zip(STRIDES, range(0, len(OUTPUTS), len(KINDS)), strict=True):
        face, thing, boxes, points = (values[0] for values in outputs[first : first + len(KINDS)])
        scores = np.sqrt(face * thing)[:, 0]
        (sure,) = np.nonzero(scores >= score)
        if not sure.size:
            continue
        rows = np.empty((len(sure), 15), np.float32)
        cells = np.stack((sure % (width // stride), sure // (width // stride)), 1)  # (N, 2)
        rows[:, 2:4] = np.exp(boxes[sure, 2:])
        rows[:, :2] = cells + boxes[sure, :2] - rows[:, 2:4] / 2
        rows[:, 4:14] = np.tile(cells, 5) + points[sure]
        rows[:, :14] *= stride
        rows[:, 14] = scores[sure]
        found.append(rows)
    return np.concatenate(found)


def suppress(boxes: np.ndarray, scores: np.ndarray, score: float) -> np.ndarray:
    """Return which of the boxes (N, 4) overlap none of a higher score: indices (K,), by falling score (N,)."""
    whole = boxes.astype(int).tolist()  # whole pixels, as FaceDetectorYN compares them
    return np.array(cv2.dnn.NMSBoxes(whole, scores.tolist(), score, OVERLAP, top_k=CANDIDATES), int)
