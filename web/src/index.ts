/* The ES module: import { load } from "wasmformer". For pages, workers, Node, Deno, Bun and bundlers. */
import { createApi } from "./api.ts";
import { besideScript, outOfViteDeps, type Files } from "./place.ts";
import type { Wasmformer } from "./types.ts";

/* Each address is written out in full: that is the form in which Vite, Rollup and webpack see that a
   file is needed, take it along and put its new address in. In a bundle without import.meta (a
   classic script made by esbuild) the files are looked for beside that script. */
function files(): Files | undefined {
  try {
    return outOfViteDeps({
      worker: new URL("./wasmformer.worker.mjs", import.meta.url).href,
      tools: new URL("./wasmformer.tools.mjs", import.meta.url).href,
      modules: {
        simd: new URL("./wasmformer-simd.wasm", import.meta.url).href,
        "simd-mt": new URL("./wasmformer-simd-mt.wasm", import.meta.url).href,
        relaxed: new URL("./wasmformer-relaxed.wasm", import.meta.url).href,
        "relaxed-mt": new URL("./wasmformer-relaxed-mt.wasm", import.meta.url).href,
        tools: new URL("./wasmformer-tools.wasm", import.meta.url).href,
      },
    });
  } catch {
    return besideScript();
  }
}

const wasmformer: Wasmformer = createApi(files());

export default wasmformer;
export const load: Wasmformer["load"] = wasmformer.load;
export const convert: Wasmformer["convert"] = wasmformer.convert;
export const cache: Wasmformer["cache"] = wasmformer.cache;
export const support: Wasmformer["support"] = wasmformer.support;
export const version: string = wasmformer.version;
export * from "./errors.gen.ts";
export { WfError } from "./error.ts";
export type * from "./types.ts";
