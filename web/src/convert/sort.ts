/* Which of the given files is what: one checkpoint, or an index with its shards; a config; Hugging
   Face's preprocessor_config.json. */
import { fail } from "../errors.ts";

export interface Sorted<F> {
  /** The checkpoint; or the index, then the shards. */
  files: F[];
  config?: F;
  preprocessor?: F;
}

const isIndex = (name: string): boolean => name.endsWith(".index.json");
const isJson = (name: string): boolean => /\.json$/i.test(name);

function one<F extends { name: string }>(files: F[], what: string): F | undefined {
  if (files.length > 1) {
    const names = files.map((file) => file.name).join(", ");
    throw fail("ARGUMENT", "files", `${names}: there are ${files.length} ${what}; give one of them`);
  }
  return files[0];
}

function theCheckpoint<F extends { name: string }>(files: F[]): F {
  const part = files.find(({ name }) => /-\d{5}-of-\d{5}\./.test(name));
  if (part !== undefined) {
    const index = part.name.replace(/-\d{5}-of-\d{5}(?=\.)/, "");
    throw fail(
      "UNSUPPORTED",
      part.name,
      `${part.name} is one part of a sharded checkpoint: give its index (${index}.index.json) and ` +
        "all parts together",
    );
  }
  const file = one(files, "checkpoints");
  if (file === undefined) {
    throw fail(
      "ARGUMENT",
      "files",
      "there is no checkpoint among the files; give a .safetensors, .pth, .pt, .bin or .ckpt file",
    );
  }
  return file;
}

export function sortFiles<F extends { name: string }>(files: readonly F[]): Sorted<F> {
  const index = one(
    files.filter(({ name }) => isIndex(name)),
    "indices",
  );
  const named = (name: string): boolean => name === "preprocessor_config.json";
  const preprocessor = one(
    files.filter(({ name }) => named(name)),
    "preprocessor configs",
  );
  const config = one(
    files.filter(({ name }) => isJson(name) && !isIndex(name) && !named(name)),
    "configs",
  );
  const rest = files.filter(({ name }) => !isJson(name));
  return {
    files: index !== undefined ? [index, ...rest] : [theCheckpoint(rest)],
    ...(config !== undefined && { config }),
    ...(preprocessor !== undefined && { preprocessor }),
  };
}
