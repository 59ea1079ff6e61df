/* The shelf in the Cache API. An entry there is written once and as a whole, so data is cut into
   parts of a megabyte, each an entry of its own; only the last one is ever written again. */
import { fitting, type Room, type Shelf, type Sink } from "./shelf.ts";

const STORE = "wasmformer";
const HOST = "https://wasmformer.invalid/"; // never asked for: only a name
const PART = 1 << 20;

const urlOf = (name: string): string => HOST + name;
const partOf = (name: string, index: number): string => urlOf(`${name}/${index}`);

export async function cacheShelf(): Promise<Shelf | undefined> {
  if (typeof caches !== "object") {
    return undefined;
  }
  const cache = await caches.open(STORE);
  const part = async (
    name: string,
    index: number,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> => {
    const found = await cache.match(partOf(name, index));
    return found === undefined ? undefined : new Uint8Array(await found.arrayBuffer());
  };
  const drop = async (name: string, from: number): Promise<void> => {
    for (let i = from; await cache.delete(partOf(name, i));) {
      i++;
    }
  };

  async function* read(name: string, bytes: number): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes; at += PART) {
      const piece = (await part(name, at / PART)) ?? new Uint8Array(0);
      if (piece.length < Math.min(PART, bytes - at)) {
        throw new Error(`part ${at / PART} is incomplete`);
      }
      yield piece.subarray(0, bytes - at);
    }
  }

  async function append(name: string, at: number, room?: Room): Promise<Sink> {
    let index = Math.floor(at / PART);
    let used = at % PART;
    const buffer = new Uint8Array(PART);
    if (used > 0) {
      buffer.set(((await part(name, index)) ?? buffer).subarray(0, used));
    }
    await drop(name, index);
    const put = (): Promise<void> =>
      fitting(() => cache.put(partOf(name, index), new Response(buffer.slice(0, used))), room);
    const flush = async (): Promise<void> => {
      if (used > 0) {
        await put();
      }
    };
    return {
      async write(bytes) {
        for (let from = 0; from < bytes.length;) {
          const piece = bytes.subarray(from, from + PART - used);
          buffer.set(piece, used);
          used += piece.length;
          from += piece.length;
          if (used === PART) {
            await put();
            index++;
            used = 0;
          }
        }
      },
      flush,
      close: flush,
    };
  }

  return {
    async names() {
      const names = (await cache.keys()).map((request) => request.url.slice(HOST.length));
      return names.filter((name) => !name.includes("/"));
    },
    text: async (name) => (await cache.match(urlOf(name)))?.text(),
    putText: (name, text) => cache.put(urlOf(name), new Response(text)),
    async size(name) {
      let bytes = 0;
      for (let i = 0, piece; (piece = await part(name, i)) !== undefined; i++) {
        bytes += piece.length;
      }
      return bytes;
    },
    read,
    rename: async () => false,
    append,
    async remove(name) {
      await cache.delete(urlOf(name));
      await drop(name, 0);
    },
  };
}
