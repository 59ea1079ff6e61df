/* Random access to a file, synchronously, since the converter asks from within WebAssembly and can't
   wait. It reads rows of some hundred bytes in the order of the graph, so a few blocks of a megabyte
   are kept, and nothing else of the file is ever in memory. */
import { fail } from "../errors.ts";
import { builtin } from "../node.ts";
import type { WireFile } from "./protocol.ts";

const BLOCK = 1 << 20;
const BLOCKS = 6;

export interface Input {
  readonly name: string;
  readonly size: number;
  /** Fills all of `into` from byte `offset` on; throws where the file ends before. */
  read(offset: number, into: Uint8Array): void;
  close(): void;
}

declare class FileReaderSync {
  readAsArrayBuffer(blob: Blob): ArrayBuffer;
}

/* The pieces are left to the collector. Freed at once (transfer(0)) they are no reason for it to run, and what Chromium
   keeps of each read piles up: 1.4 GB for a checkpoint of 300 MB, against 60 MB. */
function ofBlob(name: string, blob: Blob): Input {
  const reader = new FileReaderSync();
  return {
    name,
    size: blob.size,
    read(offset, into) {
      const piece = reader.readAsArrayBuffer(blob.slice(offset, offset + into.length));
      if (piece.byteLength !== into.length) {
        throw new Error(`it has become shorter, ${into.length} bytes are not there`);
      }
      into.set(new Uint8Array(piece));
    },
    close: () => undefined,
  };
}

function ofPath(name: string, path: string): Input {
  const fs = builtin("node:fs");
  let fd: number;
  try {
    fd = fs.openSync(path, "r");
  } catch (error) {
    const why = (error as Error).message;
    throw fail("IO", path, `${path} could not be opened (${why}); check the path`);
  }
  const { size, isFile } = ((stat) => ({ size: stat.size, isFile: stat.isFile() }))(
    fs.fstatSync(fd),
  );
  if (!isFile) {
    fs.closeSync(fd);
    throw fail("IO", path, `${path} is no file; give the path of a checkpoint`);
  }
  return {
    name,
    size,
    read(offset, into) {
      for (let at = 0; at < into.length; ) {
        const got = fs.readSync(fd, into, at, into.length - at, offset + at);
        if (got === 0) {
          throw new Error(`it has become shorter, ${into.length - at} bytes are not there`);
        }
        at += got;
      }
    },
    close: () => fs.closeSync(fd),
  };
}

/** Whole blocks of the file, the one used longest ago making room. */
class Blocks implements Input {
  readonly name: string;
  readonly size: number;
  private readonly kept: { index: number; bytes: Uint8Array; used: number }[] = [];
  private clock = 0;

  constructor(private readonly file: Input) {
    this.name = file.name;
    this.size = file.size;
  }

  private block(index: number): Uint8Array {
    let found = this.kept.find((block) => block.index === index);
    if (found === undefined) {
      if (this.kept.length < BLOCKS) {
        found = { index: -1, bytes: new Uint8Array(BLOCK), used: 0 };
        this.kept.push(found);
      } else {
        found = this.kept.reduce((a, b) => (b.used < a.used ? b : a));
      }
      found.index = -1; // if reading fails, it holds nothing
      const at = index * BLOCK;
      this.file.read(at, found.bytes.subarray(0, Math.min(BLOCK, this.size - at)));
      found.index = index;
    }
    found.used = ++this.clock;
    return found.bytes;
  }

  read(offset: number, into: Uint8Array): void {
    if (offset + into.length > this.size) {
      throw new Error(`it has ${this.size} bytes only`);
    }
    for (let done = 0; done < into.length; ) {
      const at = offset + done;
      const within = at % BLOCK;
      const n = Math.min(BLOCK - within, into.length - done);
      into.set(this.block((at - within) / BLOCK).subarray(within, within + n), done);
      done += n;
    }
  }

  close(): void {
    this.file.close();
  }
}

export function openInput(file: WireFile): Input {
  return new Blocks("blob" in file ? ofBlob(file.name, file.blob) : ofPath(file.name, file.path));
}
