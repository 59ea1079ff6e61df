/* The classic script: <script src="wasmformer.js"></script> makes the global `wasmformer`, error
   classes included. */
import { createApi } from "./api.ts";
import { WfError } from "./error.ts";
import * as errors from "./errors.gen.ts";

const script =
  typeof document !== "undefined" ? (document.currentScript as HTMLScriptElement | null) : null;
const beside = script?.src || (typeof location !== "undefined" ? location.href : undefined);
const address = (file: string): string | undefined =>
  beside !== undefined ? new URL(file, beside).href : undefined;
const api = createApi({
  worker: address("wasmformer.worker.mjs"),
  tools: address("wasmformer.tools.mjs"),
});

(globalThis as { wasmformer?: unknown }).wasmformer = Object.assign(api, errors, { WfError });
