/* The classic script: <script src="wasmformer.js"></script> makes the global `wasmformer`, error
   classes included. */
import { createApi } from "./api.ts";
import { WfError } from "./error.ts";
import * as errors from "./errors.gen.ts";
import { besideScript } from "./place.ts";

const api = createApi(besideScript());

(globalThis as { wasmformer?: unknown }).wasmformer = Object.assign(api, errors, { WfError });
