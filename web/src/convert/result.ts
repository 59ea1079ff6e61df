/* A converted model: its report, and the file in whatever form is wanted. The file lies in the
   browser's or the system's temporary store until free(). */
import { fail } from "../errors.ts";
import { builtin, inNode } from "../node.ts";
import type { ConvertedModel, ConvertReport } from "../types.ts";
import type { Scratch } from "./scratch.ts";

export class Converted implements ConvertedModel {
  private freed = false;

  constructor(
    readonly name: string,
    readonly report: ConvertReport,
    private readonly scratch: Scratch,
    private readonly kept: Blob | undefined,
  ) {
    // Where `using` is known, results work with it.
    if (typeof Symbol.asyncDispose === "symbol") {
      Object.defineProperty(this, Symbol.asyncDispose, { value: () => this.free() });
    }
  }

  declare [Symbol.asyncDispose]: () => Promise<void>;

  get size(): number {
    return this.report.bytes;
  }

  /** What load takes: the File or Blob, in Node the path. */
  async source(): Promise<Blob | string> {
    if (this.freed) {
      throw fail("STATE", this.name, `${this.name} was freed (free was called); convert it again`);
    }
    const found = this.kept ?? (await this.scratch.result());
    return found as Blob | string;
  }

  async blob(): Promise<Blob> {
    const source = await this.source();
    return typeof source === "string" ? builtin("node:fs").openAsBlob(source) : source;
  }

  async stream(): Promise<ReadableStream<Uint8Array>> {
    return (await this.blob()).stream();
  }

  async save(to: string | URL | FileSystemFileHandle): Promise<void> {
    const source = await this.source();
    const isPath = typeof to === "string" || to instanceof URL;
    if (typeof to === "object" && "createWritable" in to) {
      await (await this.blob()).stream().pipeTo(await to.createWritable());
    } else if (inNode() && typeof source === "string" && isPath) {
      await builtin("node:fs/promises").copyFile(source, to);
    } else {
      throw fail(
        "ARGUMENT",
        "save",
        "save takes a FileSystemFileHandle of showSaveFilePicker (in Node a path); blob() gives the " +
          "file for a download link",
      );
    }
  }

  async free(): Promise<void> {
    if (!this.freed) {
      this.freed = true;
      await this.scratch.remove();
    }
  }
}
