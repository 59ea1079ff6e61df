/* The classic script: <script src="wasmformer.js"></script> makes the global `wasmformer`, error
   classes included. */
import { createApi } from "./api.ts";
import { WfError } from "./error.ts";
import * as errors from "./errors.gen.ts";

const script =
  typeof document !== "undefined" ? (document.currentScript as HTMLScriptElement | null) : null;
const beside = script?.src || (typeof location !== "undefined" ? location.href : undefined);
const api = createApi(
  beside !== undefined ? new URL("wasmformer.worker.mjs", beside).href : undefined,
);

(globalThis as { wasmformer?: unknown }).wasmformer = Object.assign(api, errors, { WfError });
