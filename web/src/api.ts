/* The object that pages get, made once for each entry. Making it touches nothing of the browser. */
import { convert } from "./convert/call.ts";
import { Converted } from "./convert/result.ts";
import { load } from "./load.ts";
import { cache } from "./store.ts";
import { absolute, version } from "./place.ts";
import { support } from "./support.ts";
import type { Wasmformer } from "./types.ts";

/** Addresses of the worker files beside the script, where it knows its own. */
export interface Beside {
  worker: string | undefined;
  tools: string | undefined;
}

export function createApi(beside: Beside): Wasmformer {
  const tools = (): string | undefined =>
    api.workerUrl !== undefined
      ? new URL("wasmformer.tools.mjs", absolute(api.workerUrl)).href
      : beside.tools;
  const api: Wasmformer = {
    async load(source, options) {
      const bytes = source instanceof Converted ? await source.source() : source;
      return load(bytes, options ?? {}, api.workerUrl ?? beside.worker);
    },
    convert: (source, options) => convert(source, options ?? {}, tools()),
    support,
    cache,
    version,
    workerUrl: undefined,
  };
  return api;
}
