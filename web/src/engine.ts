/* A model on an engine, wherever that engine lives (a worker or the calling thread): choose a
   build, plan on a throw-away instance, make memory of the right size, start threads, feed the
   bytes, run calls one after the other. */
import { Arrivals, type Stop } from "./arrivals.ts";
import { deferred, Pace } from "./breathe.ts";
import { CHUNK, type ByteSource } from "./bytes.ts";
import { choose, type Choice } from "./choose.ts";
import { compileModule } from "./compile.ts";
import { canDigest, Digests, unless } from "./digests.ts";
import { fail } from "./errors.ts";
import { Instance } from "./instance.ts";
import { makeMemory, scoutMemory, type Made } from "./memory.ts";
import { moduleFacts, version } from "./place.ts";
import type { Call, CallResult, WireOptions } from "./protocol.ts";
import { Reporter } from "./progress.ts";
import { Calls, selfTest } from "./self-test.ts";
import { Runner } from "./session.ts";
import type { Begin } from "./split.ts";
import { Helpers, type Crew } from "./threads.ts";
import type { ModelInfo, Progress, SelfTest } from "./types.ts";

const SIMD_BACKEND = 0;
const DOTS = ["i16", "u8s8", "s8s8", "pairs"] as const;
/* Beside weights and activations: header, tables, resizer, buffers that carry chunks and pictures. */
const MARGIN = 6 << 20;

const shortName = (name: string): string =>
  name.length > 90 ? (name.split("/").pop() ?? name) : name;

type Described = Omit<
  ModelInfo,
  | "build"
  | "threads"
  | "reason"
  | "worker"
  | "dot"
  | "memory"
  | "cache"
  | "selfTest"
  | "streamed"
  | "ms"
> & {
  weightBytes: number;
  activationBytes: number;
};

interface Plan {
  described: Described;
  planned: number;
  made: Made;
  /** Where chunks with hashes begin; 0 where there are none. */
  chunksAt: number;
}

export class Engine {
  private instance: Instance | undefined;
  private helpers: Helpers | undefined;
  private runner: Runner | undefined;
  private readonly arrivals = new Arrivals();
  private digests: Digests | undefined;
  private readonly calls = new Calls();
  private readonly wrong = deferred<never>(); // a chunk, while bytes are waited for
  private streamed = 0;
  private readonly began = performance.now();
  private readonly pace: Pace;
  private readonly progress: Reporter;
  private readonly ms = { compile: 0, plan: 0, load: 0 };

  private constructor(
    private readonly options: WireOptions,
    private readonly inWorker: boolean,
    report: (progress: Progress) => void,
    private readonly stop: Stop,
    private readonly crew: Crew,
  ) {
    this.pace = new Pace(this.slice);
    this.progress = new Reporter(report);
  }

  /** Shorter where a page's own thread is used: a frame has 16 ms. */
  private get slice(): number {
    return this.inWorker ? 24 : 8;
  }

  /** Answers when the model is planned and its threads are there; `complete` when all its bytes are. */
  static async open(
    open: () => Promise<ByteSource>,
    options: WireOptions,
    inWorker: boolean,
    report: (progress: Progress) => void,
    stop: Stop,
    crew: Crew,
  ): Promise<{ engine: Engine; info: ModelInfo; complete: Promise<ModelInfo> }> {
    const engine = new Engine(options, inWorker, report, stop, crew);
    try {
      return { engine, ...(await engine.load(open)) };
    } catch (error) {
      engine.close();
      throw error;
    }
  }

  private async load(
    open: () => Promise<ByteSource>,
  ): Promise<{ info: ModelInfo; complete: Promise<ModelInfo> }> {
    const choice = choose({
      build: this.options.build,
      threads: this.options.threads,
      inWorker: this.inWorker,
    });
    this.progress.say("compile", 0);
    // The module and the model's first bytes are under way at the same time.
    const compiling = compileModule(this.options.files, choice.module, this.options.engine);
    const opening = open();
    opening.catch(() => undefined); // if compiling fails first, that is what is reported
    const module = await compiling;
    this.ms.compile = performance.now() - this.began;
    const source = await opening;
    const planned = deferred<Plan>();
    const fed = this.feed(source, module, choice, planned.resolve);
    const plan = await Promise.race([planned.promise, fed]);
    const threads = await this.startedThreads(choice);
    const info = (): ModelInfo => this.info(plan, choice, threads, source);
    const complete = fed.then(() => {
      this.ms.load = performance.now() - this.began;
      this.progress.say("ready", this.progress.loaded);
      return info();
    });
    return { info: info(), complete };
  }

