/* load: starts an engine, hands it the source, and answers when the model is ready, or, with `stream`,
   when its header is there. */
import { connect } from "./connect.ts";
import { defaults } from "./download.ts";
import { abortReason, checkSignal, fail, fromWire } from "./errors.ts";
import { LoadedModel } from "./model.ts";
import { builtin, inNode } from "./node.ts";
import { absolute, type Files } from "./place.ts";
import type { FromEngine, WireOptions } from "./protocol.ts";
import { isAddress, pump, sortOut, wants, type Credits } from "./source.ts";
import type { LoadOptions, Model, ModelInfo, ModelSource } from "./types.ts";

const isEngine = (engine: unknown): boolean =>
  engine instanceof ArrayBuffer || ArrayBuffer.isView(engine) || engine instanceof WebAssembly.Module;

/** One value, or one for each part of a split model. */
const pinsOf = (integrity: string | readonly string[]): string =>
  typeof integrity === "object" ? integrity.join(" ") : String(integrity);

export async function load(
  source: ModelSource,
  options: LoadOptions,
  defaultFiles: Files | undefined,
): Promise<Model> {
  const {
    signal,
    worker = true,
    activations = "int8",
    build,
    threads,
    memoryLimit,
    integrity,
    engine,
    onProgress,
    stream = false,
    selfTest = true,
  } = options;
  checkSignal(signal);
  if (signal?.aborted) {
    throw abortReason(signal);
  }
  if (build !== undefined && build !== "relaxed" && build !== "simd") {
    throw fail(
      "ARGUMENT",
      "build",
      `build must be "relaxed" or "simd", not ${JSON.stringify(build)}`,
    );
  }
  if (activations !== "int8" && activations !== "float") {
    throw fail(
      "ARGUMENT",
      "activations",
      `activations must be "int8" or "float", not ${JSON.stringify(activations)}`,
    );
  }
  if (engine !== undefined && !isEngine(engine)) {
    throw fail(
      "ARGUMENT",
      "engine",
      "engine must be the bytes of a wasmformer-*.wasm file, or the WebAssembly.Module of them",
    );
  }
  const { timeout = defaults.timeout, retries = defaults.retries } = options;
  if (!(timeout > 0 && timeout < 2 ** 31)) {
    throw fail("ARGUMENT", "timeout", `timeout must be milliseconds above 0, not ${timeout}`);
  }
  if (!Number.isInteger(retries) || retries < 0) {
    throw fail(
      "ARGUMENT",
      "retries",
      `retries must be a whole number of at least 0, not ${retries}`,
    );
  }
  if (memoryLimit !== undefined && !(Number.isFinite(memoryLimit) && memoryLimit > 0)) {
    throw fail(
      "ARGUMENT",
      "memoryLimit",
      `memoryLimit must be a number of bytes above 0, not ${JSON.stringify(memoryLimit)}`,
    );
  }
  const files = typeof worker === "boolean" ? defaultFiles : { worker: String(worker) };
  if (files === undefined) {
    throw fail(
      "MISSING",
      "worker",
      "the script's own address is unknown here; say where wasmformer.worker.mjs is: load(…, " +
        "{worker: URL}) or wasmformer.workerUrl",
    );
  }
  const url =
    inNode() && !isAddress(files.worker)
      ? builtin("node:url").pathToFileURL(files.worker).href
      : absolute(files.worker);
  const life = new AbortController(); // of what is read on this thread
  const sorted = sortOut(source, options, life.signal);
  const connection = await connect(url, worker !== false);
  const wire: WireOptions = {
    files: { ...files, worker: url },
    activations,
    notes: connection.notes,
    stream: stream === true,
    selfTest: selfTest === true,
    ...(engine !== undefined && { engine }),
    ...(build !== undefined && { build }),
    ...(threads !== undefined && { threads }),
    ...(memoryLimit !== undefined && { memoryLimit }),
    ...(integrity !== undefined && { integrity: pinsOf(integrity) }),
  };
  const credits = sorted.open.map(() => wants());
  const over = (): void => {
    credits.forEach((pipe) => pipe.stop());
    life.abort();
  };
  const listen = (message: FromEngine): void => {
    switch (message.type) {
      case "want":
        return credits[message.pipe]?.more();
      case "leave":
        return credits[message.pipe]?.stop();
      case "progress":
        return signal?.aborted ? undefined : onProgress?.(message.progress);
      case "complete":
      case "failed":
        return over();
    }
  };
  let early: FromEngine | undefined; // said before there is a model to hear it
  try {
    const info = await new Promise<ModelInfo>((resolve, reject) => {
      const abort = (): void => reject(abortReason(signal as AbortSignal));
      signal?.aborted ? abort() : signal?.addEventListener("abort", abort, { once: true });
      connection.onFailure = (why) =>
        reject(
          fail("STATE", "worker", `the worker ended unexpectedly (${why}); load the model again`),
        );
      connection.onMessage = (message) => {
        if (message.type === "opened" || message.type === "refused") {
          signal?.removeEventListener("abort", abort);
          message.type === "opened" ? resolve(message.info) : reject(fromWire(message.error));
        }
        early = message;
        listen(message);
      };
      connection.end.post({ type: "open", source: sorted.wire, options: wire });
      sorted.open.forEach((open, pipe) => {
        void pump(open, pipe, connection, credits[pipe] as Credits);
      });
    });
    const model = new LoadedModel(connection, info, listen);
    if (early?.type === "complete" || early?.type === "failed") {
      connection.onMessage(early);
    }
    const abort = (): void => model.stop(abortReason(signal as AbortSignal) as Error);
    signal?.aborted ? abort() : signal?.addEventListener("abort", abort, { once: true });
    const done = (): void => (signal?.removeEventListener("abort", abort), over());
    void model.complete.then(done, done);
    return model;
  } catch (error) {
    connection.close();
    over();
    throw error;
  }
}
