/* The engine's end of the conversation: opens the model that the first message names, then answers
   calls. Calls come one at a time (the page queues them); an abort may come at any time and is seen
   between two steps. */
import type { Stop } from "./arrivals.ts";
import { ofBlob, openFile, type ByteSource } from "./bytes.ts";
import { openCached } from "./cached.ts";
import type { Endpoint } from "./endpoint.ts";
import { Engine } from "./engine.ts";
import { abortError, CRASHED, fail, fromWire, toWire } from "./errors.ts";
import { openUrl } from "./download.ts";
import { inNode } from "./node.ts";
import { fetchInNode, readsItself } from "./node-http.ts";
import type { FromEngine, ToEngine, WireSource } from "./protocol.ts";
import { ofParts, twice } from "./split.ts";
import type { Crew } from "./threads.ts";
import type { ModelInfo } from "./types.ts";

/** Errors of the file itself, of which no copy should be kept. */
const NO_MODEL = ["FORMAT", "TRUNCATED", "UNSUPPORTED", "MISSING", "SHAPE", "INTEGRITY"];
const CREDITS = 4; // chunks under way in a pipe

/** Chunks that the page sends; each one consumed asks for another. */
class Pipe {
  private readonly queue: (Uint8Array | Error | undefined)[] = [];
  private wake: (() => void) | undefined;

  constructor(
    private readonly want: () => void,
    private readonly leave: () => void,
  ) {}

  /** undefined is the end. */
  push(item: Uint8Array | Error | undefined): void {
    this.queue.push(item);
    this.wake?.();
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < CREDITS; i++) {
      this.want();
    }
    try {
      for (;;) {
        while (this.queue.length === 0) {
          await new Promise<void>((resolve) => (this.wake = resolve));
        }
        const item = this.queue.shift();
        if (item === undefined) {
          return;
        }
        if (item instanceof Error) {
          throw item;
        }
        yield item;
        this.want();
      }
    } finally {
      this.leave();
    }
  }
}

/** 0 where it is not known before it is opened. */
const sizeOf = (source: WireSource): number =>
  source.kind === "blob"
    ? source.blob.size
    : source.kind === "pipe" && source.exact
      ? source.total
      : 0;

export class Server {
  private engine: Engine | undefined;
  private readonly pipes = new Map<number, Pipe>();
  private source: ByteSource | undefined;
  private readonly stops = new Map<number, Stop>();
  private readonly loading: Stop = { stopped: false };
  private readonly crew: Crew = {
    start: (start) => this.post({ type: "thread", start }),
    failure: "",
  };
  /** Ends requests and waits; where there is a worker, its end ends them too. */
  private readonly life = new AbortController();

  constructor(
    private readonly end: Endpoint,
    private readonly inWorker: boolean,
  ) {}

  receive(message: ToEngine): void {
    switch (message.type) {
      case "open":
        void this.open(message);
        break;
      case "bytes":
        this.pipes.get(message.pipe)?.push(message.bytes);
        break;
      case "end":
        this.pipes.get(message.pipe)?.push(undefined);
        break;
      case "broken":
        this.pipes.get(message.pipe)?.push(fromWire(message.error));
        break;
      case "call":
        void this.call(message);
        break;
      case "abort": {
        const stop = this.stops.get(message.id);
        if (stop !== undefined) {
          stop.stopped = true;
          stop.wake?.();
        }
        break;
      }
      case "test":
        this.engine?.testNow();
        break;
      case "lost":
        this.crew.failure ||= message.why;
        break;
      case "close":
        this.close();
        this.post({ type: "closed" });
        break;
      case "helper":
        break;
    }
  }

  /** Stops what is going on, sends the threads out of wasm and lets the memory go. */
  close(): void {
    this.loading.stopped = true;
    this.life.abort();
    this.stops.forEach((stop) => {
      stop.stopped = true;
      stop.wake?.();
    });
    this.pipes.forEach((pipe) => pipe.push(abortError()));
    this.engine?.close();
    this.engine = undefined;
  }

  private post(message: FromEngine, transfer: Transferable[] = []): void {
    this.end.post(message, transfer);
  }

