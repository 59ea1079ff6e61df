/* From whatever a page has pictures in to what the engine reads: an ImageBitmap (decoded by the
   platform, EXIF orientation honoured, colours and alpha untouched as the reference does it), or
   raw pixels. */
import { fail, WfError } from "./errors.ts";
import { inNode } from "./node.ts";
import { absolute } from "./place.ts";
import type { WireImage } from "./protocol.ts";
import type { ImageInput, Pixels } from "./types.ts";

const AS_STORED: ImageBitmapOptions = {
  imageOrientation: "from-image",
  colorSpaceConversion: "none",
  premultiplyAlpha: "none",
};

const tagOf = (value: unknown): string => Object.prototype.toString.call(value).slice(8, -1);

/**
 * Live things change or close after the call, so they are captured at once; the others are decoded
 * when their turn comes.
 */
export function capture(image: ImageInput): () => Promise<WireImage> {
  switch (tagOf(image)) {
    case "HTMLImageElement":
    case "HTMLCanvasElement":
    case "OffscreenCanvas":
    case "HTMLVideoElement":
    case "ImageBitmap":
    case "VideoFrame": {
      const bitmap = ofElement(image as Exclude<ImageInput, string | URL | Blob | Pixels>);
      bitmap.catch(() => undefined);
      return async () => ({ kind: "bitmap", bitmap: await bitmap });
    }
    case "String":
    case "URL":
      return async () => ofBlob(await download(image as string | URL), String(image));
    case "Blob":
    case "File":
      return () => ofBlob(image as Blob, (image as File).name ?? "the picture");
    default: {
      const pixels = ofPixels(image as Pixels);
      return async () => pixels;
    }
  }
}

function needsPlatform(): WfError | undefined {
  return typeof createImageBitmap === "function"
    ? undefined
    : fail(
        "UNSUPPORTED",
        "picture",
        `${inNode() ? "Node" : "this runtime"} does not decode pictures: pass {data, width, ` +
          "height} with RGB or RGBA bytes, or use the command line (wasmformer classify)",
      );
}

async function ofElement(
  image: Exclude<ImageInput, string | URL | Blob | Pixels>,
): Promise<ImageBitmap> {
  const missing = needsPlatform();
  if (missing !== undefined) {
    throw missing;
  }
  if (tagOf(image) === "HTMLImageElement" && !(image as HTMLImageElement).complete) {
    // A failure shows below, with a better sentence
    await (image as HTMLImageElement).decode().catch(() => undefined);
  }
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(image as ImageBitmapSource, AS_STORED);
  } catch (error) {
    throw elementError(image, error as Error);
  }
  refuseTainted(bitmap, image);
  return bitmap;
}

const sourceOf = (image: unknown): string => {
  const element = image as { currentSrc?: string; src?: string };
  return element.currentSrc || element.src || tagOf(image);
};

function elementError(image: unknown, error: Error): WfError {
  const name = sourceOf(image);
  if (error.name === "SecurityError") {
    return crossOriginError(name);
  }
  const state =
    tagOf(image) === "HTMLVideoElement"
      ? "wait for its loadeddata event"
      : "wait until it has loaded, and check its address";
  return fail("FORMAT", name, `${name} has no picture to read (${error.message}); ${state}`);
}

function crossOriginError(name: string): WfError {
  return fail(
    "IO",
    name,
    `${name} comes from another site without CORS, so the page may not read its pixels; set ` +
      'crossorigin="anonymous" on the element (the other site must send ' +
      "Access-Control-Allow-Origin), or serve the picture from your own site",
  );
}

/* A picture of another site without CORS may be drawn but not read. Only a one-pixel look tells. */
function refuseTainted(bitmap: ImageBitmap, image: unknown): void {
  if (typeof document === "undefined" || !/^HTML/.test(tagOf(image))) {
    return;
  }
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  try {
    context?.drawImage(bitmap, 0, 0);
    context?.getImageData(0, 0, 1, 1);
  } catch {
    bitmap.close();
    throw crossOriginError(sourceOf(image));
  }
}

async function ofBlob(blob: Blob, name: string): Promise<WireImage> {
  const missing = needsPlatform();
  if (missing !== undefined) {
    throw missing;
  }
  try {
    return { kind: "bitmap", bitmap: await createImageBitmap(blob, AS_STORED) };
  } catch (error) {
    throw fail(
      "FORMAT",
      name,
      `${name} (${blob.type || "no type"}, ${blob.size} bytes) is not a picture that this ` +
        `browser can decode (${(error as Error).message}); use JPEG, PNG or WebP`,
    );
  }
}

async function download(address: string | URL): Promise<Blob> {
  const missing = needsPlatform();
  if (missing !== undefined) {
    throw missing;
  }
  const url = absolute(address);
  let response: Response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw fail(
      "NETWORK",
      url,
      `${url} could not be downloaded (${(error as Error).message}); a picture of another ` +
        "site needs CORS headers there",
    );
  }
  if (!response.ok) {
    throw fail(
      "NETWORK",
      url,
      `${url} was answered with status ${response.status}; check the picture's address`,
    );
  }
  return response.blob();
}

/** The pixels are copied: the caller may change them at once. */
function ofPixels(image: Pixels): WireImage {
  const { data, width, height } = image ?? {};
  if (
    !ArrayBuffer.isView(data) ||
    !Number.isInteger(width) ||
    !Number.isInteger(height) ||
    width < 1 ||
    height < 1
  ) {
    throw fail(
      "ARGUMENT",
      "picture",
      inNode() && (image instanceof ArrayBuffer || ArrayBuffer.isView(image))
        ? (needsPlatform()?.message ?? "")
        : "a picture must be an image element, canvas, ImageBitmap, ImageData, Blob, " +
            `VideoFrame, video, address, or {data, width, height}; this is ${tagOf(image)}`,
    );
  }
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
    throw fail(
      "ARGUMENT",
      "picture",
      `a picture's data must be bytes (Uint8Array or Uint8ClampedArray), not ${tagOf(data)}`,
    );
  }
  const channels = data.length / (width * height);
  if (channels !== 3 && channels !== 4) {
    throw fail(
      "SHAPE",
      "picture",
      `${data.length} bytes are not ${width} × ${height} pixels of 3 (RGB) or 4 (RGBA) bytes`,
    );
  }
  return { kind: "pixels", data: new Uint8Array(data), width, height, channels };
}