  private get engine(): Instance {
    if (this.instance === undefined) {
      throw fail("STATE", "model", "the model is not loaded");
    }
    return this.instance;
  }

  // ---- bytes ----

  /** Feeds the file to the end; whatever stops that is what later calls are told. */
  private async feed(...what: Parameters<Engine["feedAll"]>): Promise<Plan> {
    try {
      const plan = await this.feedAll(...what);
      this.arrivals.end();
      return plan;
    } catch (error) {
      this.arrivals.end({ error });
      throw error;
    }
  }

  private async feedAll(
    source: ByteSource,
    module: WebAssembly.Module,
    choice: Choice,
    planned: (plan: Plan) => void,
  ): Promise<Plan> {
    const shared = choice.threads > 1;
    const pages = moduleFacts(choice.module).pages;
    let scout: Instance | undefined = await Instance.create(module, scoutMemory(pages, shared));
    this.openModel(scout, source, 1, true);
    let header: (Uint8Array | Begin)[] = [];
    let plan: Plan | undefined;
    let counts = source.parts === undefined; // the headers of parts come twice
    const wantsNext = (): boolean => (scout ?? this.engine).exports.wf_wants_next() !== 0;
    const chunks = source.parts?.(wantsNext) ?? source.chunks;
    this.wrong.promise.catch(() => undefined);
    for await (const chunk of unless(this.wrong.promise, chunks)) {
      const bytes = "file" in chunk ? 0 : chunk.length;
      if ("file" in chunk && chunk.at !== undefined) {
        counts = true;
        this.progress.loaded = chunk.at;
      }
      if (scout !== undefined) {
        header.push("file" in chunk ? chunk : chunk.slice()); // once more, for the real instance
        await this.take(scout, chunk);
        if (source.parts === undefined && wantsNext()) {
          break; // one part of several
        }
        if (scout.exports.wf_has_header() !== 0) {
          plan = this.plan(scout, pages, shared);
          scout = undefined;
          source.identify?.(plan.described.integrity ?? "");
          await this.begin(module, plan, source, choice);
          for (const piece of header) {
            await this.take(this.engine, piece);
          }
          header = [];
          this.runner = new Runner(this.engine, plan.described, this.slice, this.arrivals);
          planned(plan);
        }
      } else {
        if (this.progress.loaded + bytes >= (plan?.described.fileBytes ?? Infinity)) {
          this.streamed = this.runner?.fraction() ?? 0;
        }
        await this.take(this.engine, chunk);
      }
      this.progress.loaded += counts ? bytes : 0;
      this.arrivals.came();
      this.progress.download(plan?.described.fileBytes ?? source.total);
      this.throwIfStopped();
    }
    this.progress.download(this.progress.loaded, true);
    await this.digests?.finish();
    const last = this.instance ?? scout;
    last?.check(last.exports.wf_finish());
    if (plan === undefined) {
      throw fail(
        "TRUNCATED",
        source.name,
        `${source.name} ends inside its header; download it again`,
      );
    }
    return plan;
  }

  private openModel(
    instance: Instance,
    source: ByteSource,
    threads: number,
    planOnly: boolean,
  ): void {
    const { integrity } = this.options;
    if (integrity !== undefined) {
      instance.check(instance.exports.wf_integrity(instance.putText(integrity)));
    }
    const name = instance.putText(shortName(source.name));
    const int8 = this.options.activations === "int8" ? 1 : 0;
    instance.check(
      instance.exports.wf_open(
        SIMD_BACKEND,
        threads,
        int8,
        name,
        source.exact ? source.total : 0,
        planOnly ? 1 : 0,
      ),
    );
  }

  private async take(instance: Instance, chunk: Uint8Array | Begin): Promise<void> {
    if ("file" in chunk) {
      const name = instance.putText(shortName(chunk.name));
      return instance.check(instance.exports.wf_next(chunk.file, name, chunk.bytes));
    }
    for (let at = 0; at < chunk.length; at += CHUNK) {
      const piece = chunk.subarray(at, at + CHUNK);
      instance.check(instance.exports.wf_feed(instance.put(piece), piece.length));
      await this.pace.step();
    }
    if (instance === this.instance) {
      await this.digests?.add(chunk);
    }
  }

  private plan(scout: Instance, pages: number, shared: boolean): Plan {
    const before = performance.now();
    const described = JSON.parse(scout.text(scout.must(scout.exports.wf_describe()))) as Described;
    const planned = scout.exports.wf_planned_bytes() + MARGIN;
    this.progress.say("plan", described.fileBytes);
    const made = makeMemory(pages, planned, shared, this.options.memoryLimit);
    this.ms.plan = performance.now() - before;
    return { described, planned, made, chunksAt: scout.exports.wf_chunks_at() };
  }

