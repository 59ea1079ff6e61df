/* Where the files of the package are, and what they must hold. The hashes and the smallest memory
   of each module are put in at build time (build.mjs); the place is that of the script, noted when
   it was loaded; a bundler may have moved and renamed each file. */

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

/** Where the files of the package are. */
export interface Files {
  worker: string;
  /** The converter's worker. */
  tools?: string;
  /** Absolute; not given where they lie beside the worker that asks, under their own names. */
  modules?: Record<WasmFile, string>;
}

/** Address of a module. */
export function moduleUrl(files: Files, name: WasmFile): string {
  return files.modules?.[name] ?? new URL(`wasmformer-${name}.wasm`, files.worker).href;
}

/** The files beside the classic script that is running now. */
export function besideScript(): Files | undefined {
  const script =
    typeof document !== "undefined" ? (document.currentScript as HTMLScriptElement | null) : null;
  const address = script?.src || (typeof location !== "undefined" ? location.href : undefined);
  return address === undefined
    ? undefined
    : besideWorker(new URL("wasmformer.worker.mjs", address).href);
}

/**
 * The development server of Vite before 8 moves the module into a folder of its own, .vite/deps, and leaves
 * the other files where they are: in the package beside that folder.
 */
export function outOfViteDeps(files: Files): Files {
  const [modules, moved] = files.worker.split(".vite/deps/");
  return moved === undefined
    ? files
    : besideWorker(`${modules}wasmformer/dist/wasmformer.worker.mjs`);
}

/** All files in one folder, named by the worker file's (in Node also a path). */
export function besideWorker(worker: string): Files {
  return { worker, tools: worker.replace(/[^/\\]*$/, "wasmformer.tools.mjs") };
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
