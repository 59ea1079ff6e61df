/* Where the files of the package are, and what they must hold. The hashes and the smallest memory
   of each module are put in at build time (build.mjs); the place is that of the script, noted when
   it was loaded. */

export type ModuleName = "simd" | "simd-mt" | "relaxed" | "relaxed-mt";
export type WasmFile = ModuleName | "tools";

interface FileFacts {
  /** "sha384-…" */
  integrity: string;
  /** Pages that the module's memory must have at least. */
  pages: number;
}

declare const __WF_MODULES__: Record<WasmFile, FileFacts>;
declare const __WF_WORKER_INTEGRITY__: string;
declare const __WF_TOOLS_INTEGRITY__: string;
declare const __WF_VERSION__: string;

export const version = __WF_VERSION__;
export const workerIntegrity =
  typeof __WF_WORKER_INTEGRITY__ === "string" ? __WF_WORKER_INTEGRITY__ : "";

export const toolsIntegrity =
  typeof __WF_TOOLS_INTEGRITY__ === "string" ? __WF_TOOLS_INTEGRITY__ : "";

export function moduleFacts(name: WasmFile): FileFacts {
  return __WF_MODULES__[name];
}

/** Address of a module, beside the worker file. */
export function moduleUrl(workerUrl: string, name: WasmFile): string {
  return new URL(`wasmformer-${name}.wasm`, workerUrl).href;
}

export function pageBase(): string | undefined {
  return typeof document !== "undefined"
    ? document.baseURI
    : typeof location !== "undefined"
      ? location.href
      : undefined;
}

/** Absolute form of an address that a page gave. */
export function absolute(url: string | URL): string {
  return new URL(url, pageBase()).href;
}