  private async begin(
    module: WebAssembly.Module,
    plan: Plan,
    source: ByteSource,
    choice: Choice,
  ): Promise<void> {
    this.instance = await Instance.create(module, plan.made.memory);
    if (plan.chunksAt > 0 && canDigest()) {
      this.hashOutside(this.instance, plan);
    }
    this.openModel(this.instance, source, choice.threads, false);
    if (choice.threads > 1) {
      this.helpers = new Helpers(this.instance, module, choice.threads, this.crew);
    }
  }

  private hashOutside(instance: Instance, plan: Plan): void {
    instance.exports.wf_digests_outside();
    this.digests = new Digests(plan.chunksAt, plan.described.fileBytes, (sha256) => {
      instance.check(instance.exports.wf_digest(instance.put(sha256)));
      this.arrivals.came();
    });
    this.digests.failure.catch((error: unknown) => this.wrong.reject(error));
  }

  private throwIfStopped(): void {
    if (this.stop.stopped) {
      throw fail("STATE", "load", "the model was freed while it was loading");
    }
  }

  // ---- after loading ----

  private async startedThreads(choice: Choice): Promise<number> {
    if (this.helpers === undefined) {
      return 1;
    }
    const { threads, failure } = await this.helpers.ready();
    if (failure !== "") {
      choice.reasons.push(`Only ${threads} of ${choice.threads} threads run: ${failure}.`);
    }
    return threads;
  }

  private info(
    plan: Plan,
    choice: Choice,
    threads: number,
    source: ByteSource,
  ): ModelInfo {
    const { weightBytes, activationBytes, ...described } = plan.described;
    const { exports } = this.engine;
    return {
      ...described,
      build: choice.build,
      threads,
      reason: [...choice.reasons, ...this.options.notes].join(" "),
      worker: this.inWorker,
      dot: DOTS[exports.wf_dot()] ?? "i16",
      memory: {
        weights: weightBytes,
        activations: activationBytes,
        planned: plan.planned,
        maximum: plan.made.maximum,
        ...this.memory(),
      },
      cache: source.cache ?? { use: "none", note: "" },
      selfTest: this.selfTestState(source, described.metadata, this.buildName(choice)),
      streamed: this.streamed,
      ms: { ...this.ms },
    };
  }

  async call(call: Call, stop: Stop): Promise<CallResult> {
    this.arrivals.check();
    if (this.runner === undefined) {
      throw fail("STATE", "model", "the model is not loaded");
    }
    const { runner } = this;
    return this.calls.during(() => runner.call(call, stop));
  }

  // ---- self-test ----

  /** What a remembered self-test holds for: these bytes of code, and how they compute here. */
  private buildName(choice: Choice): string {
    const dot = DOTS[this.engine.exports.wf_dot()] ?? "i16";
    const code = this.options.engine === undefined ? moduleFacts(choice.module).integrity.slice(7, 19) : "given";
    return `${version} ${choice.module} ${dot} ${this.options.activations} ${code}`;
  }

  private selfTestState(source: ByteSource, metadata: Record<string, unknown>, build: string): SelfTest {
    if (!this.options.selfTest) {
      return { state: "off" };
    }
    if (metadata["wf.golden.shape"] === undefined) {
      return { state: "none" };
    }
    const known = this.options.engine === undefined ? source.tests?.known(build) : undefined;
    return known !== undefined ? { ...known, remembered: true } : { state: "pending", build };
  }

  /** For a complete model whose info says "pending": how it came out; undefined where it was freed before. */
  async selfTest(info: ModelInfo, source: ByteSource): Promise<SelfTest | undefined> {
    this.calls.wait();
    await this.calls.settled;
    if (this.instance === undefined) {
      return undefined;
    }
    const { build = "" } = info.selfTest;
    const stopped = (): boolean => this.instance === undefined || this.stop.stopped;
    const result = await selfTest(this.instance, this.calls, build, stopped);
    if (result?.state === "passed" && this.options.engine === undefined) {
      await source.tests?.remember(build, result);
    }
    return result;
  }

  /** Somebody waits for it. */
  testNow(): void {
    this.calls.now();
  }

  /** The engine's whole memory, the highest use within it, and how often it has asked for memory. */
  memory(): { peak: number; heap: number; allocations: number } {
    const { exports, memory } = this.engine;
    return {
      peak: memory.buffer.byteLength,
      heap: exports.wf_heap(1),
      allocations: exports.wf_heap(2),
    };
  }

  close(): void {
    this.helpers?.leave();
    this.helpers = this.runner = this.instance = undefined;
  }
}
