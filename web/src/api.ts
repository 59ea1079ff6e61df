/* The object that pages get, made once for each entry. Making it touches nothing of the browser. */
import { load } from "./load.ts";
import { cache } from "./store.ts";
import { version } from "./place.ts";
import { support } from "./support.ts";
import type { Wasmformer } from "./types.ts";

export function createApi(besideScript: string | undefined): Wasmformer {
  const api: Wasmformer = {
    load: (source, options) => load(source, options ?? {}, api.workerUrl ?? besideScript),
    support,
    cache,
    version,
    workerUrl: undefined,
  };
  return api;
}
