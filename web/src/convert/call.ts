/* convert: starts the tools' worker, gives it the files, and answers with the result. */
import { inWorker, type Connection } from "../connect.ts";
import { hasWorkers } from "../endpoint.ts";
import { abortReason, checkSignal, fail, fromWire } from "../errors.ts";
import { absolute, toolsIntegrity, type Files } from "../place.ts";
import { builtin, inNode } from "../node.ts";
import { isAddress } from "../source.ts";
import type { CheckpointSource, ConvertOptions, ConvertReport } from "../types.ts";
import { gather, gatherPictures } from "./gather.ts";
import { NORMS, type ConvertJob, type FromTools } from "./protocol.ts";
import { Converted } from "./result.ts";
import { openScratch, type Scratch } from "./scratch.ts";

function checkOptions({ type = "f32", maxLoss, norm = "keep", calibrate, signal }: ConvertOptions): void {
  checkSignal(signal);
  if (!NORMS.includes(norm)) {
    throw fail("ARGUMENT", "norm", `norm must be one of ${NORMS.join(", ")}`);
  }
  if (typeof type !== "string") {
    throw fail("ARGUMENT", "type", 'type must be "f32", "f16", "q8_0", "q4_0" or "int8"');
  }
  if (calibrate !== undefined && type !== "int8") {
    throw fail("ARGUMENT", "calibrate", `calibrate belongs to type "int8"; "${type}" needs no pictures`);
  }
  if (maxLoss !== undefined && !(maxLoss >= 0)) {
    throw fail("ARGUMENT", "maxLoss", `maxLoss must be a number of at least 0, not ${maxLoss}`);
  }
}

function toolsUrl(options: ConvertOptions, places: Files | undefined): string {
  const url = options.worker !== undefined ? String(options.worker) : places?.tools;
  if (url === undefined) {
    throw fail(
      "MISSING",
      "worker",
      "the script's own address is unknown here; say where wasmformer.tools.mjs is: convert(…, " +
        "{worker: URL})",
    );
  }
  return inNode() && !isAddress(url) ? builtin("node:url").pathToFileURL(url).href : absolute(url);
}

/** "poolformer_s12.pth.tar" as q8_0 → "poolformer_s12-q8_0.gguf" */
function resultName(source: string, type: string): string {
  const stem = source
    .replace(/\.index\.json$/i, "")
    .replace(/(\.(gguf|safetensors|pth|pt|bin|ckpt|tar|zip))+$/i, "");
  return `${stem || "model"}-${type}.gguf`;
}

async function connected(url: string): Promise<Connection> {
  if (!hasWorkers()) {
    throw fail("UNSUPPORTED", "worker", "a conversion needs a worker, and there are none here");
  }
  try {
    return await inWorker(url, toolsIntegrity);
  } catch (error) {
    const why = (error as Error).message;
    throw fail(
      "MISSING",
      url,
      `the converter's worker ${url} could not be started (${why}); it must lie beside the script`,
    );
  }
}

function answer(
  connection: Connection,
  job: ConvertJob,
  options: ConvertOptions,
): Promise<{ report: ConvertReport; blob?: Blob }> {
  const { signal, onProgress, onNote } = options;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(abortReason(signal as AbortSignal));
    signal?.aborted ? abort() : signal?.addEventListener("abort", abort, { once: true });
    connection.onFailure = (why) =>
      reject(fail("STATE", "worker", `the converter's worker ended unexpectedly (${why})`));
    connection.onMessage = (raw) => {
      const message = raw as unknown as FromTools;
      switch (message.type) {
        case "progress":
          return signal?.aborted ? undefined : onProgress?.(message.progress);
        case "note":
          return signal?.aborted ? undefined : onNote?.(message.text);
        case "converted":
          return resolve(message);
        case "refused":
          return reject(fromWire(message.error));
      }
    };
    connection.end.post(job);
  });
}

async function converted(
  source: CheckpointSource,
  options: ConvertOptions,
  places: Files | undefined,
  scratch: Scratch,
): Promise<Converted> {
  const { signal, type: weights = "f32", maxLoss = -1, keep: kept = [] } = options;
  const { norm = "keep", fold = false, untie = false } = options;
  const keep = typeof kept === "string" ? kept : kept.join(",");
  const url = toolsUrl(options, places);
  const modules = options.worker === undefined ? places?.modules : undefined;
  const gathered = await gather(source, options, scratch);
  if (signal?.aborted) {
    throw abortReason(signal);
  }
  const pictures = await gatherPictures(options, scratch);
  if (signal?.aborted) {
    throw abortReason(signal);
  }
  const connection = await connected(url);
  try {
    const { out } = scratch;
    const place = { toolsUrl: url, ...(modules !== undefined && { modules }) };
    const rewrite = { norm, fold, untie };
    const job: ConvertJob = { type: "convert", ...place, weights, keep, maxLoss, ...rewrite, out, ...gathered, pictures };
    const { report, blob } = await answer(connection, job, options);
    options.onProgress?.({ phase: "ready", fraction: 1 });
    return new Converted(
      resultName(gathered.files[0]?.name ?? "", weights),
      report,
      scratch,
      blob,
    );
  } finally {
    connection.close();
  }
}

export async function convert(
  source: CheckpointSource,
  options: ConvertOptions,
  places: Files | undefined,
): Promise<Converted> {
  const { signal } = options;
  checkOptions(options);
  if (signal?.aborted) {
    throw abortReason(signal);
  }
  options.onProgress?.({ phase: "start", fraction: 0 });
  const scratch = await openScratch();
  try {
    const result = await converted(source, options, places, scratch);
    await scratch.dropInputs();
    return result;
  } catch (error) {
    await scratch.remove();
    throw signal?.aborted ? abortReason(signal) : error;
  }
}
