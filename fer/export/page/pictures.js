// From files and cameras to pixels.

export const MOST_PIXELS = 4096 * 4096; // what canvases of phones hold; larger photos are made smaller when decoded
const CAMERA = { width: { ideal: 640 }, height: { ideal: 480 } };
const WIDEST = 640; // pixels of a camera's frames; more would only be slower

/** Return the picture in a file as {canvas, image}: to be drawn, and for the worker; transparency over white. */
export async function readPicture(file) {
  const options = { colorSpaceConversion: "none" }; // as infer.py, which looks at the values that the file holds
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, options);
    const share = Math.sqrt(MOST_PIXELS / (bitmap.width * bitmap.height));
    if (share < 1) {
      const size = { resizeWidth: Math.floor(bitmap.width * share), resizeHeight: Math.floor(bitmap.height * share) };
      bitmap = await createImageBitmap(bitmap, { ...size, resizeQuality: "high" });
    }
  } catch {
    throw { kind: "picture", name: file.name || "This" };
  }
  return pixels(bitmap, bitmap.width, bitmap.height);
}

/** Draw something on a canvas of that size, and return it with its pixels. */
function pixels(source, width, height, canvas = document.createElement("canvas")) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.drawImage(source, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  return { canvas, image: { data, width, height } };
}

/** A camera at work; only the latest frame is taken, so that answers are never late. */
export class Camera {
  constructor(stream) {
    this.stream = stream;
    this.track = stream.getVideoTracks()[0];
    this.video = Object.assign(document.createElement("video"), { muted: true, playsInline: true, srcObject: stream });
    this.isFacing = this.track.getSettings().facingMode !== "environment"; // shown as a mirror does
    this.canvas = document.createElement("canvas");
    this.isNew = false;
    this.wake = () => {};
    this.note();
  }

  /** Take note of each frame that comes, so that one that came meanwhile is not waited for. */
  note() {
    this.isNew = true;
    this.wake();
    if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(() => this.note());
    else requestAnimationFrame(() => this.isOn && this.note());
  }

  /** Start a camera: the one with an id, or one that faces the visitor. */
  static async start(id) {
    if (!navigator.mediaDevices?.getUserMedia) throw { kind: "insecure" };
    const which = id ? { deviceId: { exact: id } } : { facingMode: "user" };
    const camera = new Camera(
      await navigator.mediaDevices.getUserMedia({ video: { ...CAMERA, ...which }, audio: false }),
    );
    await camera.video.play();
    return camera;
  }

  /** Return the ids of all cameras, this one's first. */
  async all() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    const ids = devices
      .filter(({ kind, deviceId }) => kind === "videoinput" && deviceId)
      .map(({ deviceId }) => deviceId);
    const own = ids.indexOf(this.track.getSettings().deviceId);
    return own < 0 ? ids : [...ids.slice(own), ...ids.slice(0, own)];
  }

  get isOn() {
    return this.track.readyState === "live";
  }

  stop() {
    for (const track of this.stream.getTracks()) track.stop();
    this.video.srcObject = null;
  }

  /** Return the latest frame as {canvas, image}, once there is one that was not returned before; null at the end. */
  async next() {
    while (this.isOn && !(this.isNew && this.video.videoWidth)) {
      await new Promise((resolve) => {
        this.wake = resolve;
        setTimeout(resolve, 500); // one that was taken away sends no more
      });
    }
    this.isNew = false;
    if (!this.isOn) return null;
    const { videoWidth: width, videoHeight: height } = this.video;
    const share = Math.min(1, WIDEST / width);
    return pixels(this.video, Math.round(width * share), Math.round(height * share), this.canvas);
  }
}
