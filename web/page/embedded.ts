/* What the page carries: engine and worker (gzip, base64) and the model (base64), as elements that
   the browser takes for data. The model's pieces are taken out of the document one by one, as they
   are parsed, so that a large model is never there twice. */
import { fail } from "../src/errors.ts";

function decode(text: string): Uint8Array<ArrayBuffer> {
  const native = Uint8Array as unknown as { fromBase64?(text: string): Uint8Array<ArrayBuffer> };
  if (native.fromBase64 !== undefined) {
    return native.fromBase64(text);
  }
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = letters.charCodeAt(i);
  }
  return bytes;
}

/** A file of the package; its element goes. */
export async function asset(name: string): Promise<ArrayBuffer> {
  const element = document.getElementById(`asset-${name}`);
  const packed = new Blob([decode(element?.textContent ?? "")]);
  element?.remove();
  return new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

/** The model, while the page that holds it is still being read. */
export function model(): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller) {
      for (;;) {
        const over = document.readyState !== "loading";
        const piece = document.querySelector("script.model");
        if (piece !== null && (over || piece.nextElementSibling !== null)) {
          const text = piece.textContent ?? "";
          piece.remove();
          return controller.enqueue(unpacked(text));
        }
        if (over) {
          return controller.close();
        }
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
  });
}

function unpacked(text: string): Uint8Array {
  try {
    return decode(text);
  } catch {
    throw fail("TRUNCATED", "page", "this page was cut off or altered; get the file again");
  }
}
