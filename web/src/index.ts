/* The ES module: import { load } from "wasmformer". For pages, workers and Node. */
import { createApi } from "./api.ts";
import type { Wasmformer } from "./types.ts";

// Written out in full, so that bundlers see the files and take them along.
const wasmformer: Wasmformer = createApi({
  worker: new URL("./wasmformer.worker.mjs", import.meta.url).href,
  tools: new URL("./wasmformer.tools.mjs", import.meta.url).href,
});

export default wasmformer;
export const load: Wasmformer["load"] = wasmformer.load;
export const convert: Wasmformer["convert"] = wasmformer.convert;
export const cache: Wasmformer["cache"] = wasmformer.cache;
export const support: Wasmformer["support"] = wasmformer.support;
export const version: string = wasmformer.version;
export * from "./errors.gen.ts";
export { WfError } from "./error.ts";
export type * from "./types.ts";