  private async open({ source, options }: ToEngine & { type: "open" }): Promise<void> {
    let opened = false;
    let damaged = false;
    const say = (info: ModelInfo): void => {
      this.post({ type: "opened", info });
      opened = true;
    };
    const attempt = async (): Promise<void> => {
      const { engine, info, complete } = await Engine.open(
        async () => (this.source = await this.bytes(source)),
        options,
        this.inWorker,
        (progress) => this.post({ type: "progress", progress }),
        this.loading,
        this.crew,
      );
      this.engine = engine;
      if (options.stream) {
        say(info);
      }
      const last = await complete;
      if (damaged) {
        const { use, note } = last.cache;
        const why = "The kept copy was damaged; it was dropped, and the model downloaded again.";
        Object.assign(last, { cache: { use, note: `${why} ${note}`.trim() } });
      }
      if (!opened) {
        say(last);
      }
      this.post({ type: "complete", info: last });
      if (last.selfTest.state === "pending") {
        void this.test(engine, last);
      }
    };
    const refuse = async (error: unknown): Promise<boolean> => {
      const bad = NO_MODEL.includes(toWire(error).code);
      if (bad) {
        await this.source?.refuse?.().catch(() => undefined);
      }
      return bad && ["hit", "resumed"].includes(this.source?.cache?.use ?? "none");
    };
    try {
      await attempt().catch(async (error: unknown) => {
        damaged = (await refuse(error)) && !opened;
        if (!damaged) {
          throw error;
        }
        await attempt().catch(async (again: unknown) => {
          await refuse(again);
          throw again;
        });
      });
    } catch (error) {
      const wire = toWire(error);
      this.post({ type: opened ? "failed" : "refused", error: wire });
    }
  }

  private async test(engine: Engine, info: ModelInfo): Promise<void> {
    try {
      const selfTest = await engine.selfTest(info, this.source as ByteSource);
      if (selfTest !== undefined) {
        this.post({ type: "tested", selfTest });
      }
    } catch (error) {
      const { message } = toWire(error);
      this.post({ type: "tested", selfTest: { ...info.selfTest, state: "failed", message } });
      engine.close(); // a trap, as in a call
      this.engine = undefined;
    }
  }

  private async bytes(source: WireSource): Promise<ByteSource> {
    switch (source.kind) {
      case "url":
        return this.fromUrl(source);
      case "file":
        return openFile(source.path);
      case "blob":
        return {
          name: source.name,
          total: source.blob.size,
          exact: true,
          chunks: ofBlob(source.blob, source.name),
        };
      case "pipe":
        return this.fromPipe(source, source.pipe);
      case "parts": {
        const sizes = source.parts.map((part) => sizeOf(part));
        const total = sizes.includes(0) ? 0 : sizes.reduce((sum, size) => sum + size, 0);
        return ofParts(
          source.parts.map((part) => this.opener(part)),
          total,
        );
      }
    }
  }

  private fromPipe(source: WireSource & { kind: "pipe" }, number: number): ByteSource {
    const { name, total, exact } = source;
    const pipe = new Pipe(
      () => this.post({ type: "want", pipe: number }),
      () => this.post({ type: "leave", pipe: number }),
    );
    this.pipes.set(number, pipe);
    return { name, total, exact, chunks: pipe.chunks() };
  }

  /** For a source that is read twice. */
  private opener(source: WireSource): () => Promise<ByteSource> {
    if (source.kind !== "pipe") {
      return () => this.bytes(source);
    }
    const { pipe, again } = source;
    if (again === undefined) {
      return twice(this.fromPipe(source, pipe));
    }
    let round = 0;
    return async () => this.fromPipe(source, round++ === 0 ? pipe : again);
  }

  private fromUrl(source: WireSource & { kind: "url" }): Promise<ByteSource> {
    const options = {
      get: (url: string, init: RequestInit): Promise<Response> =>
        inNode() && readsItself(url) ? fetchInNode(url, init) : fetch(url, init),
      init: source.credentials !== undefined ? { credentials: source.credentials } : {},
      timeout: source.timeout,
      retries: source.retries,
      signal: this.life.signal,
      ours: true,
    };
    return source.cache === "none"
      ? openUrl(source.url, options)
      : openCached(source.url, options, source.cache === "evict");
  }

  private async call({ id, call }: ToEngine & { type: "call" }): Promise<void> {
    const stop: Stop = { stopped: false };
    this.stops.set(id, stop);
    try {
      if (this.engine === undefined) {
        throw fail(
          "STATE",
          "model",
          "the engine of this model has stopped after an error; load the model again",
        );
      }
      const result = await this.engine.call(call, stop);
      const buffers =
        result.kind === "run"
          ? Object.values(result.outputs).map((t) => t.data.buffer as ArrayBuffer)
          : result.kind === "reconstruct"
            ? [result.data.buffer]
            : [];
      this.post({ type: "result", id, result, ...this.engine.memory() }, buffers);
    } catch (error) {
      const wire = toWire(error);
      this.post({ type: "error", id, error: wire });
      if (wire.where === CRASHED) {
        // a trap leaves the instance in the middle of something: never call it again
        this.engine?.close();
        this.engine = undefined;
      }
    } finally {
      this.stops.delete(id);
    }
  }
}
