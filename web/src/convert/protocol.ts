/* What the page and the tools' worker tell each other: one job, then notes and progress, then the
   report or an error. To stop a conversion its worker is ended. */
import type { WireError } from "../errors.ts";
import type { WasmFile } from "../place.ts";
import type { ConvertProgress, ConvertReport } from "../types.ts";

/** A file that the worker reads where it needs to: a Blob in a page, a path in Node. */
export type WireFile = { name: string; blob: Blob } | { name: string; path: string };

export interface WireText {
  name: string;
  text: string;
}

/** Where the result goes. "memory": blobs, which the browser moves to its disk when they are large. */
export type WireOut =
  | { kind: "opfs"; folder: string; name: string }
  | { kind: "file"; path: string }
  | { kind: "memory" };

/** In the converter's own order. */
export const NORMS = ["keep", "rms", "crms", "carry"] as const;
export type Norm = (typeof NORMS)[number];

export interface ConvertJob {
  type: "convert";
  /** The tools' worker file; wasmformer-tools.wasm lies beside it unless `modules` says where. */
  toolsUrl: string;
  modules?: Record<WasmFile, string>;
  /** The checkpoint, or the index of a sharded one and then its shards. */
  files: WireFile[];
  /** JPEGs and PNGs that int8 is calibrated with. */
  pictures: WireFile[];
  weights: string;
  config?: WireText;
  preprocessor?: WireText;
  /** Patterns of names, commas between. */
  keep: string;
  /** Negative: the default of the type. */
  maxLoss: number;
  norm: Norm;
  fold: boolean;
  untie: boolean;
  out: WireOut;
}

export type FromTools =
  | { type: "hello" }
  | { type: "note"; text: string }
  | { type: "progress"; progress: ConvertProgress }
  /** blob: the result, where it is kept nowhere else. */
  | { type: "converted"; report: ConvertReport; blob?: Blob }
  | { type: "refused"; error: WireError };
