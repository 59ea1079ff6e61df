/* The pixels of an ImageBitmap in strips, so that a photo of 12 megapixels is never held twice. A 2D canvas as small as a
   strip is drawn on and read back; `copy` replaces what was there, and at scale 1 nothing is filtered. */
import { fail } from "./errors.ts";

const STRIP_BYTES = 1 << 20;

type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

function makeContext(width: number, height: number): Context {
  const settings = { willReadFrequently: true };
  let context: Context | null;
  if (typeof OffscreenCanvas === "function") {
    context = new OffscreenCanvas(width, height).getContext("2d", settings) as OffscreenCanvasRenderingContext2D | null;
  } else {
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    context = canvas.getContext("2d", settings) as CanvasRenderingContext2D | null;
  }
  if (context === null) {
    throw fail("UNSUPPORTED", "picture", "this browser gives no 2D canvas to read pixels with; pass {data, width, height} instead");
  }
  context.imageSmoothingEnabled = false;
  context.globalCompositeOperation = "copy";
  return context;
}

export interface Strip {
  data: Uint8ClampedArray;
  rows: number;
}

export function* strips(bitmap: ImageBitmap): Generator<Strip> {
  const { width, height } = bitmap;
  const most = Math.max(1, Math.min(height, Math.floor(STRIP_BYTES / (width * 4))));
  const context = makeContext(width, most);
  for (let y = 0; y < height; y += most) {
    const rows = Math.min(most, height - y);
    context.drawImage(bitmap, 0, y, width, rows, 0, 0, width, rows);
    yield { data: context.getImageData(0, 0, width, rows).data, rows };
  }
}
