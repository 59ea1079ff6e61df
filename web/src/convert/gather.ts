/* From what the caller gives (files, bytes, addresses, paths) to files that the worker can read where
   it needs to. Node's worker reads paths, so what is no path there becomes a file of ours first. */
import { fail } from "../errors.ts";
import { builtin, inNode } from "../node.ts";
import { absolute } from "../place.ts";
import { isAddress } from "../source.ts";
import type { CheckpointFile, CheckpointSource, ConvertOptions, JsonSource } from "../types.ts";
import type { WireFile, WireText } from "./protocol.ts";
import type { Scratch } from "./scratch.ts";
import { sortFiles } from "./sort.ts";

const MOST_CONFIG_BYTES = 64 << 20;

export interface Gathered {
  files: WireFile[];
  config?: WireText;
  preprocessor?: WireText;
}

const last = (path: string): string => path.split(/[/\\]/).pop() ?? path;

async function fetched(url: string, signal: AbortSignal | undefined): Promise<WireFile> {
  let response: Response;
  let blob: Blob;
  try {
    response = await fetch(url, signal !== undefined ? { signal } : {});
    blob = await response.blob();
  } catch (error) {
    if (signal?.aborted) {
      throw error;
    }
    throw fail("NETWORK", url, `${url} could not be loaded (${(error as Error).message})`);
  }
  if (!response.ok) {
    throw fail("NETWORK", url, `${url} was answered with status ${response.status}; check the URL`);
  }
  return { name: decodeURIComponent(last(new URL(url).pathname)) || "checkpoint", blob };
}

async function ofText(text: string, signal: AbortSignal | undefined): Promise<WireFile> {
  if (inNode() && (!isAddress(text) || /^file:/i.test(text))) {
    const path = isAddress(text) ? builtin("node:url").fileURLToPath(new URL(text)) : text;
    return { name: last(path), path };
  }
  return fetched(absolute(text), signal);
}

async function ofOne(item: CheckpointFile, signal: AbortSignal | undefined): Promise<WireFile> {
  if (typeof item === "string" || item instanceof URL) {
    return ofText(String(item), signal);
  }
  if (item instanceof Blob) {
    return { name: (item as File).name ?? "checkpoint", blob: item };
  }
  if (item instanceof ArrayBuffer || ArrayBuffer.isView(item)) {
    return { name: "checkpoint", blob: new Blob([item as BlobPart]) };
  }
  if (typeof item === "object" && item !== null && (item as { blob: unknown }).blob instanceof Blob) {
    return { name: String(item.name), blob: item.blob };
  }
  throw fail(
    "ARGUMENT",
    "source",
    "a checkpoint must be given as File, Blob, bytes, address, {name, blob} or {files: […]} (in " +
      "Node also as a path)",
  );
}

async function textOf(file: WireFile): Promise<WireText> {
  const { name } = file;
  const size =
    "blob" in file ? file.blob.size : (await builtin("node:fs/promises").stat(file.path)).size;
  if (size > MOST_CONFIG_BYTES) {
    throw fail("FORMAT", name, `${name} is larger than 64 MiB: it is no config`);
  }
  const bytes =
    "blob" in file
      ? await file.blob.arrayBuffer()
      : await builtin("node:fs/promises").readFile(file.path);
  return { name, text: new TextDecoder().decode(bytes) };
}

/** A config as an object, JSON text, Blob, or in Node a path: beside that, as the command line does,
    preprocessor_config.json is looked for. */
async function ofJson(source: JsonSource, name: string): Promise<WireText> {
  if (typeof source === "string" && inNode() && !/^\s*[[{]/.test(source)) {
    try {
      return await textOf({ name: last(source), path: source });
    } catch (error) {
      const why = (error as Error).message;
      throw fail("IO", source, `${source} could not be opened (${why}); check the path`);
    }
  }
  if (typeof source === "string") {
    return { name, text: source };
  }
  if (source instanceof Blob) {
    return textOf({ name: (source as File).name ?? name, blob: source });
  }
  return { name, text: JSON.stringify(source) };
}

async function besideConfig(config: JsonSource | undefined): Promise<WireText | undefined> {
  if (typeof config !== "string" || !inNode() || /^\s*[[{]/.test(config)) {
    return undefined;
  }
  const name = "preprocessor_config.json";
  const path = config.slice(0, config.length - last(config).length) + name;
  return textOf({ name, path }).catch(() => undefined);
}

function isHuggingFace(text: string): boolean {
  try {
    return typeof (JSON.parse(text) as { model_type?: unknown } | null)?.model_type !== "undefined";
  } catch {
    return false; // the converter has the sentence
  }
}

/** The pictures of `calibrate`. */
export async function gatherPictures({ calibrate, signal }: ConvertOptions, scratch: Scratch): Promise<WireFile[]> {
  if (calibrate === undefined) {
    return [];
  }
  const items = typeof calibrate === "object" && Symbol.iterator in calibrate ? [...calibrate] : [];
  if (items.length === 0) {
    throw fail("ARGUMENT", "calibrate", "calibrate must be a list of pictures (JPEG or PNG: File, Blob, bytes, address, in Node also a path) with at least one");
  }
  const files = await Promise.all(items.map((item) => ofOne(item, signal)));
  return Promise.all(files.map((file, i) => scratch.readable({ ...file, name: file.name === "checkpoint" ? `picture ${i + 1}` : file.name })));
}

export async function gather(
  source: CheckpointSource,
  options: ConvertOptions,
  scratch: Scratch,
): Promise<Gathered> {
  const { signal } = options;
  const many = (source as { files?: unknown })?.files;
  const items = Array.isArray(many) ? (many as CheckpointFile[]) : [source as CheckpointFile];
  const given = await Promise.all(items.map((item) => ofOne(item, signal)));
  const sorted = Array.isArray(many) ? sortFiles(given) : { files: sortFiles(given).files };
  const config =
    options.config !== undefined
      ? await ofJson(options.config, "config")
      : sorted.config && (await textOf(sorted.config));
  const preprocessor =
    options.preprocessor !== undefined
      ? await ofJson(options.preprocessor, "preprocessor_config.json")
      : sorted.preprocessor
        ? await textOf(sorted.preprocessor)
        : await besideConfig(options.config);
  const files = await Promise.all(sorted.files.map((file) => scratch.readable(file)));
  return {
    files,
    ...(config !== undefined && { config }),
    ...(preprocessor !== undefined &&
      config !== undefined &&
      isHuggingFace(config.text) && { preprocessor }),
  };
}
