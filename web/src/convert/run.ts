/* One conversion in wasmformer-tools.wasm: answers its reads and takes its bytes (wasm/tools.h). */
import { compileModule } from "../compile.ts";
import { fail } from "../errors.ts";
import { imports, Instance, type Exports } from "../instance.ts";
import { moduleFacts } from "../place.ts";
import type { ConvertReport } from "../types.ts";
import { openInput, type Input } from "./input.ts";
import { noRoom, openOutput, type Output } from "./output.ts";
import { Meter } from "./meter.ts";
import { NORMS, type ConvertJob, type FromTools, type WireText } from "./protocol.ts";

const MOST_PAGES = 65536; // 4 GiB

interface ToolsExports extends Exports {
  wf_convert(
    name: number,
    type: number,
    config: number,
    configBytes: number,
    configName: number,
    preprocessor: number,
    preprocessorBytes: number,
    keep: number,
    maxLoss: number,
    norm: number,
    fold: number,
    untie: number,
    first: number,
    pictures: number,
  ): number;
  wf_convert_report(): number;
}

class Conversion {
  /** What JavaScript threw inside of a call-back: closer to the cause than what the converter says of it. */
  private fault: unknown;
  private written = 0;
  private readonly notes: string[] = [];
  private readonly layers: ConvertReport["layers"] = [];
  private readonly meter: Meter;
  private instance!: Instance;

  constructor(
    private readonly job: ConvertJob,
    private readonly inputs: Input[],
    private readonly output: Output,
    private readonly say: (message: FromTools) => void,
  ) {
    this.meter = new Meter(job.weights, job.pictures.length > 0, (progress) => say({ type: "progress", progress }));
  }

  private attempt(action: () => void, failed: (error: unknown) => Error): number {
    try {
      action();
      return 0;
    } catch (error) {
      this.fault ??= failed(error);
      return 1;
    }
  }

  private view(at: number, n: number): Uint8Array {
    const start = at >>> 0;
    return this.instance.bytes().subarray(start, start + (n >>> 0));
  }

  private read(file: number, offset: number, dst: number, n: number): number {
    const input = this.inputs[file] as Input;
    return this.attempt(
      () => input.read(offset, this.view(dst, n)),
      (error) =>
        fail(
          "IO",
          input.name,
          `${input.name} could not be read at byte ${offset} (${(error as Error).message}); it was ` +
            "changed or removed meanwhile: choose it again",
          offset,
        ),
    );
  }

  private write(at: number, n: number): number {
    return this.attempt(
      () => {
        this.output.write(this.view(at, n));
        this.written += n >>> 0;
      },
      (error) => noRoom(error, this.written),
    );
  }

  private imports(memory: WebAssembly.Memory): WebAssembly.Imports {
    const text = (at: number): string => this.instance.text(at);
    return {
      ...imports(memory),
      wf: {
        size: (file: number) => this.inputs[file]?.size ?? 0,
        find: (name: number) => this.inputs.findIndex((i, at) => at > 0 && at < this.job.files.length && i.name === text(name)),
        read: (file: number, offset: number, dst: number, n: number) =>
          this.read(file, offset, dst, n),
        write: (at: number, n: number) => this.write(at, n),
        name: (file: number, dst: number, n: number) => {
          const name = new TextEncoder().encode(this.inputs[file]?.name).subarray(0, n);
          this.view(dst, name.length).set(name);
          return name.length;
        },
        layer: (name: number, type: number, input: number, loss: number, staticLoss: number) =>
          void this.layers.push({
            name: text(name),
            type: text(type).toLowerCase(),
            loss,
            ...(text(input) !== "" && { input: text(input) as "static" | "by row" }),
            ...(staticLoss > 0 && { staticLoss }),
          }),
        note: (at: number) => {
          this.notes.push(text(at));
          this.say({ type: "note", text: text(at) });
        },
        progress: (phase: number, done: number, total: number) =>
          this.meter.step(text(phase), done, total),
        cancelled: () => 0, // the worker is ended
      },
    };
  }

  /** Texts in one buffer, since each call of wf_staging ends the last one's. Returns where they are. */
  private place(texts: string[]): { at: number; bytes: number }[] {
    const encoded = texts.map((text) => new TextEncoder().encode(`${text}\0`));
    const all = new Uint8Array(encoded.reduce((n, bytes) => n + bytes.length, 0));
    let end = 0;
    const starts = encoded.map((bytes) => {
      all.set(bytes, end);
      end += bytes.length;
      return { at: end - bytes.length, bytes: bytes.length - 1 };
    });
    const base = this.instance.put(all);
    return starts.map(({ at, bytes }) => ({ at: base + at, bytes }));
  }

  async run(module: WebAssembly.Module): Promise<ConvertReport> {
    const began = performance.now();
    const { job } = this;
    const memory = new WebAssembly.Memory({
      initial: moduleFacts("tools").pages,
      maximum: MOST_PAGES,
    });
    this.instance = await Instance.create(module, memory, this.imports(memory));
    const x = this.instance.exports as ToolsExports;
    const of = (text: WireText | undefined): string => text?.text ?? "";
    const [name, type, config, configName, preprocessor, keep] = this.place([
      this.inputs[0]?.name ?? "",
      job.weights,
      of(job.config),
      job.config?.name ?? "config",
      of(job.preprocessor),
      job.keep,
    ]) as [Place, Place, Place, Place, Place, Place];
    const status = x.wf_convert(
      name.at,
      type.at,
      config.at,
      config.bytes,
      configName.at,
      preprocessor.at,
      preprocessor.bytes,
      keep.at,
      job.maxLoss,
      NORMS.indexOf(job.norm),
      job.fold ? 1 : 0,
      job.untie ? 1 : 0,
      job.files.length,
      job.pictures.length,
    );
    if (this.fault !== undefined) {
      throw this.fault;
    }
    this.instance.check(status);
    const report = JSON.parse(this.instance.text(x.wf_convert_report())) as ConvertReport;
    return {
      ...report,
      type: job.weights,
      notes: this.notes,
      layers: this.layers,
      ms: performance.now() - began,
      memory: memory.buffer.byteLength,
    };
  }
}

type Place = { at: number; bytes: number };

export async function run(job: ConvertJob, say: (message: FromTools) => void): Promise<void> {
  const inputs: Input[] = [];
  try {
    for (const file of [...job.files, ...job.pictures]) {
      inputs.push(openInput(file));
    }
    const places = { worker: job.toolsUrl, ...(job.modules !== undefined && { modules: job.modules }) };
    const module = await compileModule(places, "tools");
    const output = await openOutput(job.out);
    const report = await new Conversion(job, inputs, output, say).run(module);
    let blob: Blob | undefined;
    try {
      blob = output.end();
    } catch (error) {
      throw noRoom(error, report.bytes);
    }
    say({ type: "converted", report, ...(blob !== undefined && { blob }) });
  } finally {
    inputs.forEach((input) => input.close());
  }
}
