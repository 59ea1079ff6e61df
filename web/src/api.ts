/* The object that pages get, made once for each entry. Making it touches nothing of the browser. */
import { convert } from "./convert/call.ts";
import { Converted } from "./convert/result.ts";
import { load } from "./load.ts";
import { cache } from "./store.ts";
import { besideWorker, version, type Files } from "./place.ts";
import { support } from "./support.ts";
import type { Wasmformer } from "./types.ts";

/** files: where the package's files are, as far as the script can know. */
export function createApi(files: Files | undefined): Wasmformer {
  const place = (): Files | undefined =>
    api.workerUrl === undefined ? files : besideWorker(api.workerUrl);
  const api: Wasmformer = {
    async load(source, options) {
      const bytes = source instanceof Converted ? await source.source() : source;
      return load(bytes, options ?? {}, place());
    },
    convert: (source, options) => convert(source, options ?? {}, place()),
    support,
    cache,
    version,
    workerUrl: undefined,
  };
  return api;
}
