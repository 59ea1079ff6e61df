/* The pixels of an ImageBitmap in strips, so that a photo of 12 megapixels is never held twice. A
   2D canvas as small as a strip is drawn on and read back; `copy` replaces what was there, and at
   scale 1 nothing is filtered.

   A 2D canvas multiplies colours by alpha and so loses them where a picture is transparent; the
   reference drops alpha and keeps them. Where a strip is not opaque it is read again through WebGL,
   which leaves colours alone. */
import { fail } from "./errors.ts";

const STRIP_BYTES = 1 << 20;

type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

function makeCanvas(width: number, height: number): OffscreenCanvas | HTMLCanvasElement {
  if (typeof OffscreenCanvas === "function") {
    return new OffscreenCanvas(width, height);
  }
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

function makeContext(width: number, height: number): Context {
  const context = makeCanvas(width, height).getContext("2d", {
    willReadFrequently: true,
  }) as Context | null;
  if (context === null) {
    throw fail(
      "UNSUPPORTED",
      "picture",
      "this browser gives no 2D canvas to read pixels with; pass {data, width, height} instead",
    );
  }
  context.imageSmoothingEnabled = false;
  context.globalCompositeOperation = "copy";
  return context;
}

/**
 * Reads any rows of the bitmap without touching colours; undefined where there is no WebGL or the
 * picture is too large for it.
 */
function exactReader(
  bitmap: ImageBitmap,
): ((y: number, rows: number, into: Uint8ClampedArray) => void) | undefined {
  const gl = makeCanvas(1, 1).getContext("webgl") as WebGLRenderingContext | null;
  const { width, height } = bitmap;
  if (gl === null || Math.max(width, height) > (gl.getParameter(gl.MAX_TEXTURE_SIZE) as number)) {
    return undefined;
  }
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(
    gl.FRAMEBUFFER,
    gl.COLOR_ATTACHMENT0,
    gl.TEXTURE_2D,
    gl.getParameter(gl.TEXTURE_BINDING_2D) as WebGLTexture,
    0,
  );
  if (gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE) {
    return undefined;
  }
  return (y, rows, into) =>
    gl.readPixels(
      0,
      y,
      width,
      rows,
      gl.RGBA,
      gl.UNSIGNED_BYTE,
      new Uint8Array(into.buffer, into.byteOffset, into.byteLength),
    );
}

function isOpaque(rgba: Uint8ClampedArray): boolean {
  let all = 255;
  for (let i = 3; i < rgba.length; i += 4) {
    all &= rgba[i] ?? 255;
  }
  return all === 255;
}

export interface Strip {
  data: Uint8ClampedArray;
  rows: number;
}

export function* strips(bitmap: ImageBitmap): Generator<Strip> {
  const { width, height } = bitmap;
  const most = Math.max(1, Math.min(height, Math.floor(STRIP_BYTES / (width * 4))));
  const context = makeContext(width, most);
  let exact: ReturnType<typeof exactReader> | null = null; // null: not tried yet
  for (let y = 0; y < height; y += most) {
    const rows = Math.min(most, height - y);
    context.drawImage(bitmap, 0, y, width, rows, 0, 0, width, rows);
    const { data } = context.getImageData(0, 0, width, rows);
    if (!isOpaque(data)) {
      exact = exact === null ? exactReader(bitmap) : exact;
      exact?.(y, rows, data);
    }
    yield { data, rows };
  }
}
